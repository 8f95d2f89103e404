#include "tests/simulation/sim_worker.h"

#include <algorithm>
#include <cstring>

#include "tests/simulation/asks.h"

namespace reeve::sim {
namespace {

// The frames of a worker that waits for a lost master are not kept for it (ZMQ_IMMEDIATE).
uint64_t KeyOf(const Buffer& record) {
  uint64_t key = 0;
  if (record.size() >= sizeof key) std::memcpy(&key, record.view().data(), sizeof key);
  return key;
}

std::vector<HeldRun> ToWire(const std::vector<AgentHeld>& held) {
  std::vector<HeldRun> runs;
  for (const AgentHeld& run : held) {
    runs.push_back({run.job, run.birth, run.lease, run.run,
                    run.finished ? HeldPhase::kFinished : HeldPhase::kQueued});
  }
  return runs;
}

std::vector<LeasedRun> ToWire(const std::vector<AgentLeased>& leased) {
  std::vector<LeasedRun> runs;
  for (const AgentLeased& run : leased) runs.push_back({run.lease, run.run});
  return runs;
}

}  // namespace

void SimWorker::Start() {
  if (dead_ || alive()) return;
  // Whatever the process before left open is closed by now.
  network_->Break(number_, Channel::kDispatch, false);
  network_->Break(number_, Channel::kCollector, false);
  ++process_;
  session_ = SessionOf(number_, process_);
  agent_ = std::make_unique<Agent>(world_->config.agent, Clock());
  lane_ = std::make_unique<SimLane>(world_, checker_, number_, process_);
  collector_known_ = false;
  turn_set_ = false;
  stalled_until_ = back_after_ = 0;
  last_held_ = 0;
  world_->Note("worker starts", number_, process_);
  network_->Connect(number_, Channel::kDispatch, process_);
  agent_->Step(Clock(), kept_);
  Wake();
}

void SimWorker::Crash(bool silently, bool parent_too) {
  if (!alive()) return;
  End({session_, lane_->Running(0), std::nullopt, false}, silently, parent_too);
}

void SimWorker::DieOfPoison() {
  const JobPlan::Poison& poison = lane_->poison();
  End({session_, lane_->Running(0), lane_->culprit(), poison.named && !poison.parent_too}, false,
      poison.parent_too);
  world_->At(world_->now + world_->lanes.Between(20 * kMs, 4 * kSecond), Kind::kWorkerStart,
             number_);
}

// What worker/supervisor/crash_notes.h says of a death.
void SimWorker::End(Death death, bool silently, bool parent_too) {
  world_->Note("worker dies", number_, process_, parent_too);
  lane_->EndExclusive();
  checker_->OnProcessEnd(number_, process_);
  checker_->OnDeath(death);
  if (death.named) death.running = {*death.culprit};
  if (parent_too) {
    world_->Saw(Seen::kParentDied);
    kept_ = {};
  } else {
    Keep(std::move(death.running), death.named);
  }
  network_->Break(number_, Channel::kDispatch, silently);
  network_->Break(number_, Channel::kCollector, silently);
  agent_.reset();
  lane_.reset();
  inbox_.clear();
  payloads_.clear();
  late_tasks_.clear();
}

void SimWorker::Keep(std::vector<agent::Suspect> running, bool named) {
  // One that ended with nothing running leaves what it was to tell.
  if (!running.empty() || kept_.suspects.empty()) kept_ = {std::move(running), named, ProcessId()};
}

void SimWorker::Drain(int64_t back_after) {
  if (!alive()) return;
  back_after_ = back_after;
  agent_->Step(Clock(), agent::Drain{});
  Wake();
}

void SimWorker::Stall(int64_t until) { stalled_until_ = std::max(stalled_until_, until); }

void SimWorker::Wake() {
  if (std::exchange(turn_set_, true)) return;
  const int64_t soon = world_->now + world_->turns.Between(5, 300);
  world_->At(std::max(soon, stalled_until_), Kind::kWorkerTurn, number_, process_);
}

void SimWorker::SetTimer() {
  const absl::Duration next = agent_->NextDeadline();
  ++timer_;
  if (next == absl::InfiniteDuration()) return;
  const int64_t at =
      next <= Clock() ? world_->now + 1 : absl::ToInt64Microseconds(next - absl::Seconds(1)) + 1;
  world_->At(at, Kind::kWorkerTimer, number_, process_, timer_);
}

void SimWorker::OnTimer(uint64_t process, uint64_t token) {
  if (alive() && process == process_ && token == timer_) Wake();
}

void SimWorker::OnTaskDone(uint64_t process, uint64_t slot_and_serial) {
  if (!alive() || process != process_) return;
  if (world_->now < stalled_until_) {
    late_tasks_.push_back(slot_and_serial);
    return Wake();
  }
  (void)TaskDone(slot_and_serial);
}

bool SimWorker::TaskDone(uint64_t slot_and_serial) {
  switch (lane_->OnTaskDone(slot_and_serial)) {
    case SimLane::Done::kNothing: return true;
    case SimLane::Done::kReports: Wake(); return true;
    case SimLane::Done::kDied: DieOfPoison(); return false;
  }
  return true;
}

void SimWorker::OnFrame(Frame frame) {
  if (!alive()) return;
  inbox_.push_back(std::move(frame));
  Wake();
}

void SimWorker::OnTurn(uint64_t process) {
  if (!alive() || process != process_) return;
  turn_set_ = false;
  if (world_->now < stalled_until_) return Wake();
  for (const uint64_t late : std::exchange(late_tasks_, {})) {
    if (!TaskDone(late)) return;
  }
  for (Frame& frame : std::exchange(inbox_, {})) Receive(frame);
  for (agent::Reported& report : lane_->TakeReports()) agent_->Step(Clock(), std::move(report));
  if (Clock() >= agent_->NextDeadline()) agent_->Step(Clock(), agent::Tick{});
  Carry(agent_->TakeEffects(Clock()));
  // Cuts answered above may have ended something.
  if (alive()) Carry(agent_->TakeEffects(Clock()));
  if (!alive()) return;
  lane_->CheckAlone();
  SetTimer();
}

void SimWorker::Receive(Frame& frame) {
  const bool greeting = std::holds_alternative<SendWelcome>(frame.body) ||
                        std::holds_alternative<SendWhoAreYou>(frame.body);
  if (frame.epoch < agent_->epoch()) return;
  if (!greeting && frame.epoch != agent_->epoch()) return;
  agent_->Step(Clock(), agent::Heard{});
  if (const auto* welcome = std::get_if<SendWelcome>(&frame.body)) {
    OnWelcome(frame, *welcome);
  } else if (std::holds_alternative<SendWhoAreYou>(frame.body)) {
    agent_->Step(Clock(), agent::AskedWho{});
  } else if (const auto* ack = std::get_if<SendHeartbeatAck>(&frame.body)) {
    agent_->Step(Clock(), agent::HeartbeatAcked{ack->number, ack->send_held});
  } else if (const auto* assignment = std::get_if<Assignment>(&frame.body)) {
    OnAssign(*assignment);
  } else if (const auto* recall = std::get_if<SendRecall>(&frame.body)) {
    for (const SendRecall::Cut& cut : recall->cuts)
      agent_->Step(Clock(), agent::RecallAsked{cut.lease, cut.end});
  } else if (const auto* cancel = std::get_if<SendCancel>(&frame.body)) {
    for (const LeasedRun& run : cancel->runs)
      agent_->Step(Clock(), agent::CancelAsked{run.lease, run.run});
  } else if (const auto* acked = std::get_if<AckResults>(&frame.body)) {
    agent::ResultsAcked event{acked->recorded};
    event.numbers.insert(event.numbers.end(), acked->superseded.begin(), acked->superseded.end());
    agent_->Step(Clock(), std::move(event));
  }
}

void SimWorker::OnWelcome(const Frame& frame, const SendWelcome& welcome) {
  if (!std::exchange(collector_known_, true))
    network_->Connect(number_, Channel::kCollector, process_);
  agent::Welcomed event;
  event.number = welcome.number;
  event.epoch = frame.epoch;
  event.refused = welcome.refused;
  event.heartbeat = absl::Microseconds(world_->config.heartbeat);
  event.seen_seq = welcome.seen_seq;
  for (const WelcomeRun& run : welcome.runs) event.runs.push_back({run.job, run.run, run.lease});
  agent_->Step(Clock(), std::move(event));
}

void SimWorker::OnAssign(const Assignment& assignment) {
  for (const AssignedSpan& span : assignment.spans) {
    SimSpan payload{
        {},          span.job,          span.birth,     span.run,  span.attempt, KeyOf(span.record),
        span.inputs, span.inputs_first, span.positions, span.solo, span.front};
    agent::Assigned event{span.job,     span.lease,    span.run,       span.birth,
                          span.attempt, Lane::kThread, next_payload_++};
    event.exclusive = PlanOf(world_->config, payload.job_key).exclusive;
    payloads_[event.payload] = std::move(payload);
    agent_->Step(Clock(), event);
  }
}

LaneRooms SimWorker::Rooms() const {
  LaneRooms rooms{};
  rooms[static_cast<int>(Lane::kThread)] = {world_->config.slots, 0};
  return rooms;
}

void SimWorker::Send(Channel channel, decltype(Frame::body) body) {
  network_->ToMaster(number_, channel, {agent_->epoch(), session_, std::move(body)});
}

void SimWorker::SendHello(const AgentEffects::Hello& sent) {
  Hello hello;
  hello.number = sent.number;
  hello.worker_id = id();
  hello.process_id = ProcessId();
  hello.culprit_named = sent.culprit_named;
  hello.suspects_process = sent.suspects_process;
  for (const agent::Suspect& suspect : sent.suspects) {
    hello.suspects.push_back(
        {suspect.job, suspect.birth, {}, {suspect.index, 1}, HeldPhase::kRunning});
  }
  hello.handlers = {{"work", Lane::kThread}};
  hello.lanes = Rooms();
  hello.resources = ResourcesOf(world_->config, number_);
  hello.labels = LabelsOf(number_);
  hello.seen_seq = sent.seen_seq;
  hello.held = ToWire(sent.held);
  Send(Channel::kDispatch, std::move(hello));
}

void SimWorker::SendBeat(const AgentEffects::Heartbeat& sent) {
  Heartbeat beat;
  beat.number = sent.number;
  beat.seen_seq = sent.seen_seq;
  beat.held_count = last_held_ = sent.held_count;
  beat.held_hash = sent.held_hash;
  if (sent.held.has_value()) beat.held = ToWire(*sent.held);
  beat.running = lane_->RunningFor(kSecond);
  beat.lanes = Rooms();
  beat.draining = sent.draining;
  beat.spool_full = sent.spool_full;
  Send(Channel::kDispatch, std::move(beat));
}

void SimWorker::SendResults(std::vector<AgentEffects::Batch> batches) {
  for (size_t next = 0; next < batches.size();) {
    ResultsArrived frame;
    std::vector<uint64_t> numbers;
    for (; next < batches.size() && frame.batches.size() < 3; ++next) {
      AgentEffects::Batch& batch = batches[next];
      ResultBatchArrived out;
      out.number = batch.number;
      out.job = batch.job;
      out.runs = ToWire(batch.runs);
      for (const agent::Failed& failed : batch.failed)
        out.failed.push_back(checker_->FailureIn(batch.body, failed));
      out.run_time = batch.run_time;
      const size_t body_bytes = batch.body.size() - batch.new_inputs_bytes;
      out.body = batch.body.Slice(0, body_bytes);
      if (!batch.added.empty()) {
        const InputsRef inputs =
            *InputBatch::Parse(batch.body.Slice(body_bytes, batch.new_inputs_bytes));
        out.added = {inputs, inputs->Keys(), inputs->payload_bytes(), {}};
        for (const agent::Added& added : batch.added)
          out.added.parts.push_back({added.position, added.count});
      }
      out.counted = batch.counted;
      checker_->OnSent(session_, batch.number, batch.body);
      numbers.push_back(batch.number);
      frame.batches.push_back(std::move(out));
    }
    if (network_->ToMaster(number_, Channel::kCollector,
                           {agent_->epoch(), session_, std::move(frame)}))
      continue;
    for (; next < batches.size(); ++next) numbers.push_back(batches[next].number);
    agent_->Step(Clock(), agent::NotSent{std::move(numbers)});
  }
}

void SimWorker::Carry(AgentEffects effects) {
  if (effects.hello.has_value()) SendHello(*effects.hello);
  if (effects.exclusive_until.has_value()) {
    lane_->SetExclusiveDeadline(
        absl::ToInt64Microseconds(*effects.exclusive_until - absl::Seconds(1)));
  }
  for (const AgentEffects::Start& start : effects.starts) {
    auto payload = payloads_.extract(start.payload);
    payload.mapped().key = start.span;
    lane_->Start(std::move(payload.mapped()));
  }
  if (effects.suspects_told) kept_ = {};
  for (const AgentEffects::CutSpan& cut : effects.cuts)
    agent_->Step(Clock(), agent::Cut{cut.span, lane_->Cut(cut.span, cut.from), cut.why});
  for (const AgentEffects::CancelRun& cancel : effects.cancels) {
    agent_->Step(Clock(), agent::Cut{cancel.span, lane_->Cancel(cancel.span, cancel.run),
                                     agent::Cut::Why::kCancel});
  }
  SendResults(std::move(effects.results));
  if (!effects.recalled.empty())
    Send(Channel::kDispatch, Recalled{session_, ToWire(effects.recalled)});
  if (!effects.released.empty())
    Send(Channel::kDispatch, Released{session_, ToWire(effects.released)});
  if (effects.heartbeat.has_value()) SendBeat(*effects.heartbeat);
  if (effects.goodbye.has_value()) {
    world_->Saw(Seen::kDrained);
    Send(Channel::kDispatch, Goodbye{session_, *effects.goodbye});
  }
  if (!effects.exit.has_value()) return;
  world_->Note("worker exits", number_, static_cast<uint64_t>(effects.exit->first));
  Keep({}, false);
  // For a master that hears neither the Goodbye nor what the parent knows, it died.
  checker_->OnDeath({session_, {}, std::nullopt, false});
  const int64_t back = back_after_ > 0 ? back_after_ : kSecond;
  lane_->EndExclusive();
  checker_->OnProcessEnd(number_, process_);
  // What it sent last is still delivered: its sockets linger.
  agent_.reset();
  lane_.reset();
  inbox_.clear();
  payloads_.clear();
  late_tasks_.clear();
  world_->At(world_->now + back, Kind::kWorkerStart, number_);
}

}  // namespace reeve::sim
