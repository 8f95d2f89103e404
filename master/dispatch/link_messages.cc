#include "master/dispatch/link_messages.h"

#include <algorithm>
#include <utility>

#include "base/input_batch.h"
#include "base/json_text.h"
#include "base/label.h"
#include "base/resource.h"
#include "base/result_batch.h"
#include "base/strings.h"
#include "base/wire.h"

namespace reeve {
namespace {

constexpr int kMaxColumn = 1 << 20;
// Of what a worker says of its connections.
constexpr int kMaxPools = 32;
constexpr size_t kMaxPoolNameBytes = 64, kMaxPoolErrorBytes = 400;
// A frame of spans is closed once it holds so much: the first results come back while the rest is
// sent.
constexpr size_t kFrameBytes = 1u << 20;
constexpr uint32_t kMostAgainMs = 86'400'000;
constexpr uint32_t kMostExitCode = 255;

absl::Status Malformed(std::string_view what) { return absl::InvalidArgumentError(ToAbsl(what)); }

bool Sound(Run run) { return uint64_t{run.first} + run.count <= kMaxTasksPerJob; }

absl::Status Rooms(const google::protobuf::RepeatedPtrField<v1::LaneStatus>& lanes,
                   LaneRooms* rooms) {
  for (const v1::LaneStatus& lane : lanes) {
    const int index = static_cast<int>(lane.lane());
    if (index < 1 || index >= kLaneCount) return Malformed("unknown lane");
    (*rooms)[index] = {std::min(lane.slots(), 100'000u), lane.stuck()};
  }
  return absl::OkStatus();
}

template <typename Wire>
absl::StatusOr<std::vector<LeasedRun>> Leased(const Wire& wire) {
  const int n = wire.lease_size();
  if (n > kMaxColumn || wire.first_size() != n || wire.count_size() != n)
    return Malformed("columns differ");
  std::vector<LeasedRun> runs;
  runs.reserve(n);
  for (int i = 0; i < n; ++i) {
    const LeasedRun run{LeaseSeq(wire.lease(i)), {wire.first(i), wire.count(i)}};
    if (!Sound(run.run)) return Malformed("run out of range");
    runs.push_back(run);
  }
  return runs;
}

// The runs name the indexes of the body, in order. Both are made maximal by walking them together.
bool Covers(const std::vector<LeasedRun>& runs, const std::vector<PositionedRun>& body) {
  size_t at = 0;
  uint32_t used = 0;  // Of body[at].
  for (const LeasedRun& leased : runs) {
    Run run = leased.run;
    while (run.count > 0) {
      if (at == body.size() || body[at].first + used != run.first) return false;
      const uint32_t step = std::min(run.count, body[at].count - used);
      run = {run.first + step, run.count - step};
      used += step;
      if (used == body[at].count) {
        ++at;
        used = 0;
      }
    }
  }
  return at == body.size();
}

// The frame says which entries failed, for the scheduler; the body says it to clients.
bool AgreeOnFailures(const ResultBatchArrived& arrived, const ResultBatch& body) {
  if (body.all_succeeded()) return arrived.failed.empty();
  size_t next = 0;
  for (uint32_t i = 0; i < body.count(); ++i) {
    if (body.State(i) == TaskState::kSucceeded) continue;
    if (next == arrived.failed.size() || arrived.failed[next].position != i ||
        arrived.failed[next].state != body.State(i)) {
      return false;
    }
    ++next;
  }
  return next == arrived.failed.size();
}

// A column that may be shorter than others. Returns: what is missing.
template <typename Column, typename Value>
Value At(const Column& column, int position, Value missing) {
  return position < column.size() ? Value(column.Get(position)) : missing;
}

// The entry that the frame names as its failure number `at`, which the body has, too.
absl::StatusOr<FailedEntry> TakeFailure(const link::v1::Results::Batch& wire, int at,
                                        const ResultBatch& body) {
  FailedEntry failed;
  failed.position = wire.position(at);
  const bool cancelled = wire.state(at) == static_cast<uint32_t>(TaskState::kCancelled);
  if (failed.position >= body.count() ||
      (!cancelled && wire.state(at) != static_cast<uint32_t>(TaskState::kFailed)))
    return Malformed("failure out of range");
  failed.state = cancelled ? TaskState::kCancelled : TaskState::kFailed;
  failed.reason = static_cast<Reason>(wire.reason(at));
  failed.exit_code = body.Entry(failed.position, 0).exit_code;
  failed.permanent = At(wire.permanent(), at, 0u) != 0;
  const uint32_t again = At(wire.again_after_ms(), at, 0u);
  if (failed.exit_code > kMostExitCode || again > kMostAgainMs + 1 ||
      (failed.permanent && again != 0))
    return Malformed("exit code or next attempt of a failure out of range");
  if (again > 0) failed.again = absl::Milliseconds(again - 1);
  if (at < wire.details_size()) failed.details = wire.details(at);
  if (failed.details.size() > kMaxDetailsBytes) return Malformed("details out of bounds");
  return failed;
}

absl::Status TakeFailures(const link::v1::Results::Batch& wire, const ResultBatch& body,
                          std::vector<FailedEntry>* failed) {
  const int n = wire.position_size();
  if (wire.state_size() != n || wire.reason_size() != n || wire.permanent_size() > n ||
      wire.again_after_ms_size() > n || wire.details_size() > n)
    return Malformed("columns of failures differ");
  for (int i = 0; i < n; ++i) {
    auto one = TakeFailure(wire, i, body);
    if (!one.ok()) return one.status();
    if (i > 0 && one->position <= failed->back().position)
      return Malformed("failures do not ascend");
    failed->push_back(*std::move(one));
  }
  return absl::OkStatus();
}

absl::Status TakeResources(const google::protobuf::Map<std::string, int64_t>& wire,
                           Resources* resources) {
  if (wire.size() > kMaxResources) return Malformed("more than 16 resources");
  for (const auto& [name, amount] : wire) {
    if (!IsResourceName(name) || amount < 1 || amount > kMostOfAResource)
      return Malformed("resource out of bounds");
    resources->emplace(name, amount);
  }
  return absl::OkStatus();
}

// Only what succeeded adds inputs, each with a key, and no more than fits with its output.
absl::Status TakeNewInputs(const link::v1::Results::Batch& wire, const Buffer& bytes,
                           const ResultBatch& body, NewInputs* added) {
  // On their own: they may be kept for long, and the frame with its results must not be.
  auto inputs = InputBatch::Parse(Buffer(std::string(bytes.view())));
  if (!inputs.ok()) return inputs.status();
  const InputBatch& batch = **inputs;
  if (batch.count() == 0 || !batch.has_keys()) return Malformed("new inputs without keys");
  const int parts = wire.adder_size();
  if (wire.added_size() != parts) return Malformed("columns of new inputs differ");
  uint64_t after = 0, next = 0;
  for (int i = 0; i < parts; ++i) {
    const uint32_t position = wire.adder(i), count = wire.added(i);
    if (position < after || position >= body.count() || count == 0 ||
        count > batch.count() - next || body.State(position) != TaskState::kSucceeded) {
      return Malformed("new inputs of no entry that succeeded");
    }
    const size_t input_bytes =
        batch.Inputs(static_cast<uint32_t>(next), count).size() + count * kNewInputCost;
    if (count > kMaxNewInputs ||
        body.Entry(position, 0).output.size() + input_bytes > kMaxPayloadBytes)
      return Malformed("output and new inputs of a task are over 3 MiB");
    added->parts.push_back({position, count});
    after = uint64_t{position} + 1;
    next += count;
  }
  if (next != batch.count()) return Malformed("new inputs that no entry added");
  added->keys = batch.Keys();
  added->bytes = batch.wire().size();
  added->inputs = std::move(*inputs);
  return absl::OkStatus();
}

// Only what succeeded counts.
absl::Status TakeCounts(const link::v1::Results::Batch& wire, const ResultBatch& body,
                        std::vector<CountedEntry>* counted) {
  const int n = wire.count_position_size();
  if (n > kMaxColumn || wire.count_name_size() != n || wire.count_by_size() != n)
    return Malformed("columns of counts differ");
  size_t of_one = 0;
  for (int i = 0; i < n; ++i) {
    const uint32_t position = wire.count_position(i);
    const bool same = i > 0 && wire.count_position(i - 1) == position;
    of_one = same ? of_one + 1 : 1;
    if (position >= body.count() || (i > 0 && position < wire.count_position(i - 1)) ||
        body.State(position) != TaskState::kSucceeded)
      return Malformed("counts of no entry that succeeded");
    if (of_one > kMaxCounters || !IsCounterName(wire.count_name(i)))
      return Malformed("counters of an entry");
    counted->push_back({position, wire.count_name(i), wire.count_by(i)});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FromWire(const link::v1::HeldRuns& wire, Epoch epoch, std::vector<HeldRun>* held) {
  const int n = wire.job_id_size();
  if (n > kMaxColumn || wire.birth_epoch_size() != n || wire.birth_counter_size() != n ||
      wire.old_epoch_size() != n || wire.lease_size() != n || wire.first_size() != n ||
      wire.count_size() != n || wire.phase_size() != n) {
    return Malformed("columns of held runs differ");
  }
  for (int i = 0; i < n; ++i) {
    HeldRun run;
    run.job = JobId(wire.job_id(i));
    run.birth = {Epoch(wire.birth_epoch(i)), wire.birth_counter(i)};
    run.lease = {wire.old_epoch(i) == 0 ? epoch : Epoch(wire.old_epoch(i)),
                 LeaseSeq(wire.lease(i))};
    run.run = {wire.first(i), wire.count(i)};
    if (!Sound(run.run) || wire.phase(i) < 1 || wire.phase(i) > 3)
      return Malformed("held run out of range");
    run.phase = static_cast<HeldPhase>(wire.phase(i));
    held->push_back(run);
  }
  return absl::OkStatus();
}

absl::StatusOr<Hello> FromWire(const link::v1::Hello& wire, Epoch epoch) {
  Hello hello;
  hello.number = wire.number();
  hello.worker_id = wire.worker_id();
  hello.process_id = wire.process_id();
  hello.hostname = wire.hostname();
  hello.version = wire.version();
  hello.pid = wire.pid();
  if (hello.worker_id.empty() || hello.worker_id.size() > 64 || hello.process_id.empty() ||
      hello.process_id.size() > 64 || hello.hostname.size() > 256 || hello.version.size() > 64) {
    return Malformed("worker_id, process_id, hostname or version out of bounds");
  }
  if (wire.name().size() > 64 || !IsUtf8(wire.name())) return Malformed("name out of bounds");
  if (wire.labels_size() > 64) return Malformed("more than 64 labels");
  for (const auto& [label, value] : wire.labels()) {
    if (!IsLabel(label, value)) return Malformed("label out of bounds");
  }
  hello.name = wire.name();
  hello.labels.insert(wire.labels().begin(), wire.labels().end());
  if (absl::Status s = TakeResources(wire.resources(), &hello.resources); !s.ok()) return s;
  if (wire.handlers_size() > 1000) return Malformed("more than 1,000 handlers");
  for (const v1::HandlerOffer& offer : wire.handlers()) {
    if (offer.name().empty() || offer.name().size() > 64 || offer.lane() < 1 ||
        offer.lane() >= kLaneCount) {
      return Malformed("handler out of bounds");
    }
    hello.handlers.push_back({offer.name(), static_cast<Lane>(offer.lane())});
  }
  if (absl::Status s = Rooms(wire.lanes(), &hello.lanes); !s.ok()) return s;
  hello.seen_seq = LeaseSeq(wire.seen_seq());
  if (absl::Status s = FromWire(wire.held(), epoch, &hello.held); !s.ok()) return s;
  if (absl::Status s = FromWire(wire.suspects(), epoch, &hello.suspects); !s.ok()) return s;
  hello.culprit_named = wire.culprit_named();
  hello.suspects_process = wire.suspects_process_id();
  if (hello.suspects_process.size() > 64) return Malformed("suspects_process_id out of bounds");
  return hello;
}

absl::StatusOr<Heartbeat> FromWire(const link::v1::Heartbeat& wire, Epoch epoch) {
  Heartbeat beat;
  beat.number = wire.number();
  beat.seen_seq = LeaseSeq(wire.seen_seq());
  beat.held_count = wire.held_count();
  beat.held_hash = wire.held_hash();
  if (wire.has_held()) {
    beat.held.emplace();
    if (absl::Status s = FromWire(wire.held(), epoch, &*beat.held); !s.ok()) return s;
  }
  const int n = wire.running_job_id_size();
  if (n > 1024 || wire.running_index_size() != n ||
      (wire.running_ms_size() > 0 && wire.running_ms_size() != n)) {
    return Malformed("columns of running tasks");
  }
  const bool says = wire.running_progress_size() > 0;
  if (says && (wire.running_progress_size() != n || wire.running_note_size() != n))
    return Malformed("columns of progress");
  if (wire.running_details_size() > n) return Malformed("columns of details");
  for (int i = 0; i < n; ++i) {
    beat.running.push_back({JobId(wire.running_job_id(i)), wire.running_index(i), {}, {}, {}, {}});
    RunningTask& task = beat.running.back();
    if (i < wire.running_ms_size()) task.ran = absl::Milliseconds(wire.running_ms(i));
    if (i < wire.running_details_size()) task.details = wire.running_details(i);
    if (task.details.size() > kMaxDetailsBytes) return Malformed("details out of bounds");
    if (!says || wire.running_progress(i) == 0) continue;
    if (wire.running_progress(i) > 1'001 || wire.running_note(i).size() > kMaxProgressNoteBytes)
      return Malformed("progress out of range");
    task.permille = wire.running_progress(i) - 1;
    task.note = wire.running_note(i);
  }
  if (absl::Status s = Rooms(wire.lanes(), &beat.lanes); !s.ok()) return s;
  beat.draining = wire.draining();
  beat.spool_full = wire.spool_full();
  if (wire.pools_size() > kMaxPools) return Malformed("too many pools");
  for (const v1::PoolStatus& pool : wire.pools()) {
    if (pool.name().size() > kMaxPoolNameBytes || pool.last_error().size() > kMaxPoolErrorBytes)
      return Malformed("a text of a pool is too long");
    beat.pools.push_back({pool.name(), pool.limit(), pool.open(), pool.busy(), pool.waiting(),
                          pool.connect_count(), pool.failed_connect_count(), pool.lost_count(),
                          pool.last_error()});
  }
  return beat;
}

absl::StatusOr<std::vector<LeasedRun>> FromWire(const link::v1::Recalled& wire) {
  return Leased(wire);
}
absl::StatusOr<std::vector<LeasedRun>> FromWire(const link::v1::Release& wire) {
  return Leased(wire);
}

absl::StatusOr<ResultsArrived> FromWire(const link::v1::Results& wire, const Buffer& blob) {
  ResultsArrived arrived;
  size_t offset = 0;
  for (const link::v1::Results::Batch& batch : wire.batches()) {
    if (batch.bytes() > blob.size() - offset) return Malformed("batches are longer than the blob");
    ResultBatchArrived out;
    out.number = batch.number();
    out.job = JobId(batch.job_id());
    out.body = blob.Slice(offset, batch.bytes());
    offset += batch.bytes();
    auto runs = Leased(batch);
    if (!runs.ok()) return runs.status();
    out.runs = std::move(*runs);
    const auto parsed = ResultBatch::Parse(out.body);
    if (!parsed.ok()) return parsed.status();
    if (!Covers(out.runs, (*parsed)->body_runs())) return Malformed("runs do not cover the batch");
    if (absl::Status taken = TakeFailures(batch, **parsed, &out.failed); !taken.ok()) return taken;
    if (!AgreeOnFailures(out, **parsed)) return Malformed("failures are not those of the batch");
    if (batch.new_inputs_bytes() > 0) {
      if (batch.new_inputs_bytes() > blob.size() - offset)
        return Malformed("new inputs are longer than the blob");
      const Buffer inputs = blob.Slice(offset, batch.new_inputs_bytes());
      offset += batch.new_inputs_bytes();
      absl::Status taken = TakeNewInputs(batch, inputs, **parsed, &out.added);
      if (!taken.ok()) return taken;
    }
    if (absl::Status s = TakeCounts(batch, **parsed, &out.counted); !s.ok()) return s;
    out.run_times = (*parsed)->RunTimes();
    out.run_time = absl::Nanoseconds(std::min<uint64_t>(batch.run_ns(), INT64_MAX));
    arrived.batches.push_back(std::move(out));
  }
  return arrived;
}

absl::StatusOr<std::map<JobId, std::vector<StoredLog>>> FromWire(const link::v1::Output& wire,
                                                                 const Buffer& blob) {
  std::map<JobId, std::vector<StoredLog>> logs;
  size_t offset = 0;
  for (const link::v1::Output::Chunk& chunk : wire.chunks()) {
    if (chunk.bytes() > blob.size() - offset) return Malformed("output is longer than the blob");
    if (chunk.index() >= kMaxTasksPerJob || chunk.stream() < 1 || chunk.stream() > 2)
      return Malformed("output of no task or stream");
    StoredLog log;
    log.index = chunk.index();
    log.attempt = chunk.attempt();
    log.stream = chunk.stream();
    log.offset = chunk.offset();
    log.content = blob.Slice(offset, chunk.bytes());
    offset += chunk.bytes();
    logs[JobId(chunk.job_id())].push_back(std::move(log));
  }
  return logs;
}

std::string ToWire(const SendHeartbeatAck& ack) {
  link::v1::HeartbeatAck wire;
  wire.set_number(ack.number);
  wire.set_send_held(ack.send_held);
  return wire.SerializeAsString();
}

std::string ToWire(const SendRecall& recall) {
  link::v1::Recall wire;
  for (const SendRecall::Cut& cut : recall.cuts) {
    wire.add_lease(cut.lease.value);
    wire.add_end(cut.end);
  }
  return wire.SerializeAsString();
}

std::string ToWire(const SendCancel& cancel) {
  link::v1::Cancel wire;
  for (const LeasedRun& run : cancel.runs) {
    wire.add_lease(run.lease.value);
    wire.add_first(run.run.first);
    wire.add_count(run.run.count);
  }
  return wire.SerializeAsString();
}

std::string ToWire(const AckResults& ack) {
  link::v1::ResultAck wire;
  for (const uint64_t number : ack.recorded) wire.add_recorded(number);
  for (const uint64_t number : ack.superseded) wire.add_superseded(number);
  return wire.SerializeAsString();
}

namespace {

// Collects spans until the frame is full.
class AssignBuilder {
 public:
  bool empty() const { return wire_.lease_size() == 0; }
  size_t bytes() const { return bytes_; }

  void Add(const AssignedSpan& span) {
    if (span.job != last_job_) {
      std::string brief;
      wire::PutVarintField(1, span.job.value, &brief);
      brief += span.record.view();
      brief += span.brief.view();
      bytes_ += brief.size();
      wire_.add_jobs(std::move(brief));
      last_job_ = span.job;
    }
    wire_.add_job(wire_.jobs_size() - 1);
    wire_.add_lease(span.lease.value);
    wire_.add_first(span.run.first);
    wire_.add_count(span.run.count);
    wire_.add_birth_epoch(span.birth.epoch.value);
    wire_.add_birth_counter(span.birth.counter);
    wire_.add_attempt(span.attempt);
    wire_.add_solo(span.solo ? 1 : 0);
    if (span.front) {
      while (wire_.front_size() + 1 < wire_.lease_size()) wire_.add_front(0);
      wire_.add_front(1);
    }
    if (!span.details.empty()) {
      while (wire_.details_size() + 1 < wire_.lease_size()) wire_.add_details();
      wire_.add_details(span.details);
    }
    AddInputs(span);
  }
  // Of what Add would add.
  size_t BytesOf(const AssignedSpan& span) const {
    const size_t job =
        span.job == last_job_ ? 0 : span.record.size() + span.brief.size() + kJobIdBytes;
    return job + (span.inputs == nullptr ? 0 : span.inputs->payload_bytes());
  }

  AssignFrame Finish() {
    Buffer blob = blobs_.size() == 1 ? std::move(blobs_.front()) : Joined();
    return {wire_.SerializeAsString(), std::move(blob)};
  }

 private:
  static constexpr size_t kJobIdBytes = 11;

  void AddInputs(const AssignedSpan& span) {
    if (span.inputs == nullptr) {
      wire_.add_input_entries(0);
      return;
    }
    if (span.positions != nullptr) return AddChosen(span);
    const uint32_t position = span.run.first - span.inputs_first;
    if (span.inputs->uniform()) {
      wire_.add_input_entries(1);
      wire_.add_input_bytes(span.inputs->InputBytes(position));
    } else {
      wire_.add_input_entries(span.run.count);
      wire_.mutable_input_bytes()->Reserve(wire_.input_bytes_size() +
                                           static_cast<int>(span.run.count));
      for (uint32_t i = 0; i < span.run.count; ++i)
        wire_.add_input_bytes(span.inputs->InputBytes(position + i));
    }
    blobs_.push_back(span.inputs->Inputs(position, span.run.count));
    bytes_ += blobs_.back().size();
  }

  // Where not every input of the batch is a task.
  void AddChosen(const AssignedSpan& span) {
    wire_.add_input_entries(span.run.count);
    std::string blob;
    for (uint32_t i = 0; i < span.run.count; ++i) {
      const std::string_view input =
          span.inputs->Input(span.positions->At(span.run.first - span.inputs_first + i));
      wire_.add_input_bytes(static_cast<uint32_t>(input.size()));
      blob += input;
    }
    bytes_ += blob.size();
    blobs_.push_back(Buffer(std::move(blob)));
  }

  Buffer Joined() const {
    std::string all;
    for (const Buffer& blob : blobs_) all += blob.view();
    return Buffer(std::move(all));
  }

  link::v1::Assign wire_;
  JobId last_job_;
  std::vector<Buffer> blobs_;
  size_t bytes_ = 0;
};

}  // namespace

std::vector<AssignFrame> ToWire(const Assignment& assignment) {
  std::vector<AssignFrame> frames;
  AssignBuilder builder;
  for (const AssignedSpan& span : assignment.spans) {
    // A span's own inputs are at most one append message, and a job's brief with what it is to know
    // of others fits a frame, so one begun anew always has room for them.
    // What brings nothing goes along: a frame of its own would bring the job's brief once more.
    const size_t more = builder.BytesOf(span);
    if (!builder.empty() && more > 0 && builder.bytes() + more > kFrameBytes) {
      frames.push_back(builder.Finish());
      builder = {};
    }
    builder.Add(span);
  }
  if (!builder.empty()) frames.push_back(builder.Finish());
  return frames;
}

}  // namespace reeve
