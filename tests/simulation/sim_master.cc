#include "tests/simulation/sim_master.h"

#include <algorithm>

#include "tests/simulation/asks.h"

namespace reeve::sim {
namespace {

constexpr int64_t kProbeEvery = kSecond;
constexpr int64_t kProbeAfter = 2 * kSecond;
constexpr uint64_t kStages = 6;
constexpr uint64_t kCheckEvery = 4;

}  // namespace

Now SimMaster::Clock() const {
  const absl::Duration since = absl::Microseconds(world_->now);
  return {since + absl::Seconds(1),
          absl::FromUnixSeconds(1'700'000'000) + since + absl::Microseconds(world_->wall_offset)};
}

void SimMaster::Start() {
  if (alive()) return;
  Image image = store_->Load();
  checker_->OnLife(image);
  life_ = image.epoch.value;
  for (const JobImage& job : image.jobs) {
    if (!job.retries.empty()) world_->Saw(Seen::kBudgetRestored);
  }
  world_->Note("master starts", life_);
  scheduler_ = std::make_unique<Scheduler>(world_->config.scheduler, std::move(image), Clock());
  checker_->OnRestored(scheduler_->ListJobs({}, SIZE_MAX));
  turn_set_ = false;
  next_probe_ = world_->now;
  Wake();
}

void SimMaster::Crash(bool applied, int64_t back) {
  if (!alive()) return;
  world_->Note("master dies", life_, applied);
  CountTotals();
  scheduler_.reset();
  store_->OnMasterDied(applied);
  connections_.clear();
  session_of_.clear();
  collector_routes_.clear();
  hello_numbers_.clear();
  frames_.clear();
  for (std::vector<Event>* events : {&internal_, &results_, &api_, &own_}) events->clear();
  held_ = {};
  network_->BreakAll();
  stalled_until_ = collector_stalled_until_ = 0;
  crash_detail_.reset();
  world_->At(world_->now + back, Kind::kMasterStart);
}

void SimMaster::CountTotals() {
  const Scheduler::Totals totals = scheduler_->totals();
  world_->Saw(Seen::kLeaseExpired, totals.expired_leases);
  world_->Saw(Seen::kAssignResent, totals.resent_spans);
  world_->Saw(Seen::kSpanLost, totals.lost_spans);
  if (world_->config.strict && totals.expired_leases > 0)
    world_->Fail("no lease expires while its worker answers, whatever the wall clock does");
}

void SimMaster::CrashInCarry(uint32_t detail, int64_t back) {
  if (!alive()) return;
  crash_detail_ = detail;
  crash_back_ = back;
}

void SimMaster::Stall(int64_t until) { stalled_until_ = std::max(stalled_until_, until); }

void SimMaster::Heal() {
  crash_detail_.reset();
  stalled_until_ = std::min(stalled_until_, world_->now);
  collector_stalled_until_ = 0;
}

// ---- The loop ----

void SimMaster::Wake() {
  if (std::exchange(turn_set_, true)) return;
  const int64_t soon = world_->now + world_->turns.Between(5, 400);
  world_->At(std::max(soon, stalled_until_), Kind::kMasterTurn, 0, life_);
}

void SimMaster::SetTimer() {
  const Now now = Clock();
  absl::Duration sleep = scheduler_->NextDeadline() - now.monotonic;

  sleep = std::clamp(sleep, absl::Microseconds(1), absl::Milliseconds(500));
  world_->At(world_->now + absl::ToInt64Microseconds(sleep) + 1, Kind::kMasterTimer, 0, life_,
             ++timer_);
}

void SimMaster::OnTimer(uint64_t life, uint64_t token) {
  if (alive() && life == life_ && token == timer_) Wake();
}

void SimMaster::OnTurn(uint64_t life) {
  if (!alive() || life != life_) return;
  turn_set_ = false;
  if (world_->now < stalled_until_) return Wake();
  StepAll(std::exchange(own_, {}));
  StepAll(std::exchange(internal_, {}));
  for (auto& [route, frame] : std::exchange(frames_, {})) ReceiveFrame(route, frame);
  if (world_->now >= next_probe_) Probe();
  StepAll(std::exchange(results_, {}));
  StepAll(std::exchange(api_, {}));
  if (!Carry(scheduler_->TakeEffects(Clock()))) return;
  if (++world_->steps % kCheckEvery == 0) scheduler_->CheckInvariants();
  checker_->OnWorkers(scheduler_->ListWorkers());
  if (!world_->config.queues.empty()) checker_->OnQueues(scheduler_->ListQueues());
  if (!own_.empty()) Wake();
  SetTimer();
}

void SimMaster::StepAll(std::vector<Event> events) {
  for (Event& event : events) {
    if (const auto* commit = std::get_if<Committed>(&event))
      ReleaseCommitted(commit->store, commit->number);
    Step(std::move(event));
  }
}

void SimMaster::Step(Event event) {
  if (const auto* arrived = std::get_if<ResultsArrived>(&event)) checker_->OnArrived(*arrived);
  if (const auto* moved = std::get_if<CursorMoved>(&event)) checker_->OnCursor(*moved);
  world_->Note("event", event.index());
  scheduler_->Step(Clock(), std::move(event));
}

void SimMaster::Probe() {
  next_probe_ = world_->now + kProbeEvery;
  std::vector<SessionId> silent;
  for (const auto& [session, connection] : connections_) {
    if (world_->now - connection.last_seen > kProbeAfter) silent.push_back(session);
  }
  for (const SessionId session : silent) SendTo(session, SendHeartbeatAck{});
}

bool SimMaster::CrashHere(uint32_t stage) {
  if (!crash_detail_.has_value() || *crash_detail_ % kStages != stage) return false;
  world_->Saw(Seen::kCrashInCarry);
  const bool applied = (*crash_detail_ / kStages) % 2 != 0;
  Crash(applied, crash_back_);
  return true;
}

// Durable → reply → send, as the master loop says it. Returns: false if the master died meanwhile.
bool SimMaster::Carry(Effects effects) {
  const bool idle = effects.writes.empty() && effects.assignments.empty() &&
                    effects.replies.empty() && effects.acks.empty();
  if (!idle && CrashHere(0)) return false;
  for (WriteBatch& batch : effects.writes) {
    checker_->OnSubmitted(batch);
    if (batch.store == StoreKind::kDurable) {
      store_->Submit(std::move(batch));
      continue;
    }
    store_->CommitMemory(batch);
    ReleaseCommitted(StoreKind::kMemory, batch.number);
    own_.push_back(Committed{StoreKind::kMemory, batch.number});
  }
  checker_->AfterWrites();
  if (!idle && CrashHere(1)) return false;
  for (LinkSend& send : effects.sends) {
    const After after = send.after;
    Release(after, std::move(send));
  }
  for (Assignment& assignment : effects.assignments) {
    const auto connection = connections_.find(assignment.session);
    if (connection != connections_.end())
      checker_->OnAssigned(assignment, connection->second.worker_id);
    const SessionId session = assignment.session;
    for (const AssignedSpan& span : assignment.spans)
      world_->Note("assigns", span.lease.value, span.job.value, span.run.first, span.run.count);
    SendTo(session, std::move(assignment));
  }
  if (!idle && CrashHere(2)) return false;
  for (const LoadInputs& load : effects.loads) {
    world_->At(world_->now + world_->stores.Between(50, 3 * kMs), Kind::kLoaded, 0, life_,
               loads_.Put({load.job, load.first, nullptr}));
  }
  for (const LoadResults& load : effects.results_wanted) {
    ResultsLoaded loaded{load.job, BriefOf(load), Reason::kNone};
    if (ResultsAreDamaged(world_->config, load.job)) loaded = {load.job, {}, Reason::kDataLoss};
    world_->At(world_->now + world_->stores.Between(50, 3 * kMs), Kind::kResultsLoaded, 0, life_,
               result_loads_.Put(std::move(loaded)));
  }
  if (!idle && CrashHere(3)) return false;
  for (Reply& reply : effects.replies) {
    const After after = reply.after;
    Release(after, std::move(reply));
  }
  if (!idle && CrashHere(4)) return false;
  for (AckResults& ack : effects.acks) {
    const After after = ack.after;
    Release(after, std::move(ack));
  }
  for (ResultsNotice& notice : effects.results) {
    const After after = notice.after;
    Release(after, std::move(notice));
  }
  for (JobNotice& notice : effects.jobs) {
    const After after = notice.after;
    Release(after, std::move(notice));
  }
  return idle || !CrashHere(5);
}

void SimMaster::Release(After after, Held what) {
  held_.Pass(after, std::move(what), [this](Held& ready) { Do(ready); });
}

void SimMaster::ReleaseCommitted(StoreKind kind, uint64_t number) {
  held_.OnCommitted(kind, number, [this](Held& ready) { Do(ready); });
}

void SimMaster::Do(Held& what) {
  if (const auto* send = std::get_if<LinkSend>(&what)) return SendLink(*send);
  if (const auto* reply = std::get_if<Reply>(&what)) return replies_->OnReply(*reply);
  if (const auto* notice = std::get_if<ResultsNotice>(&what))
    return checker_->OnResultsNotice(*notice);
  if (const auto* notice = std::get_if<JobNotice>(&what)) return checker_->OnJobNotice(*notice);
  AckResults& ack = std::get<AckResults>(what);
  checker_->OnAck(ack);
  const auto route = collector_routes_.find(ack.session);
  if (route == collector_routes_.end()) return;
  const SessionId session = ack.session;
  network_->ToWorker(route->second, {Epoch(life_), session, std::move(ack)});
}

// ---- Dispatcher and collector ----

void SimMaster::SendLink(const LinkSend& send) {
  if (const auto* welcome = std::get_if<SendWelcome>(&send.message)) {
    const auto connection = connections_.find(send.session);
    if (connection != connections_.end())
      checker_->OnWelcome(send.session, *welcome, connection->second.worker_id);
    world_->Note("welcomes", send.session.value, welcome->number, welcome->runs.size());
  }
  std::visit([&](const auto& message) { SendTo(send.session, message); }, send.message);
}

void SimMaster::SendTo(SessionId session, decltype(Frame::body) body) {
  const auto it = connections_.find(session);
  if (it == connections_.end()) return;
  if (network_->ToWorker(it->second.route, {Epoch(life_), session, std::move(body)})) return;
  world_->Saw(Seen::kConnectionClosed);
  own_.push_back(ConnectionClosed{session});
}

void SimMaster::OnFrame(uint64_t route, Frame frame) {
  if (!alive()) return;
  frames_.emplace_back(route, std::move(frame));
  Wake();
}

void SimMaster::OnCollected(uint64_t route, Frame frame) {
  auto* arrived = std::get_if<ResultsArrived>(&frame.body);
  if (!alive() || arrived == nullptr) return;
  if (frame.epoch.value != life_ || !connections_.contains(frame.session)) return;
  collector_routes_[frame.session] = route;
  arrived->session = frame.session;
  arrived->epoch = frame.epoch;
  results_.push_back(std::move(*arrived));
  Wake();
}

bool SimMaster::Known(uint64_t route, const Frame& frame) {
  const auto it = connections_.find(frame.session);
  if (it == connections_.end() || it->second.route != route) return false;
  it->second.last_seen = world_->now;
  return true;
}

void SimMaster::OnHello(uint64_t route, Frame& frame) {
  Hello& hello = std::get<Hello>(frame.body);
  hello.session = frame.session;
  for (HeldRun& run : hello.held) {
    if (!run.lease.epoch) run.lease.epoch = frame.epoch;
  }
  const auto before = session_of_.find(hello.worker_id);
  if (before != session_of_.end() && before->second != frame.session)
    connections_.erase(before->second);
  session_of_[hello.worker_id] = frame.session;
  connections_[frame.session] = {route, hello.worker_id, world_->now};
  uint64_t& number = hello_numbers_[frame.session];
  if (number == hello.number) world_->Saw(Seen::kDuplicateHello);
  number = hello.number;
  checker_->OnHello(hello);
  Step(std::move(hello));
}

void SimMaster::ReceiveFrame(uint64_t route, Frame& frame) {
  if (std::holds_alternative<Hello>(frame.body)) return OnHello(route, frame);
  const bool known = Known(route, frame) && frame.epoch.value == life_;
  if (auto* beat = std::get_if<Heartbeat>(&frame.body)) {
    beat->session = frame.session;
    if (known) return Step(std::move(*beat));
    world_->Saw(Seen::kWhoAreYou);
    network_->ToWorker(route, {Epoch(life_), frame.session, SendWhoAreYou{}});
    return;
  }
  if (!known) return;
  if (auto* recalled = std::get_if<Recalled>(&frame.body)) {
    for (const LeasedRun& cut : recalled->cut) {
      if (cut.run.count > 0) world_->Saw(Seen::kRecallCut);
    }
    Step(std::move(*recalled));
  } else if (auto* released = std::get_if<Released>(&frame.body)) {
    Step(std::move(*released));
  } else if (auto* goodbye = std::get_if<Goodbye>(&frame.body)) {
    Step(std::move(*goodbye));
    session_of_.erase(connections_[frame.session].worker_id);
    connections_.erase(frame.session);
  }
}

// ---- Store and API ----

void SimMaster::OnCommitDone(uint64_t life) {
  if (!alive() || life != life_) return;
  uint64_t number = 0;
  if (!store_->OnCommitDone(&number)) return Crash(store_->fail_applies(), store_->fail_back());
  // In order: the store thread has one inbox to tell it to.
  told_at_ = std::max(told_at_ + 1, world_->now + world_->stores.Between(5, 2 * kMs));
  world_->At(told_at_, Kind::kCommitTold, 0, life_, number);
}

void SimMaster::OnCommitTold(uint64_t life, uint64_t number) {
  if (!alive() || life != life_) return;
  internal_.push_back(Committed{StoreKind::kDurable, number});
  Wake();
}

void SimMaster::OnLoaded(uint64_t life, uint64_t slot) {
  InputsLoaded loaded = loads_.Take(slot);
  if (!alive() || life != life_) return;
  world_->Saw(Seen::kInputsLoaded);
  loaded.inputs = store_->Inputs(loaded.job, loaded.first);
  if (loaded.inputs == nullptr) return world_->Fail("inputs to be loaded are in the store");
  internal_.push_back(std::move(loaded));
  Wake();
}

void SimMaster::OnResultsLoaded(uint64_t life, uint64_t slot) {
  ResultsLoaded loaded = result_loads_.Take(slot);
  if (!alive() || life != life_) return;
  internal_.push_back(std::move(loaded));
  Wake();
}

bool SimMaster::Call(Event event) {
  if (!alive()) return false;
  api_.push_back(std::move(event));
  Wake();
  return true;
}

}  // namespace reeve::sim
