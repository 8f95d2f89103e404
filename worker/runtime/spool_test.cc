#include "worker/runtime/spool.h"

#include <vector>

#include "gtest/gtest.h"

namespace reeve {
namespace {

SpoolOptions Small() {
  return {.folder = testing::TempDir(), .memory_bytes = 10'000, .file_bytes = 40'960};
}

TEST(SpoolTest, BeyondItsMemoryResultsLieInTheFileAndReadTheSame) {
  Spool spool(Small());
  std::vector<Buffer> kept;
  for (char letter = 'a'; letter < 'g'; ++letter)
    kept.push_back(spool.Keep(std::string(5'000, letter)));
  EXPECT_EQ(spool.memory_bytes(), 10'000u);
  EXPECT_EQ(spool.file_bytes(), 20'000u);
  for (size_t i = 0; i < kept.size(); ++i)
    EXPECT_EQ(kept[i].view(), std::string(5'000, static_cast<char>('a' + i)));
}

TEST(SpoolTest, RoomIsUsedAgainOnceTheLastCopyIsGone) {
  Spool spool(Small());
  const Buffer base = spool.Keep(std::string(10'000, 'm'));
  for (int round = 0; round < 20; ++round) {
    std::vector<Buffer> kept;
    for (int i = 0; i < 5; ++i) kept.push_back(spool.Keep(std::string(8'000, 'x')));
    EXPECT_EQ(spool.file_bytes(), 40'000u);
    const Buffer copy = kept[0];
    kept.clear();
    EXPECT_EQ(spool.file_bytes(), 8'000u);
  }
  EXPECT_EQ(spool.file_bytes(), 0u);
}

TEST(SpoolTest, WhatTheFileDoesNotTakeStaysInMemory) {
  Spool full(Small());
  std::vector<Buffer> kept;
  for (int i = 0; i < 20; ++i) kept.push_back(full.Keep(std::string(8'000, 'x')));
  EXPECT_EQ(full.file_bytes(), 40'000u);
  EXPECT_EQ(full.memory_bytes(), 120'000u);
  SpoolOptions nowhere = Small();
  nowhere.folder = "/no/such/folder";
  Spool homeless(nowhere);
  const Buffer large = homeless.Keep(std::string(50'000, 'y'));
  EXPECT_EQ(large.view(), std::string(50'000, 'y'));
  EXPECT_EQ(homeless.memory_bytes(), 50'000u);
}

TEST(SpoolTest, ABufferOutlivesItsSpool) {
  Buffer kept;
  {
    Spool spool(Small());
    const Buffer first = spool.Keep(std::string(10'000, 'm'));
    kept = spool.Keep(std::string(9'000, 'z'));
  }
  EXPECT_EQ(kept.view(), std::string(9'000, 'z'));
}

}  // namespace
}  // namespace reeve
