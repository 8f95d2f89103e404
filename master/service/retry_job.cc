#include "master/service/retry_job.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/result_batch.h"
#include "base/strings.h"
#include "master/service/validate.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {
namespace {

constexpr int kMaxExitCodes = 256;
constexpr int kMaxIndexes = 10'000;
constexpr size_t kRunsPerRead = 16'384;
// Of tasks that do not follow one another.
constexpr size_t kMaxSelectedRuns = 4'000'000;

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

absl::Status Nothing(std::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "NOTHING_TO_RETRY", message);
}

absl::Status ReadFault(const absl::Status& status) {
  return MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS", ToStd(status.message()));
}

// Which tasks: all that is not empty must hold.
struct Filter {
  std::set<TaskState> states;
  std::set<Reason> reasons;
  std::set<uint32_t> exit_codes;
  std::set<TaskIndex> indexes;
  bool succeeded_too = false;

  bool HasState(TaskState state) const {
    if (state == TaskState::kSucceeded && !succeeded_too) return false;
    return states.empty() || states.contains(state);
  }
  // Only the results themselves tell.
  bool NeedsResults() const { return !reasons.empty() || !exit_codes.empty(); }
  bool HasResult(const ResultEntry& entry) const {
    return (reasons.empty() || reasons.contains(entry.reason)) &&
           (exit_codes.empty() || exit_codes.contains(entry.exit_code));
  }
};

absl::StatusOr<Filter> FilterOf(const v1::RetryJobRequest& request) {
  Filter filter;
  filter.succeeded_too = request.succeeded_too();
  for (const int state : request.states()) {
    if (!v1::Task::State_IsValid(state) || !IsTerminal(static_cast<TaskState>(state)))
      return Bad("states: SUCCEEDED, FAILED, CANCELLED or EXPIRED");
    if (state == v1::Task::SUCCEEDED) filter.succeeded_too = true;
    filter.states.insert(static_cast<TaskState>(state));
  }
  for (const int reason : request.reasons()) {
    if (reason == v1::Task::REASON_UNSPECIFIED || !v1::Task::Reason_IsValid(reason))
      return Bad("reasons: not a reason");
    filter.reasons.insert(static_cast<Reason>(reason));
  }
  if (request.exit_codes_size() > kMaxExitCodes) return Bad("exit_codes: at most 256");
  filter.exit_codes.insert(request.exit_codes().begin(), request.exit_codes().end());
  if (request.indexes_size() > kMaxIndexes) return Bad("indexes: at most 10,000");
  filter.indexes.insert(request.indexes().begin(), request.indexes().end());
  return filter;
}

// Runs in any order, put together in the end.
class Selection {
 public:
  explicit Selection(const Filter& filter) : filter_(filter) {}

  void Add(Run run) {
    if (filter_.indexes.empty()) return runs_.push_back(run);
    const auto end = filter_.indexes.lower_bound(run.end());
    for (auto it = filter_.indexes.lower_bound(run.first); it != end; ++it)
      runs_.push_back({*it, 1});
  }
  bool is_full() const { return runs_.size() > kMaxSelectedRuns; }
  std::vector<Run> Take() {
    std::sort(runs_.begin(), runs_.end(),
              [](const Run& a, const Run& b) { return a.first < b.first; });
    std::vector<Run> merged;
    for (const Run& run : runs_) {
      if (!merged.empty() && merged.back().end() == run.first) {
        merged.back().count += run.count;
      } else {
        merged.push_back(run);
      }
    }
    return merged;
  }

 private:
  const Filter& filter_;
  std::vector<Run> runs_;
};

