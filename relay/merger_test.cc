#include "relay/merger.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

constexpr absl::Duration kMoment = absl::Milliseconds(2);

class MergerTest : public testing::Test {
 protected:
  static RelayedPart From(const std::string& connection, size_t bytes = 10) {
    return {{}, connection, "", Buffer("body"), Buffer(std::string(bytes, 'x'))};
  }
  bool Add(double ms, const std::string& connection, size_t bytes = 10) {
    RelayedPart part = From(connection, bytes);
    return merger_.Add(At(ms), part);
  }
  bool IsDue(double ms) const { return merger_.Due() <= At(ms); }
  size_t Take(double ms) { return merger_.Take(At(ms)).size(); }
  static absl::Duration At(double ms) { return absl::Seconds(100) + absl::Milliseconds(ms); }

  Merger merger_{{.moment = kMoment, .full_bytes = 1'000, .full_count = 4}};
};

TEST_F(MergerTest, NothingIsNeverDue) { EXPECT_FALSE(IsDue(1e9)); }

TEST_F(MergerTest, AWorkerAloneIsNeverKeptWaiting) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Add(i * 0.1, "a"));
    EXPECT_TRUE(IsDue(i * 0.1)) << i;
    EXPECT_EQ(Take(i * 0.1), 1u);
  }
}

TEST_F(MergerTest, SeveralWorkersAreAloneWhenTheySendSeldom) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Add(i * 3, i % 2 == 0 ? "a" : "b"));
    EXPECT_TRUE(IsDue(i * 3)) << i;
    EXPECT_EQ(Take(i * 3), 1u);
  }
}

TEST_F(MergerTest, OfSeveralThatSendOneFrameGoesEachMoment) {
  Add(0, "a");
  Take(0);
  Add(0.5, "b");
  EXPECT_FALSE(IsDue(0.5));
  Add(1, "c");
  EXPECT_FALSE(IsDue(1.9));
  EXPECT_TRUE(IsDue(2)) << "a moment after the last frame";
  EXPECT_EQ(Take(2), 2u);
}

TEST_F(MergerTest, NothingWaitsLongerThanAMoment) {
  Add(0, "a");
  Take(0);
  double longest = 0, waits_since = -1;
  for (int i = 1; i < 1000; ++i) {
    const double now = i * 0.9;
    if (waits_since >= 0 && IsDue(now)) {
      longest = std::max(longest, absl::ToDoubleMilliseconds(merger_.Due() - At(waits_since)));
      Take(now);
      waits_since = -1;
    }
    if (waits_since < 0) waits_since = now;
    Add(now, i % 2 == 0 ? "a" : "b");
  }
  EXPECT_LE(longest, 2.0);
  EXPECT_GT(longest, 0.0);
}

TEST_F(MergerTest, AFullFrameGoesAtOnce) {
  Add(0, "a");
  Take(0);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Add(0.1, i % 2 == 0 ? "a" : "b"));
  EXPECT_TRUE(merger_.is_full());
  EXPECT_TRUE(IsDue(0.1));
  EXPECT_EQ(Take(0.1), 4u);
  EXPECT_FALSE(merger_.is_full());
}

TEST_F(MergerTest, WhatDoesNotFitIsGivenBackWhole) {
  EXPECT_TRUE(Add(0, "a", 500));
  RelayedPart part = From("b", 600);
  EXPECT_FALSE(merger_.Add(At(0), part));
  EXPECT_EQ(part.blob.size(), 600u);
  EXPECT_EQ(part.connection, "b");
  EXPECT_TRUE(merger_.is_full());
  EXPECT_EQ(Take(0), 1u);
  EXPECT_TRUE(merger_.Add(At(0), part));
}

TEST_F(MergerTest, ALargeOneGoesAlone) {
  EXPECT_TRUE(Add(0, "a", 5'000));
  EXPECT_TRUE(merger_.is_full());
  EXPECT_TRUE(IsDue(0));
}

}  // namespace
}  // namespace reeve
