#include "master/service/result_stream.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/wire.h"
#include "master/service/convert.h"
#include "master/service/create_jobs.h"

namespace reeve {
namespace {

// What a stream may hold in memory, and what one read of the store brings.
constexpr size_t kWindowBytes = 4u << 20;
constexpr size_t kReadBytes = 1u << 20;
// A by-index stream makes messages of about this size, and keeps bodies it will need again within
// this bound.
constexpr size_t kMadeBytes = 256u << 10;
constexpr size_t kKeptBodies = 16u << 20;
constexpr size_t kRunsPerRead = 4096;

absl::Status Gone() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "RESULTS_GONE",
                   "the results are not kept any more");
}

struct StreamOptions {
  JobId job;
  uint64_t cursor = 0;
  bool by_index = false;
  bool follow = false;
  std::vector<TaskState> states;
  bool run_job = false;  // Messages are RunJobResponse.
};

class ResultStream final : public RawWriteReactor,
                           public JobListener,
                           public std::enable_shared_from_this<ResultStream> {
 public:
  ResultStream(const ServiceParts& parts, StreamOptions options, Guest guest)
      : parts_(parts),
        options_(std::move(options)),
        guest_(std::move(guest)),
        cursor_id_(parts.hub->NewId()) {
    next_seq_ = options_.by_index ? 1 : options_.cursor + 1;
    next_index_ = static_cast<TaskIndex>(options_.cursor);
  }

  void Begin() {
    self_ = shared_from_this();
    FindJob(parts_, options_.job, self_, [self = self_](absl::StatusOr<FoundJob> found) {
      if (!found.ok() || !self->options_.by_index) return self->OnFound(std::move(found));
      AddSelected(self->parts_, *std::move(found),
                  [self](absl::StatusOr<FoundJob> whole) { self->OnFound(std::move(whole)); });
    });
  }
  void BeginRun(CreateJob event, size_t bytes);

  void OnResults(const ResultsNotice& notice) override;
  void OnJob(const JobNotice& notice) override;
  void OnLogs(const std::vector<StoredLog>& logs) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  struct Row {
    uint64_t seq = 0;
    std::vector<ResultRun> runs;
    Buffer body;
  };
  // A run of the by-index map: where its results lie.
  struct Source {
    uint32_t count = 0;
    uint64_t seq = 0;
    uint32_t position = 0;
  };

  void OnCreated(const Reply& reply);
  void Follow(const JobView& view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnFound(absl::StatusOr<FoundJob> found);
  void OnRows(absl::StatusOr<std::vector<StoredResults>> rows);
  void OnBody(absl::StatusOr<StoredResults> row);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool PumpQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool PumpIndex() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PassOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ReadMore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ReadBody(uint64_t seq) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Take(Row row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Write(std::string head, const Buffer& body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The end of the job follows with the commit that the last notice came with.
  bool EndFollows() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return options_.run_job && view_.state == JobState::kActive &&
           taken_count_ == view_.counts.total;
  }
  // The job has ended and its last result is taken in: nothing more can come.
  bool HasAll() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return ended_ && next_seq_ > last_seq_; }
  // All that is left to write is the end.
  bool IsLastMessage() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return HasAll() && queue_.empty() && extra_.empty();
  }
  // With the last results, if there are any: one message wakes the client up once.
  void WriteEnd(std::string results_head, const Buffer& results) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string Wrapped(std::string head, const Buffer& body) const;
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // EPHEMERAL jobs: tells the scheduler which results this stream will not ask for again.
  void NoteCursor(bool closed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t Passed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Wanted(TaskState state) const {
    return options_.states.empty() || std::find(options_.states.begin(), options_.states.end(),
                                                state) != options_.states.end();
  }

  const ServiceParts parts_;
  StreamOptions options_;
  Guest guest_;
  std::shared_ptr<ResultStream> self_;
  const CallId cursor_id_;

  Mutex mu_;
  bool done_ ABSL_GUARDED_BY(mu_) = false;  // gRPC has let go of it.
  bool found_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool behind_ ABSL_GUARDED_BY(mu_) = true;  // Must read from the store before notices count.
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  StoreKind store_ ABSL_GUARDED_BY(mu_) = StoreKind::kDurable;
  uint64_t next_seq_ ABSL_GUARDED_BY(mu_) = 1;          // The first not taken in.
  uint64_t seen_seq_ ABSL_GUARDED_BY(mu_) = 0;          // Highest known to exist.
  uint64_t written_seq_ ABSL_GUARDED_BY(mu_) = 0;       // As completed: given to gRPC.
  uint64_t taken_count_ ABSL_GUARDED_BY(mu_) = 0;       // Results taken in.
  std::optional<uint64_t> noted_ ABSL_GUARDED_BY(mu_);  // Last told by NoteCursor.
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool read_sees_all_ ABSL_GUARDED_BY(mu_) = false;  // The read under way began after the end.
  uint64_t last_seq_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<Run> cancelled_ ABSL_GUARDED_BY(mu_);
  std::vector<Run> selected_ ABSL_GUARDED_BY(mu_);  // The tasks there are; empty: all.
  JobView view_ ABSL_GUARDED_BY(mu_);
  std::deque<Row> queue_ ABSL_GUARDED_BY(mu_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::string> extra_ ABSL_GUARDED_BY(mu_);  // RunJob: job and output messages.
  // By index.
  TaskIndex next_index_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<TaskIndex, Source> sources_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, std::pair<std::shared_ptr<const ResultBatch>, size_t>> bodies_
      ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, uint32_t> needed_ ABSL_GUARDED_BY(mu_);  // Indexes not yet sent, by seq.
  size_t body_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  grpc::ByteBuffer message_;  // Being written.
};

// ---- Beginning ----

void ResultStream::BeginRun(CreateJob event, size_t bytes) {
  self_ = shared_from_this();
  PostCreate(parts_, std::move(event), bytes,
             [self = self_](const Reply& reply) { self->OnCreated(reply); });
}

// On the loop thread; in general before any notice of the job.
void ResultStream::OnCreated(const Reply& reply) {
  const JobReply& created = std::get<JobReply>(reply.body);
  {
    MutexLock lock(&mu_);
    if (done_) return;
    if (!created.status.ok()) return End(created.status);
    options_.job = created.view.job;
    const bool was_there = created.view.state == JobState::kUnspecified ||
                           created.view.counts.succeeded + created.view.counts.failed > 0;
    // Nothing of an EPHEMERAL job waits for the durable store but this reply, when ids were
    // reserved for it: its results and its end may have passed.
    const bool is_late = created.view.ephemeral && reply.after.store == StoreKind::kDurable &&
                         reply.after.number > 0;
    if (!was_there && !is_late) return Follow(created.view);
  }
  FindJob(parts_, created.view.job, self_,
          [self = self_](absl::StatusOr<FoundJob> found) { self->OnFound(std::move(found)); });
}

// From its beginning.
void ResultStream::Follow(const JobView& view) {
  parts_.hub->Subscribe(options_.job, self_);
  found_ = true;
  behind_ = false;
  store_ = view.ephemeral ? StoreKind::kMemory : StoreKind::kDurable;
  view_ = view;
  NoteCursor(false);
  v1::RunJobResponse first;
  ToProto(view, first.mutable_job());
  extra_.push_back(first.SerializeAsString());
  Pump();
}

void ResultStream::OnFound(absl::StatusOr<FoundJob> found) {
  MutexLock lock(&mu_);
  if (!found.ok()) return End(found.status());
  found_ = true;
  store_ = found->store;
  NoteCursor(false);
  if (!ended_) view_ = found->job.view;
  selected_ = std::move(found->job.selected);
  if (!found->live) {
    ended_ = IsTerminal(found->job.view.state);
    last_seq_ = found->job.last_seq;
    cancelled_ = found->job.cancelled;
  }
  if (options_.run_job) {
    v1::RunJobResponse first;
    ToProto(view_, first.mutable_job());
    extra_.push_back(first.SerializeAsString());
  }
  if (ended_ && next_seq_ > last_seq_ + 1 && !options_.by_index) {
    return End(MakeError(absl::StatusCode::kOutOfRange, "CURSOR_NOT_FOUND",
                         "the cursor is beyond the last result"));
  }
  Pump();
}

// ---- What comes in ----

void ResultStream::OnResults(const ResultsNotice& notice) {
  MutexLock lock(&mu_);
  seen_seq_ = std::max(seen_seq_, notice.seq);
  if (behind_ || finished_ || notice.seq != next_seq_) {
    behind_ = behind_ || notice.seq > next_seq_;
    return;
  }
  if (queued_bytes_ + notice.body.size() > kWindowBytes) {
    behind_ = true;
    return;
  }
  Take({notice.seq, notice.runs, notice.body});
  if (!EndFollows()) Pump();
}

void ResultStream::OnJob(const JobNotice& notice) {
  MutexLock lock(&mu_);
  view_ = notice.view;
  if (!IsTerminal(notice.view.state)) return;
  ended_ = true;
  last_seq_ = notice.last_seq;
  cancelled_ = notice.cancelled;
  if (found_) Pump();
}

void ResultStream::OnLogs(const std::vector<StoredLog>& logs) {
  if (!options_.run_job) return;
  MutexLock lock(&mu_);
  if (view_.counts.total != 1 || finished_) return;
  for (const StoredLog& log : logs) {
    if (queued_bytes_ + log.content.size() > kWindowBytes)
      return;  // The end of it is in the result.
    v1::RunJobResponse message;
    v1::LogChunk* chunk = message.mutable_output();
    chunk->set_index(log.index);
    chunk->set_stream(log.stream);
    chunk->set_offset(log.offset);
    chunk->set_attempt(log.attempt);
    chunk->set_content(std::string(log.content.view()));
    extra_.push_back(message.SerializeAsString());
    queued_bytes_ += extra_.back().size();
  }
  Pump();
}

void ResultStream::Take(Row row) {
  next_seq_ = row.seq + 1;
  for (const ResultRun& run : row.runs) taken_count_ += run.run.count;
  if (!options_.by_index) {
    queued_bytes_ += row.body.size();
    queue_.push_back(std::move(row));
    return;
  }
  uint32_t needed = 0;
  for (const ResultRun& run : row.runs) {
    if (run.run.first + run.run.count <= next_index_) continue;
    sources_[run.run.first] = {run.run.count, row.seq, run.run.position};
    needed += run.run.count;
  }
  if (needed == 0) return;
  needed_[row.seq] += needed;
  if (row.body.empty() || body_bytes_ + row.body.size() > kKeptBodies) return;
  const size_t bytes = row.body.size();
  auto batch = ResultBatch::Parse(std::move(row.body));
  if (!batch.ok()) return;
  bodies_[row.seq] = {std::move(*batch), bytes};
  body_bytes_ += bytes;
}

void ResultStream::OnRows(absl::StatusOr<std::vector<StoredResults>> rows) {
  MutexLock lock(&mu_);
  reading_ = false;
  if (finished_) return;
  if (!rows.ok()) {
    return End(absl::IsNotFound(rows.status()) ? Gone()
                                               : MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS",
                                                           ToStd(rows.status().message())));
  }
  if (rows->empty() && read_sees_all_ && next_seq_ <= last_seq_) {
    return End(Gone());
  }
  if (rows->empty()) behind_ = seen_seq_ >= next_seq_;
  for (StoredResults& row : *rows) Take({row.seq, std::move(row.runs), std::move(row.body)});
  Pump();
}

void ResultStream::OnBody(absl::StatusOr<StoredResults> row) {
  MutexLock lock(&mu_);
  reading_ = false;
  if (finished_) return;
  if (absl::IsNotFound(row.status())) return End(Gone());
  auto batch = row.ok() ? ResultBatch::Parse(row->body) : row.status();
  if (!batch.ok())
    return End(
        MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS", ToStd(batch.status().message())));
  body_bytes_ += row->body.size();
  bodies_[row->seq] = {std::move(*batch), row->body.size()};
  Pump();
}

void ResultStream::ReadMore() {
  if (reading_) return;
  reading_ = true;
  const uint64_t after = next_seq_ - 1;
  const bool by_index = options_.by_index;
  read_sees_all_ = ended_;
  const bool posted = parts_.reader->Post(
      store_, [self = self_, job = options_.job, after, by_index](StoreReader& reader) {
        self->OnRows(by_index ? reader.ReadResultRuns(job, after, kRunsPerRead)
                              : reader.ReadResults(job, after, kReadBytes));
      });
  if (posted) return;
  reading_ = false;
  End(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                absl::Milliseconds(200)));
}

void ResultStream::ReadBody(uint64_t seq) {
  if (reading_) return;
  reading_ = true;
  const bool posted =
      parts_.reader->Post(store_, [self = self_, job = options_.job, seq](StoreReader& reader) {
        self->OnBody(reader.ReadResult(job, seq));
      });
  if (posted) return;
  reading_ = false;
  End(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                absl::Milliseconds(200)));
}

