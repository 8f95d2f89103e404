#include "tests/simulation/sim_lane.h"

#include <algorithm>

#include "tests/simulation/asks.h"

namespace reeve::sim {

const JobPlan& SimLane::PlanOf(const SimSpan& span) const {
  return sim::PlanOf(world_->config, span.job_key);
}

uint64_t SimLane::ValueOf(const SimSpan& span, TaskIndex index) const {
  if (span.inputs == nullptr) return ArrayValue(span.job_key, index);
  return InputValue(world_->config, span.job_key, InputOf(span, index));
}

std::string_view SimLane::InputOf(const SimSpan& span, TaskIndex index) {
  const uint32_t nth = index - span.inputs_first;
  return span.inputs->Input(span.positions == nullptr ? nth : span.positions->At(nth));
}

bool SimLane::Fails(const SimSpan& span, TaskIndex index) const {
  return Mix(ValueOf(span, index), span.attempt) % 1000 < PlanOf(span).fail_permille;
}

bool SimLane::Kills(const SimSpan& span, TaskIndex index) const {
  const JobPlan& plan = PlanOf(span);
  const uint64_t value = ValueOf(span, index);
  if (!IsPoisonTask(plan, value)) return false;
  if (!plan.poison.not_always) return true;
  return Mix(value, checker_->begun(span.job, span.birth, index)) % 4 != 0;
}

std::vector<agent::Suspect> SimLane::Running(int64_t at_least) const {
  std::vector<agent::Suspect> running;
  for (const Slot& slot : slots_) {
    if (!slot.work || world_->now - slot.task_began < at_least) continue;
    const SimSpan& span = works_.at(slot.work).span;
    running.push_back({span.job, span.birth, slot.next});
  }
  return running;
}

std::vector<RunningTask> SimLane::RunningFor(int64_t at_least) const {
  std::vector<RunningTask> running;
  for (const Slot& slot : slots_) {
    const int64_t ran = world_->now - slot.task_began;
    if (!slot.work || ran < at_least) continue;
    running.push_back(
        {works_.at(slot.work).span.job, slot.next, {}, {}, {}, absl::Microseconds(ran)});
  }
  return running;
}

void SimLane::CheckAlone() const {
  // Where leases expire, a worker may not know yet what it was given in vain.
  if (!world_->config.strict) return;
  uint32_t solo = 0, wanted = 0;
  for (const Slot& slot : slots_) {
    if (!slot.work || slot.unwanted) continue;
    ++wanted;
    solo += works_.at(slot.work).span.solo;
  }
  if (solo > 0 && wanted > 1) world_->Fail("nothing runs beside a suspect");
}

void SimLane::Start(SimSpan span) {
  const SpanKey key = span.key;
  Work& work = works_[key];
  work.todo.Add(span.run);
  if (span.front) {
    queue_.push_front(key);
  } else {
    queue_.push_back(key);
  }
  work.span = std::move(span);
  Fill();
}

void SimLane::Fill() {
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].work) continue;
    while (!queue_.empty() &&
           (!works_.contains(queue_.front()) || works_.at(queue_.front()).todo.empty())) {
      queue_.pop_front();
    }
    if (queue_.empty()) return;
    Work& work = works_.at(queue_.front());
    const Run run = *work.todo.FirstRun(0, static_cast<uint32_t>(world_->lanes.Between(1, 4)));
    work.todo.Remove(run);
    ++work.claims;
    slots_[i].work = queue_.front();
    slots_[i].next = run.first;
    slots_[i].end = run.end();
    slots_[i].began = world_->now;
    BeginTask(i);
  }
}

void SimLane::BeginTask(uint32_t index) {
  Slot& slot = slots_[index];
  const Work& work = works_.at(slot.work);
  slot.cancelled = slot.unwanted = false;
  slot.task_began = world_->now;
  const bool exclusive = PlanOf(work.span).exclusive;
  if (exclusive && world_->now >= exclusive_until_) return Stop(index, 0);
  slot.exclusive = exclusive;
  if (exclusive)
    checker_->OnExclusiveBegin(work.span.job, slot.next, ValueOf(work.span, slot.next));
  checker_->OnBegin(work.span.job, work.span.birth, slot.next, ValueOf(work.span, slot.next),
                    PlanOf(work.span).at_most_once);
  checker_->OnRunning({worker_, process_, index}, work.span.job, work.span.birth, slot.next);
  world_->Note("begins", worker_, work.span.job.value, slot.next, work.span.attempt);
  const int64_t typical = PlanOf(work.span).task_us;
  const int64_t takes = world_->lanes.Between(typical / 2, typical * 2);
  world_->At(world_->now + takes, Kind::kTaskDone, worker_, process_,
             uint64_t{index} << 32 | ++slot.serial);
}

void SimLane::Stop(uint32_t index, int64_t within) {
  Slot& slot = slots_[index];
  slot.cancelled = true;
  world_->At(world_->now + (within > 0 ? world_->lanes.Between(0, within) : 1), Kind::kTaskDone,
             worker_, process_, uint64_t{index} << 32 | ++slot.serial);
}

void SimLane::SetExclusiveDeadline(int64_t until) {
  exclusive_until_ = until;
  world_->At(std::max(until, world_->now), Kind::kFence, worker_, process_);
}

void SimLane::Fence() {
  if (world_->now < exclusive_until_) return;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.work || !slot.exclusive) continue;
    const Work& work = works_.at(slot.work);
    world_->Saw(Seen::kExclusiveStopped);
    checker_->OnStopped(work.span.job, work.span.birth, slot.next);
    EndExclusive(slot);
    Stop(i, 0);
  }
}

