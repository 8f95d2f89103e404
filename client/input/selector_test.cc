#include "client/input/selector.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

TEST(SelectorTest, IdsListsRangesAndWordsAreUnderstood) {
  EXPECT_EQ(ParseJobSelector("42")->ids, (std::vector<uint64_t>{42}));
  EXPECT_EQ(ParseJobSelector("1,3,5-8")->ids, (std::vector<uint64_t>{1, 3, 5, 6, 7, 8}));
  EXPECT_EQ(ParseJobSelector("last")->kind, JobSelector::Kind::kLast);
  EXPECT_EQ(ParseJobSelector("all")->kind, JobSelector::Kind::kAll);
  EXPECT_EQ(ParseJobSelector("-")->kind, JobSelector::Kind::kStdin);
}

// Counting up to the largest number once never ended.
TEST(SelectorTest, TheLargestNumberIsOneNumber) {
  EXPECT_EQ(ParseJobSelector("18446744073709551615")->ids, (std::vector<uint64_t>{UINT64_MAX}));
}

TEST(SelectorTest, WhatNamesNoJobIsRefused) {
  for (const char* text : {"", "x", "1,", "8-5", "1--2", "99999999999999999999", "1-99999999999"}) {
    EXPECT_FALSE(ParseJobSelector(text).ok()) << text;
  }
}

TEST(SelectorTest, TasksAndAttemptsAreUnderstood) {
  const auto task = ParseTaskSelector("42/17#2");
  ASSERT_TRUE(task.ok());
  EXPECT_EQ(task->job.ids, (std::vector<uint64_t>{42}));
  EXPECT_EQ(task->index, 17u);
  EXPECT_EQ(task->attempt, 2u);
  EXPECT_EQ(ParseTaskSelector("last/0")->job.kind, JobSelector::Kind::kLast);
  for (const char* text : {"42", "42/", "/1", "42/x", "42/1#", "all/1", "42/99999999999"}) {
    EXPECT_FALSE(ParseTaskSelector(text).ok()) << text;
  }
}

TEST(SelectorTest, NumbersAreBounded) {
  EXPECT_EQ(*ParseNumbers("3,7-9", 10), (std::vector<uint64_t>{3, 7, 8, 9}));
  EXPECT_FALSE(ParseNumbers("0-100", 10).ok());
}

}  // namespace
}  // namespace reeve