// ---- What goes out ----

// RunJobResponse.results, but for the body behind it.
std::string ResultStream::Wrapped(std::string head, const Buffer& body) const {
  if (!options_.run_job) return head;
  std::string wrapped;
  wire::PutLengthPrefix(2, head.size() + body.size(), &wrapped);
  return wrapped + head;
}

void ResultStream::Write(std::string head, const Buffer& body) {
  writing_ = true;
  message_ = ToByteBuffer(Wrapped(std::move(head), body), body);
  StartWrite(&message_);
}

void ResultStream::WriteEnd(std::string results_head, const Buffer& results) {
  finished_ = true;
  std::string head;
  if (options_.run_job) {
    v1::RunJobResponse last;
    ToProto(view_, last.mutable_job());
    head = last.SerializeAsString();
    if (!results_head.empty()) head += Wrapped(std::move(results_head), results);
  } else {
    head = EncodeResultsEnd(options_.job, options_.by_index ? next_index_ : last_seq_, cancelled_);
  }
  message_ = ToByteBuffer(std::move(head), results);
  StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
}

void ResultStream::End(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  Finish(ToGrpc(status));
}

// Returns: true if a message is being written.
bool ResultStream::PumpQueue() {
  while (!queue_.empty()) {
    Row row = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= row.body.size();
    written_seq_ = row.seq;
    std::vector<PositionedRun> runs;
    for (const ResultRun& run : row.runs) {
      if (Wanted(run.state)) runs.push_back(run.run);
    }
    if (runs.empty()) continue;
    std::string head = EncodeResultHead(options_.job, row.seq, runs);
    if (options_.run_job && IsLastMessage()) {
      WriteEnd(std::move(head), row.body);
    } else {
      Write(std::move(head), row.body);
    }
    return true;
  }
  return false;
}

