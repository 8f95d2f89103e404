// What reader and writer of the SQLite store must agree on: row ids, checksums, times.
//
// Thread: none.

#ifndef REEVE_MASTER_STORE_SQLITE_ROWS_H_
#define REEVE_MASTER_STORE_SQLITE_ROWS_H_

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/ids.h"
#include "base/strings.h"
#include "xxhash.h"

#define REEVE_RETURN_IF_ERROR(expression)                 \
  do {                                                    \
    if (absl::Status s = (expression); !s.ok()) return s; \
  } while (false)

namespace reeve {

// Of a chunk of inputs (`low`: its first index) or results (their sequence number).
inline int64_t RowId(JobId job, uint64_t low) {
  return static_cast<int64_t>(job.value << 32 | low);
}

inline int64_t Checksum(std::string_view meta, std::string_view bytes) {
  const uint64_t first = XXH3_64bits(meta.data(), meta.size());
  return static_cast<int64_t>(XXH3_64bits_withSeed(bytes.data(), bytes.size(), first));
}

// 0 stands for never.
inline int64_t Micros(absl::Time time) {
  return time == absl::InfiniteFuture() ? 0 : absl::ToUnixMicros(time);
}
inline absl::Time FromMicros(int64_t us) {
  return us == 0 ? absl::InfiniteFuture() : absl::FromUnixMicros(us);
}

// Stores of before version 4 had others.
inline int32_t PriorityOf(int64_t stored) {
  return static_cast<int32_t>(std::clamp<int64_t>(stored, 0, kHighestPriority));
}

inline absl::Status Damaged(std::string_view what, JobId job) {
  return absl::DataLossError(StrCat("checksum of ", what, " of job ", job.value, " is wrong"));
}

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_SQLITE_ROWS_H_
