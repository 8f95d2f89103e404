// What an attempt adds to its job beside its result, within bounds: new inputs
// (AttemptContext::AddInput) and counts (AttemptContext::Count).
//
// Thread: the attempt's.

#ifndef REEVE_WORKER_LANES_ATTEMPT_ADDITIONS_H_
#define REEVE_WORKER_LANES_ATTEMPT_ADDITIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/ids.h"
#include "base/input_batch.h"

namespace reeve {

class AttemptAdditions {
 public:
  // Errors: RESOURCE_EXHAUSTED  more than kMaxNewInputs, or than fits a result with them.
  absl::Status AddInput(const InputKey& key, std::string_view input);
  // Errors: INVALID_ARGUMENT    no name of a counter.
  //         RESOURCE_EXHAUSTED  more than kMaxCounters.
  absl::Status Count(std::string_view counter, int64_t by);

  bool empty() const { return entries_.empty() && counts_.empty(); }
  bool has_inputs() const { return !entries_.empty(); }
  // What counts of kMaxPayloadBytes, beside the output: the inputs.
  size_t cost() const { return blob_.size() + entries_.size() * kNewInputCost; }
  void Clear();

  // By name, ascending.
  const std::map<std::string, int64_t, std::less<>>& counts() const { return counts_; }
  // Calls `visit(const InputKey&, std::string_view)` for each input, in order.
  template <typename Visit>
  void ForEachInput(Visit visit) const {
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
  std::map<std::string, int64_t, std::less<>> counts_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_ATTEMPT_ADDITIONS_H_