// Goes on to the next index that has a result, or will have.
void ResultStream::PassOver() {
  TaskIndex before = 0;
  do {
    before = next_index_;
    if (!selected_.empty()) {
      // The first run that ends behind it; behind the last one nothing comes.
      const auto run = std::upper_bound(selected_.begin(), selected_.end(), next_index_,
                                        [](TaskIndex at, const Run& r) { return at < r.end(); });
      if (run != selected_.end()) next_index_ = std::max(next_index_, run->first);
    }
    // Tasks that ended without a result.
    for (const Run& run : cancelled_) {
      if (ended_ && run.first <= next_index_ && next_index_ < run.end()) next_index_ = run.end();
    }
  } while (next_index_ != before);
}

// The next indexes in order, as far as they are known, made into one message.
bool ResultStream::PumpIndex() {
  ResultBatchBuilder builder;
  std::vector<PositionedRun> runs;
  std::string worker;
  while (builder.bytes() < kMadeBytes) {
    PassOver();
    auto source = sources_.upper_bound(next_index_);
    if (source == sources_.begin()) break;
    --source;
    if (next_index_ >= source->first + source->second.count) break;
    const uint64_t seq = source->second.seq;
    const auto body = bodies_.find(seq);
    if (body == bodies_.end()) {
      if (builder.empty()) ReadBody(seq);
      break;
    }
    const ResultBatch& batch = *body->second.first;
    if (!builder.empty() && worker != batch.worker()) break;
    worker = batch.worker();
    const TaskIndex end = source->first + source->second.count;
    const TaskIndex from = next_index_;
    for (; next_index_ < end && builder.bytes() < kMadeBytes; ++next_index_) {
      const ResultEntry entry =
          batch.Entry(source->second.position + (next_index_ - source->first), next_index_);
      if (Wanted(entry.state)) builder.Add(entry);
    }
    uint32_t& needed = needed_[seq];
    needed -= next_index_ - from;
    if (needed == 0) {
      needed_.erase(seq);
      body_bytes_ -= body->second.second;
      bodies_.erase(body);
    }
    if (next_index_ == end) sources_.erase(source);
  }
  if (builder.empty()) return false;
  const std::string body = builder.Finish(worker);
  auto made = ResultBatch::Parse(Buffer(body));
  if (!made.ok()) return false;
  Write(EncodeResultHead(options_.job, next_index_, (*made)->body_runs()), Buffer(body));
  return true;
}

