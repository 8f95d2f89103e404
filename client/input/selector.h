// How jobs and tasks are named on the command line: `42`, `last`, `all`, `1,3,5-8`, `-`; `42/17`,
// `42/17#2`; `3,7-9`.
//
// Parsing only; commands/session.h asks the master what `last` and `all` are. Thread: none.

#ifndef REEVE_CLIENT_INPUT_SELECTOR_H_
#define REEVE_CLIENT_INPUT_SELECTOR_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace reeve {

struct JobSelector {
  enum class Kind { kIds, kLast, kAll, kStdin };
  Kind kind = Kind::kIds;
  std::vector<uint64_t> ids;  // For kIds, in the order given.

  bool operator==(const JobSelector&) const = default;
};

struct TaskSelector {
  JobSelector job;  // One id, or kLast.
  uint32_t index = 0;
  uint32_t attempt = 0;  // 0: not given.
};

// Errors, of all: a usage error that shows what may be given.
absl::StatusOr<JobSelector> ParseJobSelector(std::string_view text);
absl::StatusOr<TaskSelector> ParseTaskSelector(std::string_view text);
// Numbers and ranges, at most `limit` numbers in all: `3,7-9` → 3, 7, 8, 9.
absl::StatusOr<std::vector<uint64_t>> ParseNumbers(std::string_view text, size_t limit);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_SELECTOR_H_
