#include "worker/lanes/attempt_additions.h"

#include "base/strings.h"

namespace reeve {

absl::Status AttemptAdditions::AddInput(const InputKey& key, std::string_view input) {
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

absl::Status AttemptAdditions::Count(std::string_view counter, int64_t by) {
  auto it = counts_.find(counter);
  if (it == counts_.end()) {
    if (!IsCounterName(counter)) {
      return absl::InvalidArgumentError(
          StrCat("`", Beginning(counter, 100), "` is no name for a counter: [A-Za-z0-9_.-]{1,64}"));
    }
    if (counts_.size() >= kMaxCounters) {
      return absl::ResourceExhaustedError(StrCat("at most ", kMaxCounters, " counters"));
    }
    it = counts_.emplace(counter, 0).first;
  }
  it->second = SaturatingAdd(it->second, by);
  return absl::OkStatus();
}

void AttemptAdditions::Clear() {
  counts_.clear();
  entries_.clear();
  blob_.clear();
}

}  // namespace reeve