void ResultStream::Pump() {
  if (!found_ || writing_ || finished_) return;
  if (!extra_.empty()) {
    writing_ = true;
    queued_bytes_ -= std::min(queued_bytes_, extra_.front().size());
    message_ = ToByteBuffer(std::move(extra_.front()), {});
    extra_.pop_front();
    return StartWrite(&message_);
  }
  if (options_.by_index ? PumpIndex() : PumpQueue()) return;
  if (reading_ || finished_) return;
  if (HasAll()) return WriteEnd({}, {});
  if (behind_) return ReadMore();
  if (!ended_ && !options_.follow) return End(absl::OkStatus());
  if (ended_) {
    behind_ = true;
    ReadMore();
  }
}

void ResultStream::OnWriteDone(bool ok) {
  MutexLock lock(&mu_);
  writing_ = false;
  if (!ok) return End(absl::CancelledError("the client went away"));
  NoteCursor(false);
  Pump();
}

uint64_t ResultStream::Passed() const {
  if (!options_.by_index) return std::max(written_seq_, options_.cursor);
  return needed_.empty() ? next_seq_ - 1 : std::min(next_seq_, needed_.begin()->first) - 1;
}

void ResultStream::NoteCursor(bool closed) {
  // A job that has ended keeps no results in the scheduler, and one of a single task has nothing to
  // drop before: not worth waking the loop.
  if (!found_ || store_ != StoreKind::kMemory || ended_) return;
  if (noted_ && !closed && options_.run_job && view_.counts.total == 1) return;
  const uint64_t passed = Passed();
  if (!closed && noted_ == passed) return;
  noted_ = passed;
  parts_.loop->PostInternal(CursorMoved{options_.job, cursor_id_, passed, closed});
}

