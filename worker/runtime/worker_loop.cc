#include "worker/runtime/worker_loop.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/doorbell.h"
#include "base/failpoint.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "base/zmq_socket.h"
#include "worker/runtime/collector_choice.h"

namespace reeve {
namespace {

constexpr int kFramesPerTurn = 256;
constexpr size_t kReportsPerTurn = 1024;
constexpr absl::Duration kLongestSleep = absl::Seconds(1);
// A Results frame is closed once its blob holds so much.
constexpr size_t kResultsFrameBytes = 1u << 20;
constexpr absl::Duration kRunningFor = absl::Seconds(1);
constexpr absl::Duration kTryOtherKeyAfter = absl::Seconds(4);
constexpr size_t kMaxRunning = 1024;
// A worker whose threads are stuck to this share (one in so many) starts anew.
constexpr uint32_t kStuckShare = 2;
constexpr int kExitStuck = 75;

// In proportion to how often results are sent again.
CollectorChoice::Options ChoiceOptions(absl::Duration repeat) {
  return {.patience = 1.5 * repeat,
          .unconnected = 0.5 * repeat,
          .away = 6 * repeat,
          .master_silent = 0.3 * repeat};
}

}  // namespace

struct WorkerLoop::Impl final : public LaneSink {
  explicit Impl(Options given) : options(std::move(given)), agent(options.agent, Monotonic()) {}

  void OnReport(LaneReport report) override {
    if (std::this_thread::get_id() == loop_thread) {
      own_reports.push_back(std::move(report));
      return;
    }
    const size_t bytes = report.body.size() + report.new_inputs.size() + report.details_bytes;
    reports.Push(std::move(report), bytes);
  }
  void OnOutput(LaneOutput output) override {
    const size_t bytes = output.content.size();
    // Live output is a courtesy: it never holds a lane up.
    outputs.TryPush(std::move(output), bytes);
  }

  int Run();
  bool Turn(absl::Duration now);
  absl::StatusOr<std::unique_ptr<ZmqSocket>> Connect(const std::string& endpoint,
                                                     const std::string& server_key);
  std::string CollectorAt(const std::string& told) const;
  absl::Status ConnectCollector(absl::Duration now);
  void LearnKeys(const link::v1::Welcome& wire);
  void TryOtherKey(absl::Duration now);
  bool Receive(absl::Duration now, ZmqSocket& socket);
  void OnMessage(absl::Duration now, const LinkMessage& message);
  void OnAssign(absl::Duration now, const LinkMessage& message);
  void OnWelcome(absl::Duration now, const LinkMessage& message);
  void TakeReports(absl::Duration now, bool* did);
  void Take(absl::Duration now, LaneReport report);
  void Carry(absl::Duration now, AgentEffects effects);
  void SendHeartbeat(const AgentEffects::Heartbeat& beat);
  void SendResults(std::vector<AgentEffects::Batch> batches, absl::Duration now);
  void SendOutputs();
  std::vector<v1::LaneStatus> LaneStatuses() const;
  absl::Status Send(ZmqSocket& socket, FrameType type, std::string body, Buffer blob = {});
  TaskLane* LaneOf(SpanKey span) {
    const auto it = lane_of.find(span);
    return it == lane_of.end() ? nullptr : it->second;
  }

