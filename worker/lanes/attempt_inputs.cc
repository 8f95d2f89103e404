#include "worker/lanes/attempt_inputs.h"

#include <utility>

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

void ReportInputs::Take(uint32_t position, AttemptInputs* inputs) {
  const uint32_t before = builder_.count();
  inputs->ForEach(
      [this](const InputKey& key, std::string_view input) { builder_.Add(input, key); });
  added_.push_back({position, builder_.count() - before});
  inputs->Clear();
}

void ReportInputs::Finish(LaneReport* report) {
  if (added_.empty()) return;
  report->added = std::exchange(added_, {});
  report->new_inputs = builder_.Finish();
}

}  // namespace reeve
