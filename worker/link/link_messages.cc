#include "worker/link/link_messages.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/strings.h"

namespace reeve {
namespace {

// Held runs in one page of a Hello: about 40 bytes each.
constexpr size_t kRunsPerPage = 50'000;

bool Sound(Run run) { return uint64_t{run.first} + run.count <= kMaxTasksPerJob; }

// Longest wait for another attempt.
constexpr absl::Duration kLongestAgain = absl::Hours(24);

// Adds to a column that may be shorter than its neighbours, which have `count` already.
void AddPadded(int count, uint32_t value, google::protobuf::RepeatedField<uint32_t>* column) {
  column->Resize(count - 1, 0);
  column->Add(value);
}
void AddPadded(int count, const std::string& value,
               google::protobuf::RepeatedPtrField<std::string>* column) {
  while (column->size() + 1 < count) column->Add();
  *column->Add() = value;
}

uint32_t AgainMs(absl::Duration again) {
  const absl::Duration wait = std::clamp(again, absl::ZeroDuration(), kLongestAgain);
  return static_cast<uint32_t>(absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1))));
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

CommandSpec FromProto(const v1::Command& wire) {
  CommandSpec command;
  command.argv.assign(wire.argv().begin(), wire.argv().end());
  command.shell = wire.shell();
  if (wire.input_mode() == v1::Command::JSON) command.input_mode = CommandSpec::InputMode::kJson;
  if (wire.input_mode() == v1::Command::ARGV) command.input_mode = CommandSpec::InputMode::kArgv;
  command.stdin_from_input = wire.stdin_from_input();
  command.standard_input = wire.stdin();
  command.working_directory = wire.working_directory();
  command.environment.insert(wire.environment().begin(), wire.environment().end());
  command.limits = {.cpu_seconds = wire.limits().cpu_seconds(),
                    .memory_bytes = wire.limits().memory_bytes(),
                    .file_size_bytes = wire.limits().file_size_bytes(),
                    .open_files = wire.limits().open_files(),
                    .processes = wire.limits().processes(),
                    .core_bytes = wire.limits().core_bytes()};
  return command;
}

// The name of a folder and nothing else.
bool IsPredecessorName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

// Returns: nothing if it is malformed.
std::optional<PredecessorResults> FromProto(const link::v1::Predecessor& wire) {
  if (!IsPredecessorName(wire.name()) || wire.output_bytes_size() != wire.index_size())
    return std::nullopt;
  PredecessorResults predecessor;
  predecessor.name = wire.name();
  std::string_view rest = wire.outputs();
  for (int i = 0; i < wire.index_size(); ++i) {
    if (wire.output_bytes(i) > rest.size()) return std::nullopt;
    predecessor.results.emplace(wire.index(i), rest.substr(0, wire.output_bytes(i)));
    rest.remove_prefix(wire.output_bytes(i));
  }
  return predecessor;
}

}  // namespace

bool IsHeeded(const FrameHead& head, SessionId session, Epoch epoch) {
  if (head.session && head.session != session) return false;
  if (head.epoch < epoch) return false;
  const bool greeting = head.type == FrameType::kWelcome || head.type == FrameType::kWhoAreYou;
  return greeting || head.epoch == epoch;
}

std::shared_ptr<const JobContext> ParseJob(const std::string& brief, bool local_cluster) {
  link::v1::JobBrief wire;
  if (!wire.ParseFromString(brief)) return nullptr;
  auto job = std::make_shared<JobContext>();
  job->job = JobId(wire.job_id());
  job->name = wire.spec().name();
  job->handler = wire.spec().handler();
  if (wire.spec().has_command()) job->command = FromProto(wire.spec().command());
  job->params.insert(wire.spec().params().begin(), wire.spec().params().end());
  if (wire.spec().has_time_limit()) job->time_limit = FromProto(wire.spec().time_limit());
  if (wire.spec().has_soft_time_limit())
    job->soft_time_limit = FromProto(wire.spec().soft_time_limit());
  job->is_array = wire.has_array();
  job->array_start = wire.array().start();
  job->array_step = wire.array().step();
  job->has_shared_input = wire.spec().has_shared_input();
  job->shared_input = wire.spec().shared_input();
  job->local_cluster = local_cluster;
  job->accepts_inputs = wire.spec().accepts_new_inputs();
  job->exclusive = wire.spec().exclusive();
  job->secrets.assign(wire.spec().secrets().begin(), wire.spec().secrets().end());
  for (const link::v1::Predecessor& predecessor : wire.predecessors()) {
    auto results = FromProto(predecessor);
    if (!results.has_value()) return nullptr;
    job->predecessors.push_back(*std::move(results));
  }
  return job;
}

