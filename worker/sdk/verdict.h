// What a handler may say, besides that it failed, of trying again.
//
//   if (!record.ok()) return reeve::Permanent(record.status());
//   if (answer.status == 429) return reeve::AgainAfter(answer.retry_after, "the API asks for a
//   pause");
//
// Thread: any.

#ifndef REEVE_WORKER_SDK_VERDICT_H_
#define REEVE_WORKER_SDK_VERDICT_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace reeve {

// `error`, and the word that no other attempt would do better: the task has failed, whatever
// attempts it has left. REQUIRES: !error.ok().
absl::Status Permanent(absl::Status error);

// UNAVAILABLE: try again, but not before `wait` has passed (at most a day), and do not count this
// attempt as one of those that the job allows.
absl::Status AgainAfter(absl::Duration wait, std::string_view message);

// What was said. For who calls handlers.
bool IsPermanent(const absl::Status& error);
std::optional<absl::Duration> AgainWait(const absl::Status& error);

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_VERDICT_H_
