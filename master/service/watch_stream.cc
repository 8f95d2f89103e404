#include "master/service/watch_stream.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "grpcpp/alarm.h"
#include "master/service/convert.h"

namespace reeve {
namespace {

// Between two messages about one job.
constexpr int kWatchMs = 100;
// Between two looks at the logs of a job that runs.
constexpr int kLogsMs = 100;
constexpr size_t kReadBytes = 1u << 20;
constexpr size_t kChunkBytes = 256u << 10;

gpr_timespec In(int ms) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

class WatchStream final : public grpc::ServerWriteReactor<v1::Job>,
                          public JobListener,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(const ServiceParts& parts, JobId job, Guest guest)
      : parts_(parts), job_(job), guest_(std::move(guest)) {}

  void Begin(const absl::Status& refused) {
    self_ = shared_from_this();
    if (!refused.ok()) {
      MutexLock lock(&mu_);
      return End(refused);
    }
    FindJob(parts_, job_, self_, [self = self_](absl::StatusOr<FoundJob> found) {
      MutexLock lock(&self->mu_);
      if (!found.ok()) return self->End(found.status());
      if (!self->pending_) self->view_ = found->job.view;
      self->pending_ = true;
      self->Pump();
    });
    (void)parts_.loop->Query(
        [job = job_](Scheduler& scheduler, const Now&) { scheduler.Watch(job, true); }, {});
  }

  void OnJob(const JobNotice& notice) override {
    MutexLock lock(&mu_);
    view_ = notice.view;
    pending_ = true;
    Pump();
  }
  void OnWriteDone(bool ok) override {
    MutexLock lock(&mu_);
    writing_ = false;
    if (!ok) return End(absl::CancelledError("the client went away"));
    if (last_) return End(absl::OkStatus());
    resting_ = true;
    // Moved out when it fires: an alarm keeps its callback, and with it would keep this for ever.
    alarm_.Set(In(kWatchMs), [self = self_](bool) mutable {
      const std::shared_ptr<WatchStream> stream = std::move(self);
      MutexLock lock(&stream->mu_);
      stream->resting_ = false;
      stream->Pump();
    });
  }
  void OnCancel() override {
    MutexLock lock(&mu_);
    if (!writing_) End(absl::CancelledError("the client went away"));
  }
  void OnDone() override {
    guest_.End();
    parts_.hub->Unsubscribe(job_, this);
    const std::shared_ptr<WatchStream> last = std::move(self_);
  }

 private:
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!pending_ || writing_ || finished_) return;
    last_ = IsTerminal(view_.state);
    if (resting_ && !last_) return;  // The end is told at once.
    pending_ = false;
    writing_ = true;
    message_.Clear();
    ToProto(view_, &message_);
    StartWrite(&message_);
  }
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!std::exchange(finished_, true)) Finish(ToGrpc(status));
  }

  const ServiceParts parts_;
  const JobId job_;
  Guest guest_;
  std::shared_ptr<WatchStream> self_;
  grpc::Alarm alarm_;
  Mutex mu_;
  JobView view_ ABSL_GUARDED_BY(mu_);
  bool pending_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool resting_ ABSL_GUARDED_BY(mu_) = false;
  bool last_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  v1::Job message_;
};

