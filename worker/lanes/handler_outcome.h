// What lanes that run handlers in this process have in common: the input a handler gets, and what
// becomes of what it returns.
//
// Private to worker/lanes.
//
// Thread: any.

#ifndef REEVE_WORKER_LANES_HANDLER_OUTCOME_H_
#define REEVE_WORKER_LANES_HANDLER_OUTCOME_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/result_batch.h"
#include "worker/lanes/attempt_inputs.h"
#include "worker/lanes/lane.h"

namespace reeve {

// Points into `span`, or into `digits` for an array without a shared input.
std::string_view InputOf(const LaneSpan& span, TaskIndex index, char (&digits)[24]);

// Sets state and reason of `entry`, and `output` or `message`. A result that is over the bound
// together with the new inputs is a failure. A longer message than kMaxFailureBytes is cut: results
// travel in frames of a bounded size, and one that does not fit in would hold up all behind it.
void TakeReturned(absl::StatusOr<std::string> returned, const AttemptInputs& inputs,
                  ResultEntry* entry, std::string* output, std::string* message);

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_HANDLER_OUTCOME_H_
