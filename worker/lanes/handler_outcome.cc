#include "worker/lanes/handler_outcome.h"

#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "worker/sdk/verdict.h"

namespace reeve {
namespace {

Reason ReasonOf(const absl::Status& status) {
  if (absl::IsInvalidArgument(status)) return Reason::kBadInput;
  // Ends of an isolated handler's process that a function in this one cannot come to.
  const std::string told = ErrorReason(status);
  for (const Reason reason :
       {Reason::kExitNonzero, Reason::kSignalled, Reason::kTimeout, Reason::kResultTooLarge}) {
    if (told == ToString(reason)) return reason;
  }
  return Reason::kHandlerError;
}

}  // namespace

void TakeReturned(absl::StatusOr<std::string> returned, const AttemptAdditions& additions,
                  ResultEntry* entry, std::string* output, std::string* message, LastWords* words) {
  entry->state = TaskState::kFailed;
  if (!returned.ok()) {
    entry->reason = ReasonOf(returned.status());
    words->permanent = IsPermanent(returned.status());
    if (!words->permanent) words->again = AgainWait(returned.status());
    *message = std::string(Beginning(ToStd(returned.status().message()), kMaxFailureBytes));
  } else if (returned->size() + additions.cost() > kMaxPayloadBytes) {
    entry->reason = Reason::kResultTooLarge;
    *message =
        StrCat("the result has ", returned->size(), " bytes, ",
               !additions.has_inputs() ? "" : StrCat("its new inputs ", additions.cost(), ", "),
               "at most ", kMaxPayloadBytes, " are kept");
  } else {
    entry->state = TaskState::kSucceeded;
    entry->reason = Reason::kNone;
    *output = *std::move(returned);
  }
}

}  // namespace reeve