absl::Status AddFromRow(StoreReader& reader, JobId job, const StoredResults& row,
                        const Filter& filter, Selection* selection) {
  std::vector<PositionedRun> candidates;
  for (const ResultRun& run : row.runs) {
    if (!filter.HasState(run.state)) continue;
    if (filter.NeedsResults()) {
      candidates.push_back(run.run);
    } else {
      selection->Add(run.run.run());
    }
  }
  if (candidates.empty()) return absl::OkStatus();
  const auto whole = reader.ReadResult(job, row.seq);
  if (!whole.ok()) return ReadFault(whole.status());
  const auto batch = ResultBatch::Parse(whole->body);
  if (!batch.ok()) return ReadFault(batch.status());
  (*batch)->ForEach(candidates, [&](const ResultEntry& entry) {
    if (filter.HasResult(entry)) selection->Add({entry.index, 1});
  });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Run>> Select(StoreReader& reader, const StoredJob& job,
                                        const Filter& filter) {
  Selection selection(filter);
  const TaskState unrun =
      job.view.state == JobState::kExpired ? TaskState::kExpired : TaskState::kCancelled;
  if (filter.HasState(unrun) && !filter.NeedsResults()) {
    for (const Run& run : job.cancelled) selection.Add(run);
  }
  for (uint64_t after = 0;;) {
    const auto rows = reader.ReadResultRuns(job.view.job, after, kRunsPerRead);
    if (!rows.ok()) return ReadFault(rows.status());
    if (rows->empty()) break;
    for (const StoredResults& row : *rows) {
      after = row.seq;
      if (absl::Status s = AddFromRow(reader, job.view.job, row, filter, &selection); !s.ok())
        return s;
      if (selection.is_full())
        return Bad("too many tasks that do not follow one another: retry fewer at a time");
    }
  }
  return selection.Take();
}

// The inputs of an array are made; others stay where they are.
absl::Status ShareInputs(StoreReader& reader, const StoredJob& job, CreateJob* event) {
  event->array_count = job.array_count;
  if (job.array_count > 0) return absl::OkStatus();
  auto chunks = reader.ReadChunks(job.view.job);
  if (absl::IsNotFound(chunks.status()))
    return Nothing(StrCat("job ", job.view.job.value, " is EPHEMERAL, its inputs are gone"));
  if (!chunks.ok()) return ReadFault(chunks.status());
  for (ChunkImage& chunk : *chunks) {
    event->chunks.push_back(
        {chunk.run, chunk.bytes, std::move(chunk.positions), std::move(chunk.task_keys)});
  }
  return absl::OkStatus();
}

absl::StatusOr<CreateJob> EventOf(StoreReader& reader, const v1::RetryJobRequest& request,
                                  const StoredJob& job, const Filter& filter,
                                  const std::string& owner) {
  store::v1::JobRecord record;
  record.ParseFromArray(job.view.record.view().data(), static_cast<int>(job.view.record.size()));
  auto event = ValidateRetry(request, record, absl::Now(), owner);
  if (!event.ok()) return event;
  // What it finds again is known to the other job, not to this one.
  event->options.accepts_inputs = false;
  event->options.max_tasks = 0;
  auto selected = Select(reader, job, filter);
  if (!selected.ok()) return selected.status();
  if (selected->empty())
    return Nothing(StrCat("job ", job.view.job.value, " has no such task that could be retried"));
  event->selected = *std::move(selected);
  if (absl::Status s = ShareInputs(reader, job, &*event); !s.ok()) return s;
  return event;
}

}  // namespace

void MakeRetry(const ServiceParts& parts, const v1::RetryJobRequest& request,
               const std::string& owner, std::function<void(absl::StatusOr<CreateJob>)> done) {
  auto filter = FilterOf(request);
  if (!filter.ok()) return done(filter.status());
  if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok()) return done(s);
  const JobId job(request.job_id());
  CheckJob(parts, job, Wish::kControl, [=, filter = *std::move(filter)](absl::Status may) {
    if (!may.ok()) return done(may);
    FindJob(parts, job, nullptr, [=](absl::StatusOr<FoundJob> found) {
      if (!found.ok()) return done(found.status());
      if (found->live) {
        return done(MakeError(absl::StatusCode::kFailedPrecondition, "JOB_NOT_ENDED",
                              StrCat("job ", job.value, " has not ended")));
      }
      const bool posted =
          parts.reader->Post(found->store, [=, stored = found->job](StoreReader& reader) {
            done(EventOf(reader, request, stored, filter, owner));
          });
      if (!posted) {
        done(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                       absl::Milliseconds(200)));
      }
    });
  });
}

}  // namespace reeve
