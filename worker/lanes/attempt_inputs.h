// The new inputs that an attempt adds to its job (AttemptContext::AddInput), within their bounds.
//
// Thread: the attempt's.

#ifndef REEVE_WORKER_LANES_ATTEMPT_INPUTS_H_
#define REEVE_WORKER_LANES_ATTEMPT_INPUTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/input_batch.h"
#include "worker/lanes/lane.h"

namespace reeve {

class AttemptInputs {
 public:
  // Errors: RESOURCE_EXHAUSTED  more than kMaxNewInputs, or than fits a result with them.
  absl::Status Add(const InputKey& key, std::string_view input);

  bool empty() const { return entries_.empty(); }
  // What counts of kMaxPayloadBytes, beside the output.
  size_t cost() const { return blob_.size() + entries_.size() * kNewInputCost; }
  void Clear();

  // Calls `visit(const InputKey&, std::string_view)` for each, in order.
  template <typename Visit>
  void ForEach(Visit visit) const {
    size_t at = 0;
    for (const Entry& entry : entries_) {
      visit(entry.key, std::string_view(blob_).substr(at, entry.bytes));
      at += entry.bytes;
    }
  }

 private:
  struct Entry {
    InputKey key;
    uint32_t bytes = 0;
  };
  std::vector<Entry> entries_;
  std::string blob_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_ATTEMPT_INPUTS_H_
