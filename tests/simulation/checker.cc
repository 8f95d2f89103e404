#include "tests/simulation/checker.h"

#include <cstring>

namespace reeve::sim {
namespace {

uint64_t WordOf(std::string_view bytes, size_t index) {
  uint64_t word = 0;
  if ((index + 1) * sizeof word <= bytes.size())
    std::memcpy(&word, bytes.data() + index * sizeof word, sizeof word);
  return word;
}

}  // namespace

uint64_t ArrayValue(uint64_t job_key, TaskIndex index) { return Mix(job_key, index); }
uint64_t InputValue(std::string_view input) { return Mix(WordOf(input, 0), 77); }
std::string AppendInput(uint64_t job_key, uint64_t appender, uint64_t offset) {
  const uint64_t word = Mix(Mix(job_key, appender + 1), offset);
  return std::string(reinterpret_cast<const char*>(&word), sizeof word);
}

void Checker::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

// ---- Master ----

void Checker::OnLife(const Image& image) {
  Require(image.epoch.value > epoch_, "the epoch rises", image.epoch.value);
  epoch_ = image.epoch.value;
  holder_.clear();
  welcomed_.clear();
  current_.clear();
}

void Checker::OnApply(const Write& write) {
  std::visit([this](const auto& put) { Check(put); }, write);
}

void Checker::Check(const PutJob& put) {
  Require(store_->Find(put.view.job) == nullptr, "a job is created once", put.view.job.value);
  Require(!store_->JobOf(put.request_id), "one job a request id", put.view.job.value);
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
  if (put.appender.empty()) return;
  const auto offset = row->appenders.find(put.appender);
  const uint64_t before = offset == row->appenders.end() ? 0 : offset->second;
  Require(put.appender_offset == before + put.run.count, "appended tasks are recorded once",
          put.job.value, put.appender_offset);
  const uint64_t key = WordOf(row->put.view.record.view(), 0);
  for (uint32_t i = 0; i < put.run.count; ++i) {
    Require(put.inputs->Input(i) == AppendInput(key, put.appender[0] - 'a', before + i),
            "an appended task is what was sent", put.job.value, put.run.first + i);
  }
}

void Checker::CheckEntry(const PutResults& put, const JobRow& row, TaskIndex index,
                         uint32_t position, TaskState state) {
  const uint64_t uid = WordOf(put.body.view(), 0);
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
  const uint64_t key = WordOf(row.put.view.record.view(), 0);
  uint64_t value = ArrayValue(key, index);
  for (size_t i = 0; i < row.chunks.size(); ++i) {
    const Run run = row.chunks[i].run;
    if (row.inputs[i] != nullptr && index >= run.first && index < run.end())
      value = InputValue(row.inputs[i]->Input(index - run.first));
  }
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
  for (const ResultRun& run : put.runs) {
    for (uint32_t i = 0; i < run.run.count; ++i) {
      const TaskIndex index = run.run.first + i;
      CheckEntry(put, *row, index, run.run.position + i, run.state);
      if (!world_->broken.empty()) return;
      if (run.state != TaskState::kFailed) continue;
      world_->Saw(Seen::kFailedForGood);
      Require(row->tasks[index].failures + 1 == row->put.options.max_attempts,
              "a task fails for good after its last attempt", put.job.value, index);
    }
  }
  for (const RetryOutcome& retry : put.retries) {
    const TaskIndex index = retry.run.first;
    world_->Saw(Seen::kRetried);
    if (index >= row->total()) return Require(false, "a retry is of a task", put.job.value, index);
    Require(row->tasks[index].state == TaskState::kUnspecified, "a terminal task is not retried",
            put.job.value, index);
    Require(retry.failed_attempts == row->tasks[index].failures + 1 &&
                retry.failed_attempts < row->put.options.max_attempts,
            "each failed attempt is counted once", put.job.value, index);
    Require(current_.contains({WordOf(put.body.view(), 0), index}),
            "a recorded failure's lease was current when admitted", put.job.value, index);
    Require(retried_.insert({WordOf(put.body.view(), 0), index}).second,
            "a failed attempt is recorded once", put.job.value, index);
  }
}

void Checker::Check(const PutJobState& put) {
  const JobRow* row = store_->Find(put.job);
  if (row == nullptr) return Require(false, "a state belongs to a job", put.job.value);
  Require(!IsTerminal(row->state), "an ended job stays ended", put.job.value);
  Require(row->state != JobState::kCancelling || put.state == JobState::kCancelled ||
              put.state == JobState::kCancelling,
          "a cancelled job ends cancelled", put.job.value);
  if (IsTerminal(put.state)) CheckEnd(put, *row);
}

void Checker::CheckEnd(const PutJobState& put, const JobRow& row) {
  uint64_t succeeded = 0, failed = 0;
  IntervalSet open;
  for (TaskIndex i = 0; i < row.total(); ++i) {
    succeeded += row.tasks[i].state == TaskState::kSucceeded;
    failed += row.tasks[i].state == TaskState::kFailed;
    if (row.tasks[i].state == TaskState::kUnspecified) open.Add({i, 1});
  }
  Require(succeeded == put.counts.succeeded && failed == put.counts.failed,
          "counts of an ended job are those of its results", put.job.value);
  Require(open.Runs() == put.cancelled, "a task of an ended job has a result or was cancelled",
          put.job.value, open.size());
  Require(put.state == JobState::kCancelled
              ? true
              : open.empty() && (put.state == JobState::kFailed) == (failed > 0),
          "a job's end follows from its tasks", put.job.value);
}

void Checker::OnArrived(const ResultsArrived& arrived) {
  if (arrived.epoch.value != epoch_) return;
  for (const ResultBatchArrived& batch : arrived.batches) {
    const uint64_t uid = WordOf(batch.body.view(), 0);
    const JobRow* row = store_->Find(batch.job);
    if (row != nullptr && row->state == JobState::kCancelling)
      world_->Saw(Seen::kCancelVersusFinish);
    for (const LeasedRun& leased : batch.runs) {
      for (TaskIndex i = leased.run.first; i < leased.run.end(); ++i) {
        const auto holder = holder_.find({batch.job, i});
        if (holder != holder_.end() && holder->second == leased.lease) current_.insert({uid, i});
      }
    }
  }
}

void Checker::CheckFrontier(const AssignedSpan& span) {
  const JobRow* row = store_->Find(span.job);
  uint32_t frontier = row == nullptr ? 0 : row->frontier;
  const ChunkImage* chunk = row == nullptr ? nullptr : row->ChunkOf(span.run.first);
  if (chunk != nullptr && chunk->birth == span.birth) {
    return Require(span.run.end() <= frontier, "nothing beyond the durable frontier is assigned",
                   span.job.value, span.run.first);
  }
  // Its inputs are on their way: a frontier in the same transaction, or before it, covers it.
  for (const WriteBatch& batch : store_->pending()) {
    bool found = false;
    for (const Write& write : batch.writes) {
      if (const auto* put = std::get_if<PutFrontier>(&write); put && put->job == span.job)
        frontier = put->frontier;
      const auto* inputs = std::get_if<PutInputs>(&write);
      found = found || (inputs && inputs->job == span.job && inputs->birth == span.birth);
    }
    if (!found) continue;
    return Require(span.run.end() <= frontier, "a step covers the inputs of its transaction",
                   span.job.value, span.run.first);
  }
  Require(false, "what is assigned is written", span.job.value, span.run.first);
}

void Checker::OnAssigned(const Assignment& assignment, const std::string& worker_id) {
  Require(store_->InRoster(worker_id), "a worker is in the roster before its first assignment");
  for (const AssignedSpan& span : assignment.spans) {
    CheckFrontier(span);
    for (TaskIndex i = span.run.first; i < span.run.end(); ++i) {
      LeaseSeq& holder = holder_[{span.job, i}];
      // Sent again under the same number, perhaps after the index went elsewhere.
      if (span.lease > holder) holder = span.lease;
    }
  }
}

void Checker::OnWelcome(SessionId, const SendWelcome& welcome, const std::string& worker_id) {
  Require(store_->InRoster(worker_id), "a worker is in the roster before it is welcomed");
  welcomed_.insert(worker_id);
  for (const WelcomeRun& run : welcome.runs) {
    world_->Saw(run.lease ? Seen::kReattached : Seen::kDropped);
    for (TaskIndex i = run.run.first; run.lease && i < run.run.end(); ++i) {
      LeaseSeq& holder = holder_[{run.job, i}];
      if (run.lease > holder) holder = run.lease;
    }
  }
}

void Checker::OnJobReply(const std::string& request, bool create, JobState at_least,
                         const JobReply& reply) {
  if (!reply.status.ok()) return;
  const JobId durable = store_->JobOf(request);
  Require(durable && durable == reply.view.job, "an acknowledged job is durable",
          reply.view.job.value, durable.value);
  const JobRow* row = store_->Find(durable);
  if (row == nullptr) return;
  if (create) {
    const auto [known, fresh] = acked_.try_emplace(request, durable);
    Require(known->second == durable, "a request id names one job", durable.value);
    if (!fresh) world_->Saw(Seen::kRequestRepeated);
  }
  Require(row->state >= at_least, "an acknowledged change of state is durable", durable.value,
          static_cast<uint64_t>(row->state));
  if (at_least == JobState::kCancelling) acked_states_[request] = at_least;
}

void Checker::OnAppendReply(const std::string& appender, const AppendReply& reply) {
  if (!reply.status.ok()) return;
  const JobRow* row = store_->Find(reply.job);
  if (row == nullptr) return Require(false, "an acknowledged append is durable", reply.job.value);
  const auto offset = row->appenders.find(appender);
  const uint64_t durable = offset == row->appenders.end() ? 0 : offset->second;
  Require(reply.committed_offset <= durable, "an acknowledged append is durable", reply.job.value,
          reply.committed_offset);
  Require(reply.run.end() <= row->total(), "acknowledged indexes are durable", reply.job.value);
}

void Checker::OnAck(const AckResults& ack) {
  world_->Saw(Seen::kStaleRefused, ack.superseded.size());
  for (const uint64_t number : ack.recorded) {
    const auto uid = batch_of_.find({ack.session, number});
    if (uid == batch_of_.end()) continue;
    const BatchRecord& batch = batches_[uid->second - 1];
    const JobRow* row = store_->Find(batch.job);
    for (const BatchRecord::Entry& entry : batch.entries) {
      if (entry.state == TaskState::kCancelled) continue;
      const TaskRow* task =
          row != nullptr && entry.index < row->total() ? &row->tasks[entry.index] : nullptr;
      const bool terminal = task != nullptr && task->state != TaskState::kUnspecified;
      const bool counted = retried_.contains({uid->second, entry.index});
      Require(terminal || counted, "a batch acknowledged as recorded is durable", batch.job.value,
              entry.index);
    }
  }
}

void Checker::OnResultsNotice(const ResultsNotice& notice) {
  const JobRow* row = store_->Find(notice.job);
  Require(row != nullptr && row->last_seq >= notice.seq, "what a stream shows is durable",
          notice.job.value, notice.seq);
}

void Checker::OnJobNotice(const JobNotice& notice) {
  const JobRow* row = store_->Find(notice.view.job);
  Require(row != nullptr && row->state >= notice.view.state, "what a watcher sees is durable",
          notice.view.job.value);
}

// ---- Workers ----

uint64_t Checker::OnReport(BatchRecord record) {
  batches_.push_back(std::move(record));
  return batches_.size();
}

void Checker::OnSent(SessionId session, uint64_t number, const Buffer& body) {
  const auto [it, fresh] = batch_of_.try_emplace({session, number}, WordOf(body.view(), 0));
  if (!fresh) world_->Saw(Seen::kResultsResent);
  Require(it->second == WordOf(body.view(), 0), "a batch number names one batch", number);
}

void Checker::OnBegin(JobId job, Birth birth, TaskIndex index) {
  Executions& task = executions_[{job.value, birth, index}];
  ++task.begun;
  if (world_->config.strict)
    Require(task.begun <= task.failed + 1, "nothing is run again without need", job.value, index);
}

void Checker::OnEnd(JobId job, Birth birth, TaskIndex index, TaskState state) {
  if (state == TaskState::kFailed) ++executions_[{job.value, birth, index}].failed;
}

// ---- End ----

bool Checker::AllEnded() const {
  for (const auto& [id, row] : store_->jobs()) {
    if (!IsTerminal(row.state)) return false;
  }
  return true;
}

void Checker::AtEnd(bool finished) {
  for (const auto& [request, job] : acked_) {
    const JobRow* row = store_->Find(job);
    if (row == nullptr) return Require(false, "an acknowledged job is never lost", job.value);
    if (finished)
      Require(IsTerminal(row->state), "what was acknowledged comes to its end", job.value,
              static_cast<uint64_t>(row->state));
  }
}

}  // namespace reeve::sim