  const Options options;
  Spool spool{options.spool};
  Agent agent;
  ZmqContext context{1};
  const SessionId session{RandomId()};
  LinkKeys keys = options.keys;
  absl::Duration last_message = Monotonic();
  std::unique_ptr<ZmqSocket> dispatch, collector;
  std::string collector_endpoint;  // Of `collector`.
  std::string masters_collector;   // As the master told; empty before the first Welcome.
  CollectorChoice choice{options.relay, ChoiceOptions(options.agent.results_repeat)};
  std::map<Lane, TaskLane*> lanes;
  std::map<std::string, Lane> lane_of_handler;
  std::map<SpanKey, TaskLane*> lane_of;
  std::map<uint64_t, LaneSpan> payloads;  // Between Assigned and Start.
  uint64_t next_payload = 1;
  bool local_cluster = false;
  bool stuck = false;
  bool must_change_key = false;
  bool asked_to_drain = false;  // By the master.
  Doorbell doorbell;
  Inbox<LaneReport> reports{{.count = 65'536, .bytes = 64u << 20}, &doorbell};
  // Of lanes that report within Start; as many as the master assigned.
  std::vector<LaneReport> own_reports;
  std::thread::id loop_thread;  // Set before the first span is started.
  Inbox<LaneOutput> outputs{{.count = 4'096, .bytes = 16u << 20}, &doorbell};
  std::atomic<int> drains{0};
  int drains_seen = 0;
  std::optional<int> exit;
};

absl::Status WorkerLoop::Impl::Send(ZmqSocket& socket, FrameType type, std::string body,
                                    Buffer blob) {
  FrameHead head;
  head.type = type;
  head.epoch = agent.epoch();
  head.session = session;
  return socket.Send({}, head, std::move(body), std::move(blob));
}

// ---- Connections ----

absl::StatusOr<std::unique_ptr<ZmqSocket>> WorkerLoop::Impl::Connect(
    const std::string& endpoint, const std::string& server_key) {
  ZmqSocket::Options socket_options;
  socket_options.linger = absl::Milliseconds(500);
  socket_options.curve = keys.own;
  socket_options.server_key = server_key;
  return ZmqSocket::ConnectDealer(context, endpoint, socket_options);
}

// The collector is on the host by which this worker reaches the master, unless the master says
// otherwise: a master may have several addresses, and not know by which it is reached.
std::string WorkerLoop::Impl::CollectorAt(const std::string& told) const {
  constexpr std::string_view kAnyHost = "tcp://*";
  if (told.rfind(kAnyHost, 0) != 0) return told;
  const std::string& dispatcher = options.dispatch_endpoint;
  return dispatcher.substr(0, dispatcher.rfind(':')) + told.substr(kAnyHost.size());
}

// To where results go now: a relay, or the master's own.
absl::Status WorkerLoop::Impl::ConnectCollector(absl::Duration now) {
  const std::string& endpoint = choice.Choose(now, masters_collector);
  if (collector != nullptr && collector_endpoint == endpoint) return absl::OkStatus();
  if (collector != nullptr && !options.relay.empty())
    REEVE_LOG_WARNING("results go another way from={} to={}", collector_endpoint, endpoint);
  collector.reset();
  auto connected =
      Connect(endpoint, endpoint == options.relay ? options.relay_key : keys.server_key);
  if (!connected.ok()) return connected.status();
  collector = std::move(*connected);
  collector_endpoint = endpoint;
  return absl::OkStatus();
}

void WorkerLoop::Impl::LearnKeys(const link::v1::Welcome& wire) {
  if (keys.own.secret_key.empty() || !IsCurveKey(wire.server_key()) ||
      !IsCurveKey(wire.next_server_key())) {
    return;
  }
  const bool is_new =
      wire.server_key() != keys.server_key || wire.next_server_key() != keys.next_server_key;
  keys.server_key = wire.server_key();
  keys.next_server_key = wire.next_server_key();
  if (is_new && options.on_keys) options.on_keys(keys);
}

// A master that changed its key cannot be heard with the old one: while it is silent, each of the
// two that are known is tried in turn.
void WorkerLoop::Impl::TryOtherKey(absl::Duration now) {
  const bool is_silent = now - last_message > kTryOtherKeyAfter;
  if (keys.next_server_key.empty() || !(is_silent || must_change_key)) return;
  must_change_key = false;
  last_message = now;
  std::swap(keys.server_key, keys.next_server_key);
  auto connected = Connect(options.dispatch_endpoint, keys.server_key);
  if (!connected.ok()) return;
  dispatch = std::move(*connected);
  collector.reset();  // Made again with the next Welcome.
}

// ---- What comes in ----

void WorkerLoop::Impl::OnAssign(absl::Duration now, const LinkMessage& message) {
  link::v1::Assign wire;
  if (!wire.ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size())))
    return;
  auto works = FromWire(wire, message.blob, local_cluster);
  if (!works.ok()) {
    REEVE_LOG_WARNING("assignment was not understood why={}", works.status().ToString());
    return;
  }
  for (AssignedWork& work : *works) {
    const auto lane = lane_of_handler.find(work.span.job->handler);
    work.event.lane = lane == lane_of_handler.end() ? Lane::kThread : lane->second;
    work.event.payload = next_payload++;
    payloads[work.event.payload] = std::move(work.span);
    agent.Step(now, work.event);
  }
}

void WorkerLoop::Impl::OnWelcome(absl::Duration now, const LinkMessage& message) {
  link::v1::Welcome wire;
  if (!wire.ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size())))
    return;
  auto welcome = FromWire(wire, message.head.epoch);
  if (!welcome.ok()) {
    REEVE_LOG_WARNING("a welcome was not understood why={}", welcome.status().ToString());
    return;
  }
  if (wire.refused().empty()) {
    local_cluster = wire.local_cluster();
    for (auto& [kind, lane] : lanes) lane->SetWorkerName(wire.worker());
    LearnKeys(wire);
    choice.Welcomed();
    masters_collector = CollectorAt(wire.collector_endpoint());
    if (absl::Status s = ConnectCollector(now); !s.ok()) {
      REEVE_LOG_ERROR("cannot connect to the collector why={}", s.ToString());
      return;
    }
    REEVE_LOG_INFO("worker joined name={} epoch={}", wire.worker(), message.head.epoch.value);
    if (options.on_joined != nullptr) options.on_joined();
  }
  agent.Step(now, *std::move(welcome));
}

void WorkerLoop::Impl::OnMessage(absl::Duration now, const LinkMessage& message) {
  if (!IsHeeded(message.head, session, agent.epoch())) return;
  agent.Step(now, agent::Heard{});
  last_message = now;
  const auto parse = [&message](auto* wire) {
    return wire->ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size()));
  };
  switch (message.head.type) {
    case FrameType::kWelcome: return OnWelcome(now, message);
    case FrameType::kAssign: return OnAssign(now, message);
    case FrameType::kWhoAreYou: return agent.Step(now, agent::AskedWho{});
    case FrameType::kDrain:
      // Asked twice over the network is not asked twice by the owner.
      if (!std::exchange(asked_to_drain, true)) agent.Step(now, agent::Drain{});
      return;
    case FrameType::kHeartbeatAck: {
      link::v1::HeartbeatAck wire;
      if (!parse(&wire)) return;
      if (wire.change_key()) must_change_key = true;
      return agent.Step(now, agent::HeartbeatAcked{wire.number(), wire.send_held()});
    }
    case FrameType::kRecall: {
      link::v1::Recall wire;
      if (!parse(&wire)) return;
      for (int i = 0; i < std::min(wire.lease_size(), wire.end_size()); ++i) {
        agent.Step(now, agent::RecallAsked{LeaseSeq(wire.lease(i)), wire.end(i)});
      }
      return;
    }
    case FrameType::kCancel: {
      link::v1::Cancel wire;
      if (!parse(&wire)) return;
      for (int i = 0; i < std::min({wire.lease_size(), wire.first_size(), wire.count_size()});
           ++i) {
        agent.Step(now,
                   agent::CancelAsked{LeaseSeq(wire.lease(i)), {wire.first(i), wire.count(i)}});
      }
      return;
    }
    case FrameType::kResultAck: {
      link::v1::ResultAck wire;
      if (!parse(&wire)) return;
      choice.Acknowledged();
      agent::ResultsAcked event;
      event.numbers.assign(wire.recorded().begin(), wire.recorded().end());
      event.numbers.insert(event.numbers.end(), wire.superseded().begin(), wire.superseded().end());
      return agent.Step(now, std::move(event));
    }
    default: return;
  }
}

