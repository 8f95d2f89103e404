// How often durations occurred: buckets of microseconds, eight to each power of two, so that a
// percentile is at most an eighth above the truth.
//
// Thread: none.

#ifndef REEVE_BASE_TIME_HISTOGRAM_H_
#define REEVE_BASE_TIME_HISTOGRAM_H_

#include <array>
#include <bit>
#include <cstdint>

namespace reeve {

// So many durations fell into a bucket.
struct TimeCount {
  uint32_t bucket = 0;
  uint32_t count = 0;
  bool operator==(const TimeCount&) const = default;
};

class TimeHistogram {
 public:
  static constexpr uint32_t kBuckets = 240;  // For every uint32_t.

  static constexpr uint32_t BucketOf(uint32_t us) {
    if (us < 8) return us;
    const auto power = static_cast<uint32_t>(std::bit_width(us)) - 1;
    return (power - 2) * 8 + ((us >> (power - 3)) & 7);
  }
  // The longest duration of a bucket.
  static constexpr uint32_t LongestOf(uint32_t bucket) {
    if (bucket < 8) return bucket;
    const uint32_t power = bucket / 8 + 2, part = bucket % 8;
    return static_cast<uint32_t>((uint64_t{8 + part + 1} << (power - 3)) - 1);
  }

  // REQUIRES: bucket < kBuckets.
  void Add(TimeCount times) {
    buckets_[times.bucket] += times.count;
    count_ += times.count;
  }
  uint64_t count() const { return count_; }
  // At most this many microseconds took a share of `share` (0 to 1) of them; 0 if there are none.
  uint32_t Percentile(double share) const;

 private:
  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
};

}  // namespace reeve

#endif  // REEVE_BASE_TIME_HISTOGRAM_H_
