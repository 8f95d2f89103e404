#include "base/time_histogram.h"

#include <algorithm>
#include <cmath>

namespace reeve {

uint32_t TimeHistogram::Percentile(double share) const {
  const double wanted = std::max(1.0, std::ceil(share * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[bucket];
    if (count_ > 0 && static_cast<double>(seen) >= wanted) return LongestOf(bucket);
  }
  return 0;
}

}  // namespace reeve
