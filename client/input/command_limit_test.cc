#include "client/input/command_limit.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

TEST(CommandLimitTest, EveryNameSetsItsLimit) {
  v1::CommandLimits limits;
  for (const char* text : {"cpu=90s", "memory=512M", "file-size=2G", "open-files=100",
                           "processes=50", "core=1048576"}) {
    EXPECT_TRUE(AddCommandLimit(text, &limits).ok()) << text;
  }
  EXPECT_EQ(limits.cpu_seconds(), 90u);
  EXPECT_EQ(limits.memory_bytes(), 512u << 20);
  EXPECT_EQ(limits.file_size_bytes(), 2ull << 30);
  EXPECT_EQ(limits.open_files(), 100u);
  EXPECT_EQ(limits.processes(), 50u);
  EXPECT_EQ(limits.core_bytes(), 1u << 20);
}

TEST(CommandLimitTest, PartsOfASecondCountAsASecond) {
  v1::CommandLimits limits;
  EXPECT_TRUE(AddCommandLimit("cpu=1500ms", &limits).ok());
  EXPECT_EQ(limits.cpu_seconds(), 2u);
}

TEST(CommandLimitTest, WhatCannotBeReadNamesTheOption) {
  v1::CommandLimits limits;
  for (const char* text : {"cpu", "cpu=", "cpu=0", "cpu=-1s", "cpu=9999999999s",
                           "memory=", "memory=M", "memory=0", "memory=1.5G", "memory=99999999T",
                           "memory=1X", "open-files=many", "open-files=0", "stack=1M", "=1", ""}) {
    const absl::Status status = AddCommandLimit(text, &limits);
    EXPECT_FALSE(status.ok()) << text;
    EXPECT_NE(status.message().find("--limit"), absl::string_view::npos) << status;
  }
  EXPECT_EQ(limits.ByteSizeLong(), 0u);
}

}  // namespace
}  // namespace reeve
