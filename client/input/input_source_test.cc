#include "client/input/input_source.h"

#include <unistd.h>

#include "base/doorbell.h"
#include "base/ids.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

// Everything a stream with `content` gives, `room` records a fill.
absl::StatusOr<std::vector<std::string>> ReadAll(const std::string& content,
                                                 const RecordFormat& format, size_t room = 3) {
  char path[] = "/tmp/reeve-input.XXXXXX";
  const int fd = mkstemp(path);
  unlink(path);
  EXPECT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  lseek(fd, 0, SEEK_SET);
  Doorbell bell;
  auto source = MakeRecordSource(fd, bell.fd(), format);
  std::vector<std::string> all;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) {
    size_t taken = 0;
    more = source->Fill([&](std::string_view input) {
      all.emplace_back(input);
      return ++taken < room;
    });
  }
  close(fd);
  if (!more.ok()) return more.status();
  return all;
}

TEST(InputSourceTest, LinesAreRecordsAndTheLastNeedsNoNewline) {
  EXPECT_EQ(*ReadAll("a\n\nb c\nd", {}), (std::vector<std::string>{"a", "", "b c", "d"}));
  EXPECT_TRUE(ReadAll("", {})->empty());
}

TEST(InputSourceTest, RecordsMayEndWithNul) {
  EXPECT_EQ(*ReadAll(std::string("a\nb\0c\0", 6), {.delimiter = '\0'}),
            (std::vector<std::string>{"a\nb", "c"}));
}

TEST(InputSourceTest, BlocksAreWholeLinesUpToTheirSize) {
  const RecordFormat blocks{.block_bytes = 6};
  EXPECT_EQ(*ReadAll("a\nbc\nd\nlonger than six\n\ne", blocks),
            (std::vector<std::string>{"a\nbc\n", "d\n", "longer than six\n", "\ne\n"}));
  EXPECT_TRUE(ReadAll("", blocks)->empty());
  EXPECT_EQ(ReadAll(std::string(kMaxPayloadBytes, 'x') + "\ny\n", blocks)->front().size(),
            size_t{kMaxPayloadBytes});
}

TEST(InputSourceTest, WhatIsThereOfABlockIsHandedOnWhenNothingMoreComesYet) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  Doorbell bell;
  auto source = MakeRecordSource(pipe[0], bell.fd(), {.block_bytes = 1'000});
  std::vector<std::string> all;
  const auto take = [&](std::string_view input) {
    all.emplace_back(input);
    return true;
  };
  ASSERT_EQ(write(pipe[1], "a\nb\nc", 5), 5);
  EXPECT_TRUE(*source->Fill(take));
  EXPECT_EQ(all, std::vector<std::string>{"a\nb\n"});
  close(pipe[1]);
  EXPECT_FALSE(*source->Fill(take));
  EXPECT_EQ(all, (std::vector<std::string>{"a\nb\n", "c\n"}));
  close(pipe[0]);
}

TEST(InputSourceTest, AMalformedJsonLineIsNamedByItsNumber) {
  const RecordFormat json{.is_json = true, .name = "in.jsonl"};
  EXPECT_EQ(ReadAll("{\"a\": 1}\n\n[2]\n", json)->size(), 2u);
  const auto refused = ReadAll("{}\n{}\n{\"a\": \n", json);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().ToString().find("in.jsonl:3"), std::string::npos) << refused.status();
}

TEST(InputSourceTest, ARecordOverTheLimitIsRefused) {
  EXPECT_FALSE(ReadAll("small\n" + std::string(kMaxPayloadBytes + 1, 'x') + "\n", {}).ok());
  EXPECT_TRUE(ReadAll(std::string(kMaxPayloadBytes, 'x') + "\n", {}).ok());
}

TEST(InputSourceTest, RangesGiveTheirNumbers) {
  auto source = MakeArraySource({10, -3, 4, 0});
  std::vector<std::string> all;
  ASSERT_TRUE(source
                  ->Fill([&](std::string_view input) {
                    all.emplace_back(input);
                    return true;
                  })
                  .ok());
  EXPECT_EQ(all, (std::vector<std::string>{"10", "7", "4", "1"}));
}

}  // namespace
}  // namespace reeve