absl::StatusOr<agent::Welcomed> FromWire(const link::v1::Welcome& wire, Epoch epoch) {
  agent::Welcomed event;
  event.number = wire.number();
  event.epoch = epoch;
  event.refused = wire.refused();
  event.heartbeat = absl::Milliseconds(std::clamp(wire.heartbeat_ms(), 10u, 60'000u));
  event.orphan_timeout = absl::Milliseconds(std::max(wire.orphan_timeout_ms(), 1'000u));
  event.hello_spread = absl::Milliseconds(wire.hello_spread_ms());
  event.seen_seq = LeaseSeq(wire.seen_seq());
  const int n = wire.lease_size();
  if (wire.job_id_size() != n || wire.first_size() != n || wire.count_size() != n)
    return absl::InvalidArgumentError("columns of a Welcome differ");
  for (int i = 0; i < n; ++i) {
    if (!Sound({wire.first(i), wire.count(i)}))
      return absl::InvalidArgumentError("a run of a Welcome is out of range");
    event.runs.push_back(
        {JobId(wire.job_id(i)), {wire.first(i), wire.count(i)}, LeaseSeq(wire.lease(i))});
  }
  return event;
}

absl::StatusOr<std::vector<AssignedWork>> FromWire(const link::v1::Assign& wire, const Buffer& blob,
                                                   bool local_cluster) {
  const int n = wire.lease_size();
  if (wire.job_size() != n || wire.first_size() != n || wire.count_size() != n ||
      wire.birth_epoch_size() != n || wire.birth_counter_size() != n || wire.attempt_size() != n ||
      wire.input_entries_size() != n) {
    return absl::InvalidArgumentError("columns of an Assign differ");
  }
  std::vector<std::shared_ptr<const JobContext>> jobs;
  for (const std::string& brief : wire.jobs()) {
    jobs.push_back(ParseJob(brief, local_cluster));
    if (jobs.back() == nullptr)
      return absl::InvalidArgumentError("a job of an Assign is malformed");
  }
  std::vector<AssignedWork> works;
  int entry = 0;
  size_t offset = 0;
  for (int i = 0; i < n; ++i) {
    if (wire.job(i) >= jobs.size())
      return absl::InvalidArgumentError("an Assign names a job it does not hold");
    if (wire.count(i) == 0 || !Sound({wire.first(i), wire.count(i)}))
      return absl::InvalidArgumentError("a span of an Assign is out of range");
    AssignedWork work;
    work.span.job = jobs[wire.job(i)];
    work.span.run = {wire.first(i), wire.count(i)};
    work.span.attempt = wire.attempt(i);
    work.span.birth = {Epoch(wire.birth_epoch(i)), wire.birth_counter(i)};
    work.span.solo = i < wire.solo_size() && wire.solo(i) != 0;
    work.span.front = i < wire.front_size() && wire.front(i) != 0;
    if (i < wire.details_size()) work.span.details = wire.details(i);
    work.span.inputs_first = wire.first(i);
    work.event.job = work.span.job->job;
    work.event.lease = LeaseSeq(wire.lease(i));
    work.event.run = work.span.run;
    work.event.birth = {Epoch(wire.birth_epoch(i)), wire.birth_counter(i)};
    work.event.attempt = wire.attempt(i);
    work.event.exclusive = work.span.job->exclusive;
    const uint32_t entries = wire.input_entries(i);
    if (entries > static_cast<uint32_t>(wire.input_bytes_size() - entry)) {
      return absl::InvalidArgumentError("an Assign has too few input lengths");
    }
    size_t bytes = 0;
    if (entries == 1) {
      const uint32_t each = wire.input_bytes(entry);
      bytes = size_t{each} * work.span.run.count;
      if (bytes > blob.size() - offset)
        return absl::InvalidArgumentError("inputs are longer than the blob");
      work.span.inputs = SpanInputs(blob.Slice(offset, bytes), each);
    } else if (entries == work.span.run.count) {
      std::vector<uint32_t> ends(entries);
      for (uint32_t k = 0; k < entries; ++k) {
        bytes += wire.input_bytes(entry + static_cast<int>(k));
        ends[k] = static_cast<uint32_t>(bytes);
      }
      if (bytes > blob.size() - offset)
        return absl::InvalidArgumentError("inputs are longer than the blob");
      work.span.inputs = SpanInputs(blob.Slice(offset, bytes), std::move(ends));
    } else if (entries != 0) {
      return absl::InvalidArgumentError("input lengths do not fit their span");
    }
    entry += static_cast<int>(entries);
    offset += bytes;
    works.push_back(std::move(work));
  }
  return works;
}

void ToWire(const std::vector<AgentHeld>& held, link::v1::HeldRuns* wire) {
  for (const AgentHeld& run : held) {
    wire->add_job_id(run.job.value);
    wire->add_birth_epoch(run.birth.epoch.value);
    wire->add_birth_counter(run.birth.counter);
    wire->add_old_epoch(run.lease.epoch.value);
    wire->add_lease(run.lease.seq.value);
    wire->add_first(run.run.first);
    wire->add_count(run.run.count);
    wire->add_phase(run.finished ? 3 : 1);
  }
}

link::v1::Heartbeat ToWire(const AgentEffects::Heartbeat& beat,
                           const std::vector<v1::LaneStatus>& lanes) {
  link::v1::Heartbeat wire;
  wire.set_number(beat.number);
  wire.set_seen_seq(beat.seen_seq.value);
  wire.set_held_count(beat.held_count);
  wire.set_held_hash(beat.held_hash);
  if (beat.held.has_value()) ToWire(*beat.held, wire.mutable_held());
  for (const v1::LaneStatus& lane : lanes) *wire.add_lanes() = lane;
  wire.set_draining(beat.draining);
  wire.set_spool_full(beat.spool_full);
  return wire;
}

void AddRunning(const RunningAttempt& attempt, link::v1::Heartbeat* wire) {
  wire->add_running_job_id(attempt.job.value);
  wire->add_running_index(attempt.index);
  wire->add_running_ms(static_cast<uint32_t>(
      std::min<int64_t>(UINT32_MAX, absl::ToInt64Milliseconds(attempt.running))));
  wire->add_running_progress(attempt.progress.permille + 1);
  wire->add_running_note(attempt.progress.note);
  if (!attempt.progress.details.empty())
    AddPadded(wire->running_job_id_size(), attempt.progress.details,
              wire->mutable_running_details());
}

void ToWire(const AgentEffects::Batch& batch, link::v1::Results::Batch* wire) {
  wire->set_number(batch.number);
  wire->set_job_id(batch.job.value);
  wire->set_bytes(static_cast<uint32_t>(batch.body.size()) - batch.new_inputs_bytes);
  wire->set_new_inputs_bytes(batch.new_inputs_bytes);
  for (const agent::Added& added : batch.added) {
    wire->add_adder(added.position);
    wire->add_added(added.count);
  }
  for (const CountedEntry& counted : batch.counted) {
    wire->add_count_position(counted.position);
    wire->add_count_name(counted.counter);
    wire->add_count_by(counted.by);
  }
  for (const AgentLeased& run : batch.runs) {
    wire->add_lease(run.lease.value);
    wire->add_first(run.run.first);
    wire->add_count(run.run.count);
  }
  for (const agent::Failed& failed : batch.failed) {
    wire->add_position(failed.position);
    wire->add_state(static_cast<uint32_t>(failed.state));
    wire->add_reason(static_cast<uint32_t>(failed.reason));
    const int count = wire->position_size();
    if (failed.permanent) AddPadded(count, 1u, wire->mutable_permanent());
    if (failed.again.has_value() && !failed.permanent)
      AddPadded(count, AgainMs(*failed.again) + 1, wire->mutable_again_after_ms());
    if (!failed.details.empty()) AddPadded(count, failed.details, wire->mutable_details());
  }
  wire->set_run_ns(
      static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Nanoseconds(batch.run_time))));
}

std::vector<std::string> ToWire(const AgentEffects::Hello& hello, const WorkerIdentity& identity,
                                const std::vector<v1::LaneStatus>& lanes) {
  std::vector<std::string> pages;
  size_t at = 0;
  do {
    link::v1::Hello wire;
    wire.set_number(hello.number);
    wire.set_page(static_cast<uint32_t>(pages.size()));
    wire.set_token(identity.token);
    wire.set_worker_id(identity.worker_id);
    wire.set_process_id(identity.process_id);
    wire.set_hostname(identity.hostname);
    wire.set_name(identity.name);
    wire.mutable_labels()->insert(identity.labels.begin(), identity.labels.end());
    wire.mutable_resources()->insert(identity.resources.begin(), identity.resources.end());
    wire.set_pid(identity.pid);
    wire.set_version(identity.version);
    wire.set_min_protocol(kLinkProtocol);
    wire.set_max_protocol(kLinkProtocol);
    wire.set_host_key(identity.host_key);
    if (pages.empty()) {
      for (const auto& [name, lane] : identity.handlers) {
        v1::HandlerOffer* offer = wire.add_handlers();
        offer->set_name(name);
        offer->set_lane(static_cast<v1::Lane>(lane));
      }
      for (const v1::LaneStatus& lane : lanes) *wire.add_lanes() = lane;
      wire.set_highest_epoch(hello.highest_epoch.value);
      wire.set_seen_seq(hello.seen_seq.value);
      wire.set_culprit_named(hello.culprit_named);
      wire.set_suspects_process_id(hello.suspects_process);
      for (const agent::Suspect& suspect : hello.suspects) {
        wire.mutable_suspects()->add_job_id(suspect.job.value);
        wire.mutable_suspects()->add_birth_epoch(suspect.birth.epoch.value);
        wire.mutable_suspects()->add_birth_counter(suspect.birth.counter);
        wire.mutable_suspects()->add_old_epoch(0);
        wire.mutable_suspects()->add_lease(0);
        wire.mutable_suspects()->add_first(suspect.index);
        wire.mutable_suspects()->add_count(1);
        wire.mutable_suspects()->add_phase(2);
      }
    }
    const size_t end = std::min(hello.held.size(), at + kRunsPerPage);
    ToWire(std::vector<AgentHeld>(hello.held.begin() + static_cast<long>(at),
                                  hello.held.begin() + static_cast<long>(end)),
           wire.mutable_held());
    at = end;
    wire.set_last_page(at == hello.held.size());
    pages.push_back(wire.SerializeAsString());
  } while (at < hello.held.size());
  return pages;
}

}  // namespace reeve
