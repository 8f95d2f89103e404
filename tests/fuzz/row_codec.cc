// Metadata of rows: what is accepted survives a round trip, so a damaged row is refused or means
// what it says. The first byte chooses the kind.

#include "master/store/row_codec.h"

#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

bool Sound(TaskIndex first, uint32_t count) {
  return count > 0 && uint64_t{first} + count <= kMaxTasksPerJob;
}

void CheckRuns(std::string_view bytes) {
  std::vector<Run> runs, again;
  if (!DecodeRuns(bytes, &runs)) return;
  for (const Run& run : runs) Require(Sound(run.first, run.count), "a run lies within a job");
  Require(DecodeRuns(EncodeRuns(runs), &again) && again == runs, "runs survive");
}

void CheckResultRuns(std::string_view bytes) {
  std::vector<ResultRun> runs, again;
  if (!DecodeResultRuns(bytes, &runs)) return;
  for (const ResultRun& run : runs) {
    Require(Sound(run.run.first, run.run.count), "a run lies within a job");
    Require(IsTerminal(run.state) && run.state <= TaskState::kCancelled, "a result is terminal");
  }
  Require(DecodeResultRuns(EncodeResultRuns(runs), &again) && again == runs, "results survive");
}

void CheckRetries(std::string_view bytes) {
  std::vector<RetryOutcome> retries, again;
  if (!DecodeRetries(bytes, &retries)) return;
  Require(DecodeRetries(EncodeRetries(retries), &again) && again.size() == retries.size(),
          "retries survive");
  for (size_t i = 0; i < retries.size(); ++i) {
    Require(Sound(retries[i].run.first, retries[i].run.count), "a run lies within a job");
    Require(retries[i].run == again[i].run && retries[i].reason == again[i].reason &&
                retries[i].due == again[i].due && retries[i].lease == again[i].lease &&
                retries[i].crashes == again[i].crashes && retries[i].details == again[i].details,
            "a retry survives");
  }
}

void CheckPositions(std::string_view bytes) {
  PositionsRef positions, again;
  const uint32_t count = static_cast<uint8_t>(bytes[0]);
  if (!DecodePositions(bytes.substr(1), count, &positions) || positions == nullptr) return;
  Require(positions->count() == count && positions->At(count - 1) < kMaxTasksPerBatch,
          "positions are as many as tasks, and within a batch");
  Require(DecodePositions(EncodePositions(positions), count, &again) && again != nullptr &&
              again->Runs() == positions->Runs(),
          "positions survive");
}

}  // namespace

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  const std::string_view bytes = input.substr(1);
  TaskCounts counts, again;
  switch (input[0]) {
    case 'r': return CheckRuns(bytes);
    case 's': return CheckResultRuns(bytes);
    case 't': return CheckRetries(bytes);
    case 'p': return bytes.empty() ? void() : CheckPositions(bytes);
    default:
      if (!DecodeCounts(bytes, &counts)) return;
      Require(DecodeCounts(EncodeCounts(counts), &again) && again == counts, "counts survive");
  }
}

}  // namespace reeve::fuzz
