// Output of running commands, as the collector takes it: every piece lies in the blob.

#include "master/dispatch/link_messages.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  const Parts parts = Split(input);
  link::v1::Output wire;
  if (!ParseMessage(parts.first, &wire)) return;
  const auto logs = FromWire(wire, Borrow(parts.second));
  if (!logs.ok()) return;
  size_t bytes = 0, pieces = 0;
  for (const auto& [job, of_job] : *logs) {
    for (const StoredLog& log : of_job) {
      Require(log.index < kMaxTasksPerJob, "an index lies within a job");
      Require(log.stream == 1 || log.stream == 2, "there are two streams");
      bytes += log.content.size();
      ++pieces;
    }
  }
  Require(pieces == size_t(wire.chunks_size()), "no piece is left out");
  Require(bytes <= parts.second.size(), "pieces do not overlap");
}

}  // namespace reeve::fuzz
