// Collects outcomes of one span into a report, and what their attempts add to the job beside them.
//
// Private to worker/lanes.
//
// Thread: none.

#ifndef REEVE_WORKER_LANES_REPORT_BUILDER_H_
#define REEVE_WORKER_LANES_REPORT_BUILDER_H_

#include <cstddef>
#include <string>

#include "base/input_batch.h"
#include "base/result_batch.h"
#include "worker/lanes/attempt_additions.h"
#include "worker/lanes/lane.h"

namespace reeve {

class ReportBuilder {
 public:
  explicit ReportBuilder(SpanKey span) { report_.span = span; }

  bool empty() const { return results_.empty(); }
  // About what the report has so far.
  size_t bytes() const {
    return results_.bytes() + new_inputs_.payload_bytes() + new_inputs_.count() * kNewInputCost +
           report_.counted.size() * kCountBytes + report_.details_bytes;
  }

  // Copies an outcome. REQUIRES: indices ascend within a report.
  void Add(const ResultEntry& entry);
  // The same, with what the attempt says of the next one: taken if it has not succeeded.
  void Add(const ResultEntry& entry, LastWords* words);
  // The same, with what the attempt adds to its job: taken if it has succeeded, gone in any case.
  void Add(const ResultEntry& entry, AttemptAdditions* additions, LastWords* words);

  // The report, whose run time is that of its attempts one by one; empty afterwards.
  // REQUIRES: !empty().
  LaneReport Finish(const std::string& worker_name);

 private:
  void Take(const AttemptAdditions& additions);

  // About what a count takes: its counter's name, mostly.
  static constexpr size_t kCountBytes = 48;

  LaneReport report_;
  ResultBatchBuilder results_;
  InputBatchBuilder new_inputs_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_REPORT_BUILDER_H_