bool WorkerLoop::Impl::Receive(absl::Duration now, ZmqSocket& socket) {
  for (int i = 0; i < kFramesPerTurn; ++i) {
    ReceiveResult result = socket.Receive();
    if (result.drained) return i > 0;
    if (result.message.has_value()) {
      if (&socket == dispatch.get()) choice.MasterHeard(now);
      OnMessage(now, *result.message);
    } else if (absl::IsUnimplemented(result.rejected)) {
      REEVE_LOG_ERROR("the master speaks link protocol {}, this worker {}", result.protocol,
                      kLinkProtocol);
      exit = 78;
      return true;
    }
    // The collector may have been replaced meanwhile.
    if (&socket != dispatch.get() && &socket != collector.get()) return true;
  }
  return true;
}

void WorkerLoop::Impl::Take(absl::Duration now, LaneReport report) {
  agent::Reported event;
  event.span = report.span;
  event.runs = std::move(report.runs);
  for (LaneReport::Failed& failed : report.failed) {
    event.failed.push_back({failed.position, failed.state, failed.reason, failed.words.permanent,
                            failed.words.again, std::move(failed.words.details)});
  }
  event.details_bytes = report.details_bytes;
  event.run_time = report.run_time;
  for (const LaneReport::Added& added : report.added)
    event.added.push_back({added.position, added.count});
  event.new_inputs_bytes = static_cast<uint32_t>(report.new_inputs.size());
  event.counted = std::move(report.counted);
  report.body += report.new_inputs;
  event.body = spool.Keep(std::move(report.body));
  agent.Step(now, std::move(event));
}

