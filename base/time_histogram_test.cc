#include "base/time_histogram.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

TEST(TimeHistogramTest, BucketsFollowEachOtherWithoutGapsUpToTheLastNumber) {
  uint32_t next = 0;
  for (uint32_t bucket = 0; bucket < TimeHistogram::kBuckets; ++bucket) {
    EXPECT_EQ(TimeHistogram::BucketOf(next), bucket) << next;
    const uint32_t longest = TimeHistogram::LongestOf(bucket);
    EXPECT_EQ(TimeHistogram::BucketOf(longest), bucket) << longest;
    EXPECT_LE(longest - next, next / 8);
    next = longest + 1;
  }
  EXPECT_EQ(next, 0u);  // Beyond the last number.
}

TEST(TimeHistogramTest, PercentilesAreWithinAnEighth) {
  TimeHistogram times;
  EXPECT_EQ(times.Percentile(0.5), 0u);
  for (uint32_t us = 1; us <= 10'000; ++us) times.Add({TimeHistogram::BucketOf(us), 1});
  EXPECT_EQ(times.count(), 10'000u);
  for (const double share : {0.01, 0.5, 0.9, 0.99, 1.0}) {
    const double truth = share * 10'000;
    EXPECT_GE(times.Percentile(share), truth);
    EXPECT_LE(times.Percentile(share), truth * 1.125);
  }
  EXPECT_EQ(times.Percentile(0), 1u);
}

}  // namespace
}  // namespace reeve
