// What tasks occupy of a worker besides a slot: `cpus`, `memory`, `gpu`, whatever its owner says it
// has. Amounts are counted in thousandths.
//
// Thread: any.

#ifndef REEVE_BASE_RESOURCE_H_
#define REEVE_BASE_RESOURCE_H_

#include <cstdint>
#include <string_view>

namespace reeve {

// Of a job or a worker.
inline constexpr int kMaxResources = 16;
// In thousandths.
inline constexpr int64_t kMostOfAResource = 1'000'000'000'000'000'000;

// 1 to 63 of a-z, 0-9, `.`, `_`, `-`.
inline bool IsResourceName(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") ==
             std::string_view::npos;
}

}  // namespace reeve

#endif  // REEVE_BASE_RESOURCE_H_