void WorkerLoop::Impl::TakeReports(absl::Duration now, bool* did) {
  for (LaneReport& report : std::exchange(own_reports, {})) {
    *did = true;
    Take(now, std::move(report));
  }
  for (LaneReport& report : reports.Pop(kReportsPerTurn)) {
    *did = true;
    Take(now, std::move(report));
  }
}

// ---- What goes out ----

std::vector<v1::LaneStatus> WorkerLoop::Impl::LaneStatuses() const {
  std::vector<v1::LaneStatus> statuses;
  for (const auto& [kind, lane] : lanes) {
    v1::LaneStatus& status = statuses.emplace_back();
    status.set_lane(static_cast<v1::Lane>(kind));
    status.set_slots(lane->slots());
    status.set_stuck(lane->stuck());
  }
  return statuses;
}

void WorkerLoop::Impl::SendHeartbeat(const AgentEffects::Heartbeat& beat) {
  const std::vector<v1::LaneStatus> statuses = LaneStatuses();
  link::v1::Heartbeat wire = ToWire(beat, statuses);
  if (options.pools) {
    for (v1::PoolStatus& pool : options.pools()) *wire.add_pools() = std::move(pool);
  }
  size_t running = 0;
  for (const auto& [kind, lane] : lanes) {
    for (const RunningAttempt& attempt : lane->Running(kRunningFor, kMaxRunning - running)) {
      AddRunning(attempt, &wire);
      ++running;
    }
  }
  for (const v1::LaneStatus& status : statuses) {
    if (status.stuck() > 0 && status.stuck() * kStuckShare >= status.slots() && !stuck) {
      REEVE_LOG_WARNING("half of the slots are stuck, the worker drains and starts anew");
      stuck = true;
      drains.fetch_add(1);
      doorbell.Ring();
    }
  }
  (void)Send(*dispatch, FrameType::kHeartbeat, wire.SerializeAsString());
}

