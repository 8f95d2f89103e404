// What a master says to a worker: inputs of an accepted Assign lie in the blob, runs within a job.
// The first byte chooses the message.

#include "tests/fuzz/fuzz.h"
#include "worker/link/link_messages.h"

namespace reeve::fuzz {
namespace {

bool Sound(Run run) { return uint64_t{run.first} + run.count <= kMaxTasksPerJob; }

void CheckAssign(const link::v1::Assign& wire, std::string_view blob) {
  const auto works = FromWire(wire, Borrow(blob), true);
  if (!works.ok()) return;
  Require(works->size() == size_t(wire.lease_size()), "no span is left out");
  size_t bytes = 0;
  for (const AssignedWork& work : *works) {
    Require(work.span.job != nullptr, "a span has a job");
    Require(work.span.run.count > 0 && Sound(work.span.run), "a span lies within a job");
    for (const PredecessorResults& predecessor : work.span.job->predecessors)
      Require(
          predecessor.name.find_first_of("/.") == std::string::npos && !predecessor.name.empty(),
          "a predecessor has the name of a folder");
    // The first few and the last are enough: spans without bytes may be huge.
    const uint32_t count = work.span.run.count;
    for (uint32_t i = 0; i < count && i < 100; ++i) bytes += work.span.inputs.At(i).size();
    (void)work.span.inputs.At(count - 1);
  }
  Require(bytes <= blob.size(), "inputs do not overlap");
}

void CheckWelcome(const link::v1::Welcome& wire) {
  const auto welcome = FromWire(wire, Epoch(3));
  if (!welcome.ok()) return;
  Require(welcome->heartbeat >= absl::Milliseconds(10), "the heartbeat is bounded");
  Require(welcome->runs.size() == size_t(wire.lease_size()), "no run is left out");
  for (const auto& run : welcome->runs) Require(Sound(run.run), "a run lies within a job");
}

}  // namespace

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  if (input[0] == 'w') {
    link::v1::Welcome welcome;
    if (ParseMessage(input.substr(1), &welcome)) CheckWelcome(welcome);
    return;
  }
  const Parts parts = Split(input.substr(1));
  link::v1::Assign assign;
  if (ParseMessage(parts.first, &assign)) CheckAssign(assign, parts.second);
}

}  // namespace reeve::fuzz
