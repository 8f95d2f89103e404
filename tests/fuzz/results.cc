// What a worker sends to the collector: an accepted batch names exactly the indexes and failures of
// its body.

#include <algorithm>

#include "base/result_batch.h"
#include "master/dispatch/link_messages.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

void CheckBatch(const ResultBatchArrived& batch) {
  const auto body = ResultBatch::Parse(batch.body);
  Require(body.ok(), "the body of an accepted batch can be read");
  if ((*body)->count() > 10'000) return;
  std::vector<TaskIndex> said, held;
  for (const LeasedRun& run : batch.runs) {
    Require(uint64_t{run.run.first} + run.run.count <= kMaxTasksPerJob, "a run lies within a job");
    for (uint32_t i = 0; i < run.run.count; ++i) said.push_back(run.run.first + i);
  }
  std::vector<uint32_t> failed;
  (*body)->ForEach((*body)->body_runs(), [&](const ResultEntry& entry) {
    if (entry.state != TaskState::kSucceeded) failed.push_back(uint32_t(held.size()));
    held.push_back(entry.index);
  });
  Require(said == held, "leases cover exactly the indexes of the body");
  Require(failed.size() == batch.failed.size(), "the failures are those of the body");
  for (size_t i = 0; i < failed.size(); ++i)
    Require(failed[i] == batch.failed[i].position, "a failure stands where the body has it");
  for (const FailedEntry& entry : batch.failed) {
    Require(entry.exit_code <= 255 && entry.details.size() <= kMaxDetailsBytes,
            "what a failure says is bounded");
    Require(!entry.again.has_value() || (!entry.permanent && *entry.again >= absl::ZeroDuration() &&
                                         *entry.again <= absl::Hours(24)),
            "a failure is tried again within a day, or not");
  }
  uint64_t inputs = 0;
  for (const NewInputs::Part& part : batch.added.parts) {
    Require(part.position < held.size() &&
                !std::binary_search(failed.begin(), failed.end(), part.position),
            "what succeeded adds inputs");
    inputs += part.count;
  }
  Require(inputs == batch.added.keys.size() && (inputs > 0) == (batch.added.inputs != nullptr),
          "every new input was added by an entry and has a key");
  Require(batch.run_time >= absl::ZeroDuration(), "time does not run backwards");
}

}  // namespace

void Fuzz(std::string_view input) {
  const Parts parts = Split(input);
  link::v1::Results wire;
  if (!ParseMessage(parts.first, &wire)) return;
  const auto arrived = FromWire(wire, Borrow(parts.second));
  if (!arrived.ok()) return;
  size_t bytes = 0;
  for (const ResultBatchArrived& batch : arrived->batches) {
    bytes += batch.body.size();
    CheckBatch(batch);
  }
  Require(bytes <= parts.second.size(), "bodies do not overlap");
}

}  // namespace reeve::fuzz