void WorkerLoop::Impl::SendResults(std::vector<AgentEffects::Batch> batches, absl::Duration now) {
  // One that was connected before is an endpoint.
  if (!batches.empty() && collector != nullptr) (void)ConnectCollector(now);
  size_t next = 0;
  while (next < batches.size()) {
    link::v1::Results wire;
    std::string blob;
    Buffer only;
    std::vector<uint64_t> numbers;
    const size_t first = next;
    uint64_t bytes = 0;
    for (; next < batches.size(); ++next) {
      AgentEffects::Batch& batch = batches[next];
      if (next > first && bytes + batch.bytes() > kResultsFrameBytes) break;
      bytes += batch.bytes();
      ToWire(batch, wire.add_batches());
      numbers.push_back(batch.number);
      if (next == first && batch.body.size() >= kResultsFrameBytes / 2) {
        // A large one goes alone, without being copied.
        only = batch.body;
        ++next;
        break;
      }
      blob += batch.body.view();
    }
    const absl::Status sent = collector == nullptr
                                  ? absl::UnavailableError("no collector")
                                  : Send(*collector, FrameType::kResults, wire.SerializeAsString(),
                                         only.empty() ? Buffer(std::move(blob)) : std::move(only));
    choice.Sent(now, sent.ok());
    if (sent.ok()) {
      Failpoint("worker.results_sent");
      continue;
    }
    for (; next < batches.size(); ++next) numbers.push_back(batches[next].number);
    agent.Step(now, agent::NotSent{std::move(numbers)});
    return;
  }
}

void WorkerLoop::Impl::SendOutputs() {
  if (collector == nullptr) return;
  link::v1::Output wire;
  std::string blob;
  const auto flush = [&] {
    if (wire.chunks_size() > 0)
      (void)Send(*collector, FrameType::kOutput, wire.SerializeAsString(), Buffer(std::move(blob)));
    wire.Clear();
    blob.clear();
  };
  for (const LaneOutput& output : outputs.Pop(kReportsPerTurn)) {
    // A piece may be larger than a frame: it goes in parts.
    for (size_t at = 0; at < output.content.size(); at += kResultsFrameBytes) {
      const std::string_view part = std::string_view(output.content).substr(at, kResultsFrameBytes);
      if (blob.size() + part.size() > kResultsFrameBytes) flush();
      link::v1::Output::Chunk* chunk = wire.add_chunks();
      chunk->set_job_id(output.job.value);
      chunk->set_index(output.index);
      chunk->set_attempt(output.attempt);
      chunk->set_stream(output.stream);
      chunk->set_offset(output.offset + at);
      chunk->set_bytes(static_cast<uint32_t>(part.size()));
      blob += part;
    }
  }
  flush();
}

void WorkerLoop::Impl::Carry(absl::Duration now, AgentEffects effects) {
  if (effects.hello.has_value()) {
    for (std::string& page : ToWire(*effects.hello, options.identity, LaneStatuses())) {
      (void)Send(*dispatch, FrameType::kHello, std::move(page));
    }
  }
  if (effects.exclusive_until.has_value()) {
    const absl::Duration left = *effects.exclusive_until - Monotonic();
    for (auto& [kind, lane] : lanes) lane->SetExclusiveDeadline(Boottime() + left);
  }
  for (const AgentEffects::Start& start : effects.starts) {
    Failpoint("worker.assigned");
    auto payload = payloads.extract(start.payload);
    LaneSpan span = std::move(payload.mapped());
    span.key = start.span;
    const auto kind = lane_of_handler.find(span.job->handler);
    TaskLane* lane = lanes.at(kind == lane_of_handler.end() ? Lane::kThread : kind->second);
    lane_of[start.span] = lane;
    lane->Start(std::move(span));
  }
  payloads.clear();  // Of spans that came twice.
  if (effects.suspects_told && options.on_before_told != nullptr) options.on_before_told();
  for (const AgentEffects::CutSpan& cut : effects.cuts) {
    if (TaskLane* lane = LaneOf(cut.span))
      agent.Step(now, agent::Cut{cut.span, lane->Cut(cut.span, cut.from), cut.why});
  }
  for (const AgentEffects::CancelRun& cancel : effects.cancels) {
    if (TaskLane* lane = LaneOf(cancel.span)) {
      agent.Step(now, agent::Cut{cancel.span, lane->Cancel(cancel.span, cancel.run),
                                 agent::Cut::Why::kCancel});
    }
  }
  SendOutputs();  // Before the results they belong to.
  if (!effects.results.empty()) Failpoint("worker.results");
  SendResults(std::move(effects.results), now);
  const auto fill = [](const std::vector<AgentLeased>& runs, auto* wire) {
    for (const AgentLeased& run : runs) {
      wire->add_lease(run.lease.value);
      wire->add_first(run.run.first);
      wire->add_count(run.run.count);
    }
    return wire->SerializeAsString();
  };
  if (!effects.recalled.empty()) {
    link::v1::Recalled wire;
    (void)Send(*dispatch, FrameType::kRecalled, fill(effects.recalled, &wire));
  }
  if (!effects.released.empty()) {
    link::v1::Release wire;
    (void)Send(*dispatch, FrameType::kRelease, fill(effects.released, &wire));
  }
  for (const SpanKey span : effects.ended) lane_of.erase(span);
  if (effects.heartbeat.has_value()) SendHeartbeat(*effects.heartbeat);
  if (effects.goodbye.has_value()) {
    link::v1::Goodbye wire;
    wire.set_reason(*effects.goodbye);
    (void)Send(*dispatch, FrameType::kGoodbye, wire.SerializeAsString());
  }
  if (effects.exit.has_value()) {
    exit = effects.exit->first;
    if (*exit == 0) {
      REEVE_LOG_INFO("worker ends why={}", effects.exit->second);
    } else {
      std::fprintf(stderr, "reeve-worker: %s\n", effects.exit->second.c_str());
    }
  }
}

