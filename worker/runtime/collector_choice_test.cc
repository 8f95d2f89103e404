#include "worker/runtime/collector_choice.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

const std::string kRelay = "tcp://relay:1", kMasters = "tcp://master:2";

class CollectorChoiceTest : public testing::Test {
 protected:
  // The master lives unless a test says otherwise.
  std::string At(double seconds, bool master_lives = true) {
    if (master_lives) choice_.MasterHeard(absl::Seconds(seconds));
    return choice_.Choose(absl::Seconds(seconds), kMasters);
  }
  void Sent(double seconds, bool taken = true) { choice_.Sent(absl::Seconds(seconds), taken); }

  CollectorChoice choice_{kRelay, {}};
};

TEST_F(CollectorChoiceTest, WithoutARelayItIsTheMasters) {
  CollectorChoice none("", {});
  EXPECT_EQ(none.Choose(absl::Seconds(1), kMasters), kMasters);
}

TEST_F(CollectorChoiceTest, ARelayThatAnswersIsUsedHoweverMuchIsOnItsWay) {
  for (int second = 0; second < 100; ++second) {
    EXPECT_EQ(At(second), kRelay) << second;
    Sent(second);
    if (second % 10 == 9) choice_.Acknowledged();
  }
}

TEST_F(CollectorChoiceTest, ASilentRelayIsPassedByForAWhile) {
  Sent(0);
  Sent(10);
  EXPECT_EQ(At(14.9), kRelay);
  EXPECT_EQ(At(15), kMasters);
  EXPECT_EQ(At(74), kMasters);
  EXPECT_EQ(At(76), kRelay) << "it is tried again";
  Sent(76);
  EXPECT_EQ(At(80), kRelay);
  EXPECT_EQ(At(92), kMasters) << "and passed by again";
}

TEST_F(CollectorChoiceTest, ARelayThatIsNotThereIsPassedBySooner) {
  Sent(0, false);
  Sent(3, false);
  EXPECT_EQ(At(4.9), kRelay);
  EXPECT_EQ(At(5), kMasters);
}

TEST_F(CollectorChoiceTest, ARelayThatIsBackInTimeIsKept) {
  Sent(0, false);
  Sent(4, true);
  EXPECT_EQ(At(8), kRelay);
  choice_.Acknowledged();
  EXPECT_EQ(At(30), kRelay);
}

// Its results are acknowledged by nobody, and when it is back they may come through the relay.
TEST_F(CollectorChoiceTest, TheRelayIsKeptWhileTheMasterIsAway) {
  At(0);
  Sent(0);
  EXPECT_EQ(At(15, false), kRelay);
  Sent(15);
  EXPECT_EQ(At(29, false), kRelay);
  EXPECT_EQ(At(30), kMasters) << "the master lives again and the relay is silent still";
}

// A master that was away for long acknowledged nothing meanwhile.
TEST_F(CollectorChoiceTest, AMasterThatIsBackIsReachedByTheRelayFirst) {
  Sent(0);
  choice_.Welcomed();
  EXPECT_EQ(At(100), kRelay);
  Sent(100);
  EXPECT_EQ(At(116), kMasters);
}

}  // namespace
}  // namespace reeve
