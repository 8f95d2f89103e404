#include "master/access/budgets.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace reeve {
namespace {

constexpr absl::Duration kBegin = absl::Seconds(1'000);

TEST(Budgets, RequestsComeAtTheirRateWithAsMuchAgainAtOnce) {
  Budgets budgets({.requests = 10});
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(budgets.Spend("alice", 1, 0, kBegin).ok()) << i;
  const absl::Status refused = budgets.Spend("alice", 1, 0, kBegin);
  EXPECT_EQ(ErrorReason(refused), "TOO_MANY_REQUESTS");
  EXPECT_EQ(ErrorRetryAfter(refused), absl::Milliseconds(100));
  EXPECT_TRUE(budgets.Spend("alice", 1, 0, kBegin + absl::Milliseconds(101)).ok());
  EXPECT_FALSE(budgets.Spend("alice", 1, 0, kBegin + absl::Milliseconds(101)).ok());
  EXPECT_TRUE(budgets.Spend("bob", 1, 0, kBegin).ok());
}

TEST(Budgets, ALargeRequestIsLetThroughAndPaidForByWaiting) {
  Budgets budgets({.bytes = 100});
  EXPECT_TRUE(budgets.Spend("alice", 0, 1'200, kBegin).ok());
  const absl::Status refused = budgets.Spend("alice", 0, 1, kBegin);
  EXPECT_EQ(ErrorRetryAfter(refused), absl::Seconds(10));
  EXPECT_TRUE(budgets.Spend("alice", 1, 0, kBegin).ok()) << "one without bytes goes";
  EXPECT_FALSE(budgets.Spend("alice", 0, 1, kBegin + absl::Seconds(9)).ok());
  EXPECT_TRUE(budgets.Spend("alice", 0, 1, kBegin + absl::Seconds(10.1)).ok());
}

TEST(Budgets, WhatIsNotUsedDoesNotPileUp) {
  Budgets budgets({.requests = 1});
  const absl::Duration later = kBegin + absl::Hours(1);
  EXPECT_TRUE(budgets.Spend("alice", 1, 0, kBegin).ok());
  EXPECT_TRUE(budgets.Spend("alice", 1, 0, later).ok());
  EXPECT_TRUE(budgets.Spend("alice", 1, 0, later).ok());
  EXPECT_FALSE(budgets.Spend("alice", 1, 0, later).ok());
}

TEST(Budgets, StreamsAreCountedWhileTheyLast) {
  Budgets budgets({.streams = 2});
  EXPECT_TRUE(budgets.BeginStream("alice", kBegin).ok());
  EXPECT_TRUE(budgets.BeginStream("alice", kBegin).ok());
  EXPECT_EQ(ErrorReason(budgets.BeginStream("alice", kBegin)), "TOO_MANY_REQUESTS");
  EXPECT_TRUE(budgets.BeginStream("bob", kBegin).ok());
  budgets.EndStream("alice");
  EXPECT_TRUE(budgets.BeginStream("alice", kBegin).ok());
}

TEST(Budgets, RootHasNone) {
  Budgets budgets({.requests = 1, .bytes = 1, .streams = 1});
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(budgets.Spend("root", 1, 1 << 30, kBegin).ok());
    EXPECT_TRUE(budgets.BeginStream("root", kBegin).ok());
  }
}

}  // namespace
}  // namespace reeve