// Live pieces of output first, then, once a task has ended, what its result holds beyond them.
class LogStream final : public grpc::ServerWriteReactor<v1::LogChunk>,
                        public std::enable_shared_from_this<LogStream> {
 public:
  LogStream(const ServiceParts& parts, const v1::StreamLogsRequest& request, Guest guest)
      : parts_(parts),
        job_(request.job_id()),
        guest_(std::move(guest)),
        follow_(request.follow()),
        wanted_(request.indexes().begin(), request.indexes().end()) {}

  void Begin(const absl::Status& refused) {
    self_ = shared_from_this();
    if (!refused.ok()) {
      MutexLock lock(&mu_);
      return End(refused);
    }
    Look();
  }
  void OnWriteDone(bool ok) override {
    MutexLock lock(&mu_);
    writing_ = false;
    if (!ok) return End(absl::CancelledError("the client went away"));
    Pump();
  }
  void OnCancel() override {
    MutexLock lock(&mu_);
    cancelled_ = true;
    alarm_.Cancel();
    if (!writing_) End(absl::CancelledError("the client went away"));
  }
  void OnDone() override {
    guest_.End();
    const std::shared_ptr<LogStream> last = std::move(self_);
  }

 private:
  using Place = std::pair<TaskIndex, uint32_t>;  // Index, stream.

  void Look() {
    FindJob(parts_, job_, nullptr, [self = shared_from_this()](absl::StatusOr<FoundJob> found) {
      if (!found.ok()) {
        MutexLock lock(&self->mu_);
        return self->End(found.status());
      }
      const bool ended = IsTerminal(found->job.view.state);
      const bool posted = self->parts_.reader->Post(
          found->store, [self, ended](StoreReader& reader) { self->Read(reader, ended); });
      if (posted) return;
      MutexLock lock(&self->mu_);
      self->End(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                          absl::Milliseconds(200)));
    });
  }

  void Read(StoreReader& reader, bool ended) {
    MutexLock lock(&mu_);
    if (finished_) return;
    auto logs = reader.ReadLogs(job_, std::nullopt, log_row_, kReadBytes);
    if (!logs.ok())
      return End(
          MakeError(absl::StatusCode::kInternal, "INTERNAL", ToStd(logs.status().message())));
    for (const StoredLog& log : *logs) {
      log_row_ = log.row;
      if (Wants(log.index)) Add(log.index, log.stream, log.attempt, log.offset, log.content.view());
    }
    if (!logs->empty()) {
      more_ = true;
      return Pump();
    }
    auto rows = reader.ReadResults(job_, seq_, kReadBytes);
    if (!rows.ok())
      return End(
          MakeError(absl::StatusCode::kInternal, "INTERNAL", ToStd(rows.status().message())));
    for (const StoredResults& row : *rows) {
      seq_ = row.seq;
      AddResults(row);
    }
    more_ = !rows->empty();
    at_end_ = ended && rows->empty();
    Pump();
  }

  bool Wants(TaskIndex index) const { return wanted_.empty() || wanted_.contains(index); }

  void AddResults(const StoredResults& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto batch = ResultBatch::Parse(row.body);
    if (!batch.ok()) return;
    for (const ResultRun& run : row.runs) {
      for (uint32_t i = 0; i < run.run.count; ++i) {
        const TaskIndex index = run.run.first + i;
        if (!Wants(index)) continue;
        const ResultEntry entry = (*batch)->Entry(run.run.position + i, index);
        // Of a truncated output only the beginning is contiguous; the logs hold what there is.
        if ((entry.flags & (kOutputTruncated | kOutputInLogs)) == 0)
          Add(index, 1, entry.attempt, 0, entry.output);
        if ((entry.flags & (kErrorOutputTruncated | kOutputInLogs)) == 0)
          Add(index, 2, entry.attempt, 0, entry.error_output);
      }
    }
  }

  void Add(TaskIndex index, uint32_t stream, uint32_t attempt, uint64_t offset,
           std::string_view content) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    auto& [last_attempt, sent] = sent_[{index, stream}];
    if (attempt > last_attempt) {
      last_attempt = attempt;
      sent = 0;
    }
    if (attempt < last_attempt || offset + content.size() <= sent) return;
    if (offset < sent) {
      content.remove_prefix(sent - offset);
      offset = sent;
    }
    while (!content.empty()) {
      const std::string_view piece = content.substr(0, kChunkBytes);
      v1::LogChunk chunk;
      chunk.set_index(index);
      chunk.set_stream(stream);
      chunk.set_offset(offset);
      chunk.set_attempt(attempt);
      chunk.set_content(std::string(piece));
      queue_.push_back(std::move(chunk));
      offset += piece.size();
      content.remove_prefix(piece.size());
    }
    sent = offset;
  }

  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      message_ = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
      return StartWrite(&message_);
    }
    if (at_end_ || (!follow_ && !more_)) return End(absl::OkStatus());
    if (cancelled_) return End(absl::CancelledError("the client went away"));
    // Moved out as above.
    alarm_.Set(In(more_ ? 0 : kLogsMs),
               [self = self_](bool) mutable { std::exchange(self, nullptr)->Look(); });
  }
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!std::exchange(finished_, true)) Finish(ToGrpc(status));
  }

  const ServiceParts parts_;
  const JobId job_;
  Guest guest_;
  const bool follow_;
  const std::set<TaskIndex> wanted_;
  std::shared_ptr<LogStream> self_;
  grpc::Alarm alarm_;
  Mutex mu_;
  uint64_t log_row_ ABSL_GUARDED_BY(mu_) = 0, seq_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<Place, std::pair<uint32_t, uint64_t>> sent_
      ABSL_GUARDED_BY(mu_);  // Attempt, bytes sent of it.
  std::deque<v1::LogChunk> queue_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool more_ ABSL_GUARDED_BY(mu_) = false;
  bool at_end_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  v1::LogChunk message_;
};

}  // namespace

grpc::ServerWriteReactor<v1::Job>* StartWatch(const ServiceParts& parts,
                                              const v1::WatchJobRequest& request, Guest guest,
                                              const absl::Status& refused) {
  const auto stream =
      std::make_shared<WatchStream>(parts, JobId(request.job_id()), std::move(guest));
  WatchStream* reactor = stream.get();
  reactor->Begin(refused);
  return reactor;
}

grpc::ServerWriteReactor<v1::LogChunk>* StartLogs(const ServiceParts& parts,
                                                  const v1::StreamLogsRequest& request, Guest guest,
                                                  const absl::Status& refused) {
  const auto stream = std::make_shared<LogStream>(parts, request, std::move(guest));
  LogStream* reactor = stream.get();
  reactor->Begin(refused);
  return reactor;
}

}  // namespace reeve
