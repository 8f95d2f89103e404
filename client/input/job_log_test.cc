#include "client/input/job_log.h"

#include <unistd.h>

#include <fstream>

#include "gtest/gtest.h"

namespace reeve {
namespace {

ResultEntry Entry(TaskIndex index, TaskState state) {
  ResultEntry entry;
  entry.index = index;
  entry.state = state;
  entry.start_us = 1'000'000;
  return entry;
}

TEST(JobLogTest, WhatALogSaysSucceededIsReadBack) {
  const std::string path = testing::TempDir() + "/log." + std::to_string(getpid());
  {
    auto log = JobLogWriter::Open(path, false);
    ASSERT_TRUE(log.ok());
    ASSERT_TRUE((*log)
                    ->Write(JobLogLine(0, JobId(7), Entry(0, TaskState::kSucceeded), "w-1") +
                            JobLogLine(1, JobId(7), Entry(1, TaskState::kFailed), "w-1"))
                    .ok());
  }
  {
    auto log = JobLogWriter::Open(path, true);
    ASSERT_TRUE(
        (*log)->Write(JobLogLine(70, JobId(8), Entry(2, TaskState::kSucceeded), "w-2")).ok());
  }
  std::ofstream(path, std::ios::app) << "71\t8/3\tSUCCEE";  // Cut by a crash.
  const auto done = ReadJobLog(path);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->count(), 2u);
  EXPECT_TRUE(done->Contains(0));
  EXPECT_FALSE(done->Contains(1));
  EXPECT_TRUE(done->Contains(70));
  EXPECT_FALSE(done->Contains(71));
}

TEST(JobLogTest, NoLogIsAnEmptyOneAndAnythingElseIsRefused) {
  EXPECT_EQ(ReadJobLog(testing::TempDir() + "/none")->count(), 0u);
  const std::string path = testing::TempDir() + "/other." + std::to_string(getpid());
  std::ofstream(path) << "hello\nworld\n";
  EXPECT_FALSE(ReadJobLog(path).ok());
}

TEST(PositionMapTest, IndexesFindTheirInputsWhenSomeWereSkipped) {
  PositionMap map;
  for (const uint64_t position : {0, 1, 5, 6, 9}) map.Append(position);
  EXPECT_EQ(map.At(0), 0u);
  EXPECT_EQ(map.At(2), 5u);
  EXPECT_EQ(map.At(3), 6u);
  EXPECT_EQ(map.At(4), 9u);
}

}  // namespace
}  // namespace reeve
