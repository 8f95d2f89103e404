#include "base/inbox.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace reeve {
namespace {

TEST(Inbox, RefusesWhenFullInCountOrBytes) {
  Inbox<int> inbox({.count = 2, .bytes = 100}, nullptr);
  EXPECT_TRUE(inbox.TryPush(1, 60));
  EXPECT_FALSE(inbox.TryPush(2, 60));
  EXPECT_TRUE(inbox.TryPush(3, 40));
  EXPECT_FALSE(inbox.TryPush(4, 0));
  EXPECT_EQ(inbox.Pop(10), (std::vector<int>{1, 3}));
  EXPECT_EQ(inbox.bytes(), 0u);
}

TEST(Inbox, OneValueAlwaysFitsAnEmptyQueue) {
  Inbox<int> inbox({.count = 1, .bytes = 1}, nullptr);
  EXPECT_TRUE(inbox.TryPush(1, 1'000'000));
}

TEST(Inbox, PushWaitsForRoomAndKeepsTheOrder) {
  Doorbell doorbell;
  Inbox<int> inbox({.count = 3, .bytes = 1000}, &doorbell);
  std::thread sender([&] {
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(inbox.Push(i, 1));
  });
  std::vector<int> got;
  while (got.size() < 1000) {
    for (int value : inbox.PopWait(2, absl::Seconds(10))) got.push_back(value);
  }
  sender.join();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(got[i], i);
}

TEST(Inbox, CloseWakesAWaitingSenderAndKeepsWhatIsIn) {
  Inbox<int> inbox({.count = 1, .bytes = 10}, nullptr);
  ASSERT_TRUE(inbox.TryPush(1));
  std::thread sender([&] { EXPECT_FALSE(inbox.Push(2)); });
  inbox.Close();
  sender.join();
  EXPECT_EQ(inbox.Pop(10), std::vector<int>{1});
}

}  // namespace
}  // namespace reeve