void ResultStream::OnCancel() {
  MutexLock lock(&mu_);
  if (!writing_) End(absl::CancelledError("the client went away"));
}

void ResultStream::OnDone() {
  guest_.End();
  {
    MutexLock lock(&mu_);
    done_ = true;
    parts_.hub->Unsubscribe(options_.job, this);
    NoteCursor(true);
  }
  const std::shared_ptr<ResultStream> last = std::move(self_);
}

class RefusedStream final : public RawWriteReactor {
 public:
  explicit RefusedStream(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

RawWriteReactor* RefuseStream(const absl::Status& status) { return new RefusedStream(status); }

RawWriteReactor* StartRunJob(const ServiceParts& parts, CreateJob event, size_t bytes,
                             Guest guest) {
  StreamOptions options;
  options.follow = true;
  options.run_job = true;
  const auto stream = std::make_shared<ResultStream>(parts, std::move(options), std::move(guest));
  ResultStream* reactor = stream.get();
  reactor->BeginRun(std::move(event), bytes);
  return reactor;
}

RawWriteReactor* StartResultStream(const ServiceParts& parts, const grpc::ByteBuffer& bytes,
                                   Guest guest) {
  v1::StreamResultsRequest request;
  const Buffer wire = ToBuffer(bytes);
  if (!request.ParseFromArray(wire.view().data(), static_cast<int>(wire.size()))) {
    return RefuseStream(
        MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", "not a StreamResultsRequest"));
  }
  StreamOptions options;
  options.job = JobId(request.job_id());
  options.cursor = request.cursor();
  options.by_index = request.order() == v1::StreamResultsRequest::BY_INDEX;
  options.follow = request.follow();
  if (options.cursor > UINT32_MAX) {
    return RefuseStream(
        MakeError(absl::StatusCode::kOutOfRange, "CURSOR_NOT_FOUND", "no stream gave this cursor"));
  }
  if (!v1::StreamResultsRequest::Order_IsValid(request.order())) {
    return RefuseStream(MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                                  "order: AS_COMPLETED or BY_INDEX"));
  }
  for (const int state : request.states()) {
    if (state != v1::Task::SUCCEEDED && state != v1::Task::FAILED) {
      return RefuseStream(MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                                    "states: SUCCEEDED or FAILED"));
    }
    options.states.push_back(static_cast<TaskState>(state));
  }
  const auto stream = std::make_shared<ResultStream>(parts, std::move(options), std::move(guest));
  ResultStream* reactor = stream.get();
  reactor->Begin();
  return reactor;
}

}  // namespace reeve
