// The results of ended jobs as the tasks of another one get them: of each task that succeeded its
// output, or its result file if it left one.
//
// Thread: the reader's.

#ifndef REEVE_MASTER_RUNTIME_PREDECESSOR_RESULTS_H_
#define REEVE_MASTER_RUNTIME_PREDECESSOR_RESULTS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"
#include "master/store/store.h"

namespace reeve {

class PredecessorResults {
 public:
  // Of all jobs together; a result costs eight bytes more than it holds.
  static constexpr uint64_t kMaxBytes = 2u << 20;

  explicit PredecessorResults(LoadResults wanted);
  ~PredecessorResults();

  // Takes what lies in one store. Returns: nothing is left to look for in another one, or it has
  // failed. A fault of the store itself is in `fault`.
  bool ReadFrom(StoreReader& reader, absl::Status* fault);

  // What the scheduler is told, once all stores were looked at.
  ResultsLoaded Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_RUNTIME_PREDECESSOR_RESULTS_H_
