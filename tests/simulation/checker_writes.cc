// What may become durable: every write, just before it does.

#include <algorithm>

#include "base/result_batch.h"
#include "tests/simulation/asks.h"
#include "tests/simulation/checker.h"

namespace reeve::sim {

void Checker::Check(const PutJob& put) {
  Require(store_->Find(put.view.job) == nullptr, "a job is created once", put.view.job.value);
  Require(!store_->JobOf(put.request_id), "one job a request id", put.view.job.value);
  if (put.options.ephemeral) ephemeral_.insert(put.view.job);
}

void Checker::Check(const ReserveJobIds& put) {
  Require(put.below >= store_->ids_below(), "reserved job ids only grow", put.below.value);
}

void Checker::Check(const DropRoster& put) {
  if (!welcomed_.contains(put.worker_id)) world_->Saw(Seen::kWindowClosed);
}

void Checker::Check(const PutFrontier& put) {
  const JobRow* row = store_->Find(put.job);
  Require(row != nullptr && put.frontier >= row->frontier, "a frontier only grows", put.job.value);
  if (row != nullptr && row->frontier > 0) world_->Saw(Seen::kFrontierExtended);
}

void Checker::Check(const PutInputs& put) {
  const JobRow* row = store_->Find(put.job);
  if (row == nullptr) return Require(false, "inputs belong to a job", put.job.value);
  Require(!IsTerminal(row->state), "an ended job gets no tasks", put.job.value);
  Require(put.run.first == row->total(), "chunks have no gaps", put.job.value, put.run.first);
  Require(births_.insert(put.birth).second, "a birth is used once", put.birth.counter);
  if (put.inputs == nullptr && row->put.array_count == 0) CheckShared(put, *row);
  if (row->put.options.accepts_inputs) CheckNodes(put, *row);
  if (put.appender.empty() || !world_->broken.empty()) return;
  const auto offset = row->appenders.find(put.appender);
  const uint64_t before = offset == row->appenders.end() ? 0 : offset->second;
  Require(put.appender_offset == before + put.inputs->count(), "appended tasks are recorded once",
          put.job.value, put.appender_offset);
  const uint64_t key = WordOf(row->put.view.record.view(), 0);
  for (uint32_t i = 0; i < put.run.count; ++i) {
    const uint32_t at = put.positions == nullptr ? i : put.positions->At(i);
    const std::string sent = ClientInput(world_->config, key, put.appender[0] - 'a', before + at);
    Require(put.inputs->Input(at) == sent, "an appended task is what was sent", put.job.value,
            put.run.first + i);
  }
}

// The other job may be deleted later; what was shared by then stays.
void Checker::CheckShared(const PutInputs& put, const JobRow& row) {
  const JobExtras* extras = row.put.options.extras.get();
  Require(extras != nullptr && put.source && put.source == extras->retry_of,
          "inputs that are not brought along are those of the job that is tried again",
          put.job.value, put.source.value);
  const JobRow* other = store_->Find(put.source);
  const ChunkImage* chunk = other == nullptr ? nullptr : other->ChunkOf(put.run.first);
  Require(chunk != nullptr && chunk->run == put.run && chunk->bytes == put.bytes,
          "inputs that are shared are there", put.job.value, put.source.value);
  world_->Saw(Seen::kInputsShared);
}

void Checker::CheckNodes(const PutInputs& put, const JobRow& row) {
  const uint32_t chosen = put.positions == nullptr ? put.inputs->count() : put.positions->count();
  Require(chosen == put.run.count && put.keys.size() == chosen,
          "the tasks of a chunk are the inputs that were chosen", put.job.value, put.run.first);
  if (!world_->broken.empty()) return;
  Require(put.run.end() <= row.put.options.max_tasks, "a job has no more than max_tasks",
          put.job.value, put.run.end());
  for (uint32_t i = 0; i < chosen; ++i) {
    const uint64_t node =
        NodeOf(put.inputs->Input(put.positions == nullptr ? i : put.positions->At(i)));
    Require(put.keys[i] == NodeKey(node), "keys are those of the tasks", put.job.value,
            put.run.first + i);
    Require(
        std::find(row.keys.begin(), row.keys.end(), put.keys[i]) == row.keys.end() &&
            std::find(put.keys.begin(), put.keys.begin() + i, put.keys[i]) == put.keys.begin() + i,
        "a key has one task", put.job.value, put.run.first + i);
  }
}

void Checker::Check(const PutAppender& put) {
  const JobRow* row = store_->Find(put.job);
  if (row == nullptr) return Require(false, "an appender belongs to a job", put.job.value);
  const auto offset = row->appenders.find(put.appender);
  Require(row->put.options.accepts_inputs &&
              put.offset > (offset == row->appenders.end() ? 0 : offset->second),
          "an appender only goes on", put.job.value, put.offset);
}

void Checker::CheckEntry(const PutResults& put, const JobRow& row, TaskIndex index,
                         uint32_t position, TaskState state) {
  const uint64_t uid = WordOf(put.body.view(), 0) & ~kLaneBodyMask;
  if (index >= row.total() || uid == 0 || uid > batches_.size())
    return Require(false, "a result is of a task", put.job.value, index);
  const BatchRecord& batch = batches_[uid - 1];
  Require(current_.contains({uid, index}), "a recorded result's lease was current when admitted",
          put.job.value, index);
  Require(batch.job == put.job && row.ChunkOf(index)->birth == batch.birth,
          "births of result and task match", put.job.value, index);
  Require(row.tasks[index].state == TaskState::kUnspecified, "a terminal task is never changed",
          put.job.value, index);
  Require(position < batch.entries.size() && batch.entries[position].index == index,
          "a result lies where its run says", put.job.value, index);
  const uint64_t value = ValueOf(world_->config, row, index);
  const bool succeeded = state == TaskState::kSucceeded;
  Require(WordOf(put.body.view(), 1 + position) == (succeeded ? value : FailedValue(value)),
          "a result is that of its task", put.job.value, index);
}

void Checker::Check(const PutResults& put) {
  const JobRow* row = store_->Find(put.job);
  if (row == nullptr) return Require(false, "results belong to a job", put.job.value);
  Require(!IsTerminal(row->state), "an ended job gets no results", put.job.value);
  Require(put.seq == row->last_seq + 1, "results are numbered without gaps", put.job.value,
          put.seq);
  if ((WordOf(put.body.view(), 0) & kLaneBodyMask) != kLaneBody) return CheckOwn(put, *row);
  for (const ResultRun& run : put.runs) {
    for (uint32_t i = 0; i < run.run.count; ++i) {
      const TaskIndex index = run.run.first + i;
      CheckEntry(put, *row, index, run.run.position + i, run.state);
      if (!world_->broken.empty()) return;
      if (run.state != TaskState::kFailed) continue;
      CheckFailed(put, *row, index);
    }
  }
  for (const RetryOutcome& retry : put.retries) CheckRetry(put, *row, retry);
}

const FailedEntry& Checker::FailureOf(uint64_t uid, TaskIndex index) const {
  for (const BatchRecord::Entry& entry : batches_[uid - 1].entries) {
    if (entry.index == index) return entry.failure;
  }
  static const FailedEntry* const kNone = new FailedEntry();
  return *kNone;
}

void Checker::CheckFailed(const PutResults& put, const JobRow& row, TaskIndex index) {
  world_->Saw(Seen::kFailedForGood);
  const FailedEntry& failure = FailureOf(WordOf(put.body.view(), 0) & ~kLaneBodyMask, index);
  const bool last = row.tasks[index].failures + 1 == row.put.options.max_attempts;
  const JobExtras* extras = row.put.options.extras.get();
  const bool refused = !IsRetried(extras == nullptr ? RetryRules() : extras->retry, failure);
  if (refused && !last) world_->Saw(Seen::kNotRetried);
  Require(last || refused || row.ending.halted, "a task fails for good after its last attempt",
          put.job.value, index);
  Require(!failure.again.has_value() || row.ending.halted || row.put.options.at_most_once,
          "who asks to be tried again is tried again", put.job.value, index);
}

void Checker::CheckRetry(const PutResults& put, const JobRow& row, const RetryOutcome& retry) {
  const TaskIndex index = retry.run.first;
  world_->Saw(Seen::kRetried);
  if (index >= row.total()) return Require(false, "a retry is of a task", put.job.value, index);
  const TaskRow& task = row.tasks[index];
  Require(task.state == TaskState::kUnspecified, "a terminal task is not retried", put.job.value,
          index);
  const FailedEntry& failure = FailureOf(WordOf(put.body.view(), 0) & ~kLaneBodyMask, index);
  const bool again = failure.again.has_value();
  if (again) world_->Saw(Seen::kAgain);
  Require(retry.failed_attempts == task.failures + (again ? 0 : 1) &&
              retry.failed_attempts < row.put.options.max_attempts,
          "each failed attempt is counted once", put.job.value, index);
  const JobExtras* extras = row.put.options.extras.get();
  Require(again || IsRetried(extras == nullptr ? RetryRules() : extras->retry, failure),
          "what must not be tried again is not", put.job.value, index);
  asks_.OnFailed(put.job, index, failure.details);
  Require(retry.suspicions == task.suspicions && retry.crashes == task.crashes,
          "an attempt that failed is no crash", put.job.value, index);
  const uint64_t uid = WordOf(put.body.view(), 0) & ~kLaneBodyMask;
  Require(current_.contains({uid, index}), "a recorded failure's lease was current when admitted",
          put.job.value, index);
  Require(retried_.insert({uid, index}).second, "a failed attempt is recorded once", put.job.value,
          index);
}

void Checker::CheckOwn(const PutResults& put, const JobRow& row) {
  for (const RetryOutcome& retry : put.retries) {
    if (retry.run.end() > row.total() || IsTerminal(row.tasks[retry.run.first].state))
      return Require(false, "a terminal task is not charged", put.job.value, retry.run.first);
    losses_.CheckCounted(row, retry);
  }
  if (put.runs.empty()) return;
  const auto body = ResultBatch::Parse(put.body);
  if (!body.ok()) return Require(false, "what the master records can be read", put.job.value);
  for (const ResultRun& run : put.runs) {
    for (uint32_t i = 0; i < run.run.count; ++i) {
      const TaskIndex index = run.run.first + i;
      if (index >= row.total() || run.run.position + i >= (*body)->count())
        return Require(false, "a result is of a task", put.job.value, index);
      const ResultEntry entry = (*body)->Entry(run.run.position + i, index);
      Require(row.tasks[index].state == TaskState::kUnspecified && run.state == TaskState::kFailed,
              "a terminal task is never changed", put.job.value, index);
      if (entry.reason == Reason::kPoisoned) {
        losses_.CheckPoisoned(row, index, entry.attempt);
      } else if (entry.reason == Reason::kDataLoss) {
        world_->Saw(Seen::kResultsUnreadable);
        Require(ResultsAreDamaged(world_->config, row.put.view.job),
                "only results that cannot be read fail a task before it begins", put.job.value,
                index);
      } else {
        Require(entry.reason == Reason::kWorkerLost, "the master gives a reason", put.job.value,
                index);
        losses_.CheckLost(row, index);
      }
    }
  }
}

void Checker::Check(const PutJobState& put) {
  const JobRow* row = store_->Find(put.job);
  if (row == nullptr) return Require(false, "a state belongs to a job", put.job.value);
  Require(!IsTerminal(row->state), "an ended job stays ended", put.job.value);
  Require(row->state != JobState::kCancelling || put.state == row->ending.as ||
              put.state == JobState::kCancelling,
          "a cancelled job ends as it was to end", put.job.value);
  if (put.counts.duplicate_inputs > row->counts.duplicate_inputs) world_->Saw(Seen::kKeyKnown);
  if (put.counts.dropped_inputs > row->counts.dropped_inputs) world_->Saw(Seen::kMaxTasks);
  Require(put.counts.duplicate_inputs >= row->counts.duplicate_inputs &&
              put.counts.dropped_inputs >= row->counts.dropped_inputs,
          "counts of dropped inputs only grow", put.job.value);
  if (IsTerminal(put.state)) CheckEnd(put, *row);
}

void Checker::CheckEnd(const PutJobState& put, const JobRow& row) {
  CheckNothingLost(row);
  uint64_t succeeded = 0, failed = 0;
  IntervalSet open;
  for (TaskIndex i = 0; i < row.total(); ++i) {
    succeeded += row.tasks[i].state == TaskState::kSucceeded;
    failed += row.tasks[i].state == TaskState::kFailed;
    if (row.Has(i) && row.tasks[i].state == TaskState::kUnspecified) open.Add({i, 1});
  }
  Require(succeeded == put.counts.succeeded && failed == put.counts.failed,
          "counts of an ended job are those of its results", put.job.value);
  Require(open.Runs() == put.cancelled, "a task of an ended job has a result or was cancelled",
          put.job.value, open.size());
  Require(put.ending.as != JobState::kUnspecified
              ? true
              : open.empty() && (put.state == JobState::kFailed) == (failed > 0),
          "a job's end follows from its tasks", put.job.value);
  asks_.CheckEnd(put, row);
}

}  // namespace reeve::sim
