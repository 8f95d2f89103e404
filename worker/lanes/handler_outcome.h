// What becomes of what a handler returns that ran in this process.
//
// Private to worker/lanes.
//
// Thread: any.

#ifndef REEVE_WORKER_LANES_HANDLER_OUTCOME_H_
#define REEVE_WORKER_LANES_HANDLER_OUTCOME_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/result_batch.h"
#include "worker/lanes/attempt_additions.h"
#include "worker/lanes/lane.h"

namespace reeve {

// Sets state and reason of `entry`, and `output`, or `message` and what the error says of trying
// again. A result that is over the bound
// together with the new inputs is a failure. A longer message than kMaxFailureBytes is cut: results
// travel in frames of a bounded size, and one that does not fit in would hold up all behind it.
void TakeReturned(absl::StatusOr<std::string> returned, const AttemptAdditions& additions,
                  ResultEntry* entry, std::string* output, std::string* message, LastWords* words);

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_HANDLER_OUTCOME_H_
