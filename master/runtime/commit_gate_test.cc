#include "master/runtime/commit_gate.h"

#include <vector>

#include "gtest/gtest.h"

namespace reeve {
namespace {

class CommitGateTest : public testing::Test {
 protected:
  void Pass(After after, int what) {
    gate.Pass(after, what, [this](int& w) { gone.push_back(w); });
  }
  void Commit(StoreKind store, uint64_t number) {
    gate.OnCommitted(store, number, [this](int& w) { gone.push_back(w); });
  }
  CommitGate<int> gate;
  std::vector<int> gone;
};

TEST_F(CommitGateTest, WhatNamesACommitLeavesAfterItAndInOrder) {
  Pass({StoreKind::kDurable, 1}, 1);
  Pass({StoreKind::kDurable, 2}, 2);
  Pass({StoreKind::kDurable, 2}, 3);
  EXPECT_TRUE(gone.empty());
  Commit(StoreKind::kDurable, 1);
  EXPECT_EQ(gone, (std::vector<int>{1}));
  EXPECT_FALSE(gate.empty(StoreKind::kDurable));
  Commit(StoreKind::kDurable, 2);
  EXPECT_EQ(gone, (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(gate.empty(StoreKind::kDurable));
}

TEST_F(CommitGateTest, WhatNamesNoCommitDoesNotWaitBehindWhatDoes) {
  // Refusals and heartbeat answers stood behind the replies of a slow commit.
  Pass({StoreKind::kDurable, 1}, 1);
  Pass({}, 2);
  EXPECT_EQ(gone, (std::vector<int>{2}));
}

TEST_F(CommitGateTest, WhatNamesADoneCommitDoesNotWaitForALaterOne) {
  // A repeated Welcome did, and assignments overtook it.
  Commit(StoreKind::kDurable, 1);
  Pass({StoreKind::kDurable, 2}, 1);
  Pass({StoreKind::kDurable, 1}, 2);
  EXPECT_EQ(gone, (std::vector<int>{2}));
}

TEST_F(CommitGateTest, AStoreDoesNotWaitForTheOther) {
  Pass({StoreKind::kDurable, 1}, 1);
  Pass({StoreKind::kMemory, 1}, 2);
  Commit(StoreKind::kMemory, 1);
  EXPECT_EQ(gone, (std::vector<int>{2}));
}

}  // namespace
}  // namespace reeve