void SimLane::EndExclusive(Slot& slot) {
  if (!slot.work || !std::exchange(slot.exclusive, false)) return;
  checker_->OnExclusiveEnd(ValueOf(works_.at(slot.work).span, slot.next));
}

void SimLane::EndExclusive() {
  for (Slot& slot : slots_) EndExclusive(slot);
}

SimLane::Done SimLane::OnTaskDone(uint64_t slot_and_serial) {
  const auto index = static_cast<uint32_t>(slot_and_serial >> 32);
  Slot& slot = slots_[index];
  if (slot.serial != static_cast<uint32_t>(slot_and_serial) || !slot.work) return Done::kNothing;
  const SpanKey key = slot.work;
  Work& work = works_.at(key);
  if (!slot.cancelled && Kills(work.span, slot.next)) {
    culprit_ = {work.span.job, work.span.birth, slot.next};
    poison_ = &PlanOf(work.span).poison;
    return Done::kDied;
  }
  const TaskState state = slot.cancelled                ? TaskState::kCancelled
                          : Fails(work.span, slot.next) ? TaskState::kFailed
                                                        : TaskState::kSucceeded;
  EndExclusive(slot);
  checker_->OnEnd({worker_, process_, index}, work.span.job, work.span.birth, slot.next, state);
  BatchRecord::Entry entry{slot.next, work.span.attempt, state, {}};
  if (state == TaskState::kFailed) {
    entry.failure = FailureOf(PlanOf(work.span), ValueOf(work.span, slot.next), work.span.attempt,
                              checker_->begun(work.span.job, work.span.birth, slot.next));
  }
  slot.done.push_back(std::move(entry));
  ++slot.next;
  if (slot.next < slot.end) {
    BeginTask(index);
    return Done::kNothing;
  }
  Report(slot, work);
  slot.work = {};
  --work.claims;
  EndIfDone(key);
  Fill();
  return Done::kReports;
}

void SimLane::Report(Slot& slot, const Work& work) {
  agent::Reported report;
  report.span = work.span.key;
  report.run_time = absl::Microseconds(world_->now - slot.began);
  BatchRecord record{work.span.job, work.span.birth, std::move(slot.done)};
  slot.done.clear();
  std::vector<uint64_t> words(1);
  InputBatchBuilder inputs;
  for (const BatchRecord::Entry& entry : record.entries) {
    const uint64_t value = ValueOf(work.span, entry.index);
    const auto position = static_cast<uint32_t>(words.size() - 1);
    words.push_back(entry.state == TaskState::kSucceeded ? value : FailedValue(value));
    if (entry.state == TaskState::kSucceeded && PlanOf(work.span).nodes > 0) {
      const uint32_t before = inputs.count();
      for (const std::string& input : ChildrenOf(world_->config, InputOf(work.span, entry.index)))
        inputs.Add(input, NodeKey(NodeOf(input)));
      if (inputs.count() > before) report.added.push_back({position, inputs.count() - before});
    }
    if (entry.state == TaskState::kSucceeded && Counts(work.span.job))
      report.counted.push_back({position, CounterOf(entry.index), CountOf(entry.index)});
    if (entry.state != TaskState::kSucceeded)
      report.failed.push_back({position, entry.state, entry.failure.reason});
    if (!report.runs.empty() && report.runs.back().end() == entry.index) {
      ++report.runs.back().count;
    } else {
      report.runs.push_back({entry.index, 1});
    }
  }
  words[0] = kLaneBody | checker_->OnReport(std::move(record));
  std::string body(reinterpret_cast<const char*>(words.data()), words.size() * sizeof words[0]);
  const std::string tail = inputs.Finish();
  report.new_inputs_bytes = static_cast<uint32_t>(tail.size());
  report.body = Buffer(body + tail);
  reports_.push_back(std::move(report));
}

void SimLane::EndIfDone(SpanKey key) {
  const auto it = works_.find(key);
  if (it != works_.end() && it->second.todo.empty() && it->second.claims == 0) works_.erase(it);
}

std::vector<Run> SimLane::Drop(SpanKey key, Run run) {
  const auto it = works_.find(key);
  if (it == works_.end()) return {};
  Work& work = it->second;
  for (Slot& slot : slots_) {
    if (slot.work != key) continue;
    // What is claimed and has not begun goes back.
    if (slot.next + 1 < slot.end) work.todo.Add({slot.next + 1, slot.end - slot.next - 1});
    slot.end = slot.next + 1;
  }
  std::vector<Run> dropped = work.todo.TakeOut(run);
  if (!work.todo.empty()) queue_.push_front(key);
  return dropped;
}

std::vector<Run> SimLane::Cut(SpanKey key, TaskIndex from) {
  const auto it = works_.find(key);
  if (it == works_.end()) return {};
  const TaskIndex end = it->second.span.run.end();
  std::vector<Run> cut;
  if (from < end) cut = Drop(key, {from, end - from});
  EndIfDone(key);
  Fill();
  return cut;
}

std::vector<Run> SimLane::Cancel(SpanKey key, Run run) {
  std::vector<Run> dropped = Drop(key, run);
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.work != key || slot.next < run.first || slot.next >= run.end() || slot.cancelled)
      continue;
    slot.unwanted = true;
    // Some handlers never look at their token: they end as they would have.
    if (world_->lanes.Chance(300)) continue;
    Stop(i, 200 * kMs);
  }
  EndIfDone(key);
  Fill();
  return dropped;
}

}  // namespace reeve::sim