// Returns: whether there was anything to do.
bool WorkerLoop::Impl::Turn(absl::Duration now) {
  Failpoint("worker.turn");
  bool did = Receive(now, *dispatch);
  if (collector != nullptr) did = Receive(now, *collector) || did;
  TakeReports(now, &did);
  for (const int wanted = drains.load(); drains_seen < wanted; ++drains_seen) {
    did = true;
    agent.Step(now, agent::Drain{});
    Failpoint("worker.drain");
  }
  TryOtherKey(now);
  if (now >= agent.NextDeadline()) agent.Step(now, agent::Tick{});
  Carry(now, agent.TakeEffects(now));
  // Cuts answered above may have ended something.
  Carry(now, agent.TakeEffects(now));
  return did || !own_reports.empty();
}

int WorkerLoop::Impl::Run() {
  auto connected = Connect(options.dispatch_endpoint, keys.server_key);
  if (!connected.ok()) {
    std::fprintf(stderr, "reeve-worker: %s\n",
                 std::string(ToStd(connected.status().message())).c_str());
    return 78;
  }
  dispatch = std::move(*connected);
  loop_thread = std::this_thread::get_id();
  for (const auto& [name, lane] : options.identity.handlers) lane_of_handler[name] = lane;
  agent.Step(Monotonic(), options.before);
  while (!exit.has_value()) {
    while (Turn(Monotonic()) && !exit.has_value()) {
    }
    if (exit.has_value()) break;
    pollfd fds[3] = {{doorbell.fd(), POLLIN, 0},
                     {dispatch->fd(), POLLIN, 0},
                     {collector ? collector->fd() : -1, POLLIN, 0}};
    if (dispatch->HasInput() || (collector != nullptr && collector->HasInput())) continue;
    const absl::Duration sleep =
        std::clamp(agent.NextDeadline() - Monotonic(), absl::ZeroDuration(), kLongestSleep);
    poll(fds, 3,
         static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(sleep, absl::Milliseconds(1)))));
    doorbell.Answer();
  }
  reports.Close();
  outputs.Close();
  dispatch.reset();
  collector.reset();
  return stuck && *exit == 0 ? kExitStuck : *exit;
}

WorkerLoop::WorkerLoop(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
WorkerLoop::~WorkerLoop() = default;
LaneSink* WorkerLoop::sink() { return impl_.get(); }
void WorkerLoop::AddLane(Lane kind, TaskLane* lane) { impl_->lanes[kind] = lane; }
int WorkerLoop::Run() { return impl_->Run(); }
void WorkerLoop::Drain() {
  impl_->drains.fetch_add(1);
  impl_->doorbell.Ring();
}

}  // namespace reeve
