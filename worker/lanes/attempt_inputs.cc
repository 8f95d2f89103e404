#include "worker/lanes/attempt_inputs.h"

#include "base/strings.h"

namespace reeve {

absl::Status AttemptInputs::Add(const InputKey& key, std::string_view input) {
  if (entries_.size() >= kMaxNewInputs) {
    return absl::ResourceExhaustedError(
        StrCat("an attempt may add at most ", kMaxNewInputs, " new inputs"));
  }
  if (cost() + input.size() + kNewInputCost > kMaxPayloadBytes) {
    return absl::ResourceExhaustedError(StrCat("the new inputs of an attempt may have at most ",
                                               kMaxPayloadBytes, " bytes, each ", kNewInputCost,
                                               " more than its length"));
  }
  entries_.push_back({key, static_cast<uint32_t>(input.size())});
  blob_.append(input);
  return absl::OkStatus();
}

void AttemptInputs::Clear() {
  entries_.clear();
  blob_.clear();
}

}  // namespace reeve
