#include "worker/agent/agent.h"

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/held_hash.h"

namespace reeve {
namespace {

constexpr int kExitCannotConnect = 3;
constexpr int kExitRefused = 78;
// Batches that the socket did not take are tried again after this.
constexpr absl::Duration kResendSoon = absl::Milliseconds(50);
constexpr absl::Duration kLookForUnacknowledged = absl::Seconds(1);
// Of heartbeats whose answer is awaited.
constexpr size_t kBeatsRemembered = 64;
// A drain waits so long, after the tasks had their grace, for a master to take results.
constexpr absl::Duration kFlushWithin = absl::Seconds(5);

}  // namespace

Agent::Agent(const AgentOptions& options, absl::Duration now)
    : options_(options), born_(now), last_heard_(now) {}

void Agent::Step(absl::Duration now, AgentEvent event) {
  std::visit([&](auto& e) { On(now, e); }, event);
}

// ---- Greeting ----

void Agent::On(absl::Duration now, agent::Begin& event) {
  before_ = std::move(event);
  SayHello(now);
}

void Agent::SayHello(absl::Duration now) {
  // Repeated under the same number: a Welcome that takes longer than the patience here still
  // counts.
  if (!std::exchange(greeting_, true) || REEVE_BUG(kHelloNumberRises)) {
    ++hello_number_;
    hello_sent_ = now;
    DropOutdated();
  }
  hello_at_ = now + options_.hello_repeat;
  AgentEffects::Hello hello;
  hello.number = hello_number_;
  hello.seen_seq = seen_seq_;
  hello.highest_epoch = epoch_;
  hello.held = Held();
  hello.suspects = before_.suspects;
  hello.culprit_named = before_.culprit_named;
  hello.suspects_process = before_.process_id;
  effects_.hello = std::move(hello);
  if (REEVE_BUG(kCrashNoteForgotten)) before_ = {};
}

void Agent::On(absl::Duration now, agent::AskedWho&) {
  if (greeting_) return;  // One is on its way.
  welcomed_ = false;
  SayHello(now);
}

std::vector<AgentHeld> Agent::Held() const {
  std::vector<AgentHeld> held;
  for (const auto& [key, span] : spans_) {
    for (const auto& [first, portion] : span.portions) {
      if (!portion.lease.seq) continue;
      for (const Run run : span.unfinished.Intersection({first, portion.count})) {
        held.push_back({span.job, span.birth, portion.lease, run, false});
      }
    }
  }
  for (const auto& [number, batch] : batches_) {
    if (REEVE_BUG(kFinishedNotNamed)) break;
    for (const AgentLeased& leased : batch.content.runs) {
      if (leased.lease)
        held.push_back(
            {batch.content.job, batch.birth, {batch.epoch, leased.lease}, leased.run, true});
    }
  }
  return held;
}

void Agent::On(absl::Duration now, agent::Welcomed& event) {
  if (!event.refused.empty()) {
    const bool token = event.refused.rfind("wrong token", 0) == 0;
    effects_.exit = {token ? kExitCannotConnect : kExitRefused,
                     "the master refused this worker: " + event.refused};
    return;
  }
  if (!greeting_ || event.number != hello_number_) return;
  greeting_ = false;
  welcomed_ = ever_welcomed_ = true;
  beats_sent_.clear();
  Answered(hello_sent_);
  effects_.suspects_told = !std::exchange(before_, {}).suspects.empty();
  hello_at_ = absl::InfiniteDuration();
  epoch_ = event.epoch;
  heartbeat_ = event.heartbeat;
  orphan_timeout_ = event.orphan_timeout;
  next_beat_ = now;
  // What was dropped before was not named in Hello: a new lease for its index means another
  // attempt.
  for (auto& [key, span] : spans_) {
    std::erase_if(span.portions, [](const auto& portion) { return !portion.second.lease.seq; });
    for (auto& [first, portion] : span.portions) portion.lease = {};
  }
  span_of_.clear();
  for (auto& [number, batch] : batches_) {
    for (AgentLeased& leased : batch.content.runs) {
      if (!leased.lease) batch.unwanted.Add(leased.run);
      leased.lease = {};
    }
  }
  seen_seq_ = event.seen_seq;
  for (const agent::Welcomed::Run_& run : event.runs) Relabel(run);
  // What got no new lease is not wanted any more.
  for (auto& [key, span] : spans_) {
    for (const auto& [first, portion] : span.portions) {
      if (portion.lease.seq) continue;
      for (const Run run : span.unfinished.Intersection({first, portion.count}))
        effects_.cancels.push_back({key, run});
    }
  }
  for (auto it = batches_.begin(); it != batches_.end();) {
    const auto& runs = it->second.content.runs;
    if (std::none_of(runs.begin(), runs.end(),
                     [](const AgentLeased& l) { return bool(l.lease); })) {
      Forget(it++);
      continue;
    }
    it->second.epoch = epoch_;
    ++it;
  }
  Renumber();
}

// A frame with the old leases may still be on its way. Under a number of its own it can neither be
// taken for the batch as it is now, nor can its refusal settle that one.
void Agent::Renumber() {
  std::map<uint64_t, Batch> batches = std::exchange(batches_, {});
  to_send_.clear();
  for (auto& [old, batch] : batches) {
    if (REEVE_BUG(kBatchNumbersKept)) {
      batch.content.number = old;
    } else {
      batch.content.number = next_batch_++;
    }
    SetOnItsWay(&batch, false);
    if (REEVE_BUG(kNewInputsNotResent)) batch.content.added.clear();
    if (REEVE_BUG(kCountsNotResent)) batch.content.counted.clear();
    if (!REEVE_BUG(kWorkerNoResend)) to_send_.insert(batch.content.number);
    batches_.emplace(batch.content.number, std::move(batch));
  }
}

// A worker may hold an index twice: a failed attempt whose record died with a master, and the
// attempt that followed it. Welcome names indexes, so only the later one may be claimed.
void Agent::DropOutdated() {
  std::vector<AgentHeld> held = Held();
  std::stable_sort(held.begin(), held.end(),
                   [](const AgentHeld& a, const AgentHeld& b) { return b.lease < a.lease; });
  std::map<JobId, IntervalSet> later;
  for (const AgentHeld& claim : held) {
    IntervalSet& named = later[claim.job];
    for (const Run part : named.Intersection(claim.run)) {
      for (auto& [key, span] : spans_) {
        if (span.job == claim.job) Label(&span.portions, part, {}, &claim.lease);
      }
      for (auto& [number, batch] : batches_) {
        if (batch.content.job == claim.job && batch.epoch == claim.lease.epoch)
          Label(&batch.content.runs, part, {}, &claim.lease.seq);
      }
    }
    named.Add(claim.run);
  }
}

// What lies within `run` (and has the label `only`, if given) is labelled `lease`.
// Returns: whether anything was.
bool Agent::Label(std::map<TaskIndex, Portion>* portions, Run run, LeaseId lease,
                  const LeaseId* only) {
  bool any = false;
  std::map<TaskIndex, Portion> next;
  for (const auto& [first, portion] : *portions) {
    const TaskIndex last = first + portion.count;
    const TaskIndex from = std::max(first, run.first), to = std::min(last, run.end());
    if (from >= to || (only != nullptr && portion.lease != *only)) {
      next[first] = portion;
      continue;
    }
    if (first < from) next[first] = {from - first, portion.lease};
    next[from] = {to - from, lease};
    if (to < last) next[to] = {last - to, portion.lease};
    any = true;
  }
  *portions = std::move(next);
  return any;
}

void Agent::Label(std::vector<AgentLeased>* runs, Run run, LeaseSeq lease, const LeaseSeq* only) {
  std::vector<AgentLeased> next;
  for (const AgentLeased& old : *runs) {
    const TaskIndex from = std::max(old.run.first, run.first);
    const TaskIndex to = std::min(old.run.end(), run.end());
    if (from >= to || (only != nullptr && old.lease != *only)) {
      next.push_back(old);
      continue;
    }
    if (old.run.first < from) next.push_back({old.lease, {old.run.first, from - old.run.first}});
    next.push_back({lease, {from, to - from}});
    if (to < old.run.end()) next.push_back({old.lease, {to, old.run.end() - to}});
  }
  *runs = std::move(next);
}

void Agent::Relabel(const agent::Welcomed::Run_& labelled) {
  seen_seq_ = std::max(seen_seq_, labelled.lease);
  if (!labelled.lease) return;
  for (auto& [key, span] : spans_) {
    if (span.job == labelled.job &&
        Label(&span.portions, labelled.run, {epoch_, labelled.lease}, nullptr))
      span_of_[labelled.lease] = key;
  }
  for (auto& [number, batch] : batches_) {
    if (batch.content.job != labelled.job) continue;
    for (const Run part : batch.unwanted.Missing(labelled.run))
      Label(&batch.content.runs, part, labelled.lease, nullptr);
  }
}

// ---- Work ----

void Agent::On(absl::Duration now, agent::Assigned& event) {
  if (!welcomed_ || (event.lease <= seen_seq_ && !REEVE_BUG(kAssignedTwice)))
    return;  // Sent twice.
  seen_seq_ = event.lease;
  if (event.exclusive && now >= exclusive_until()) {
    effects_.released.push_back({event.lease, event.run});  // It was on its way for too long.
    return;
  }
  const SpanKey key(next_span_++);
  if (event.exclusive) exclusive_.insert(key);
  Span& span = spans_[key];
  span.job = event.job;
  span.birth = event.birth;
  span.unfinished.Add(event.run);
  span.portions[event.run.first] = {event.run.count, {epoch_, event.lease}};
  span_of_[event.lease] = key;
  effects_.starts.push_back({key, event.payload});
  if (draining_) effects_.cuts.push_back({key, 0, agent::Cut::Why::kDrain});
}

void Agent::On(absl::Duration, agent::RecallAsked& event) {
  const auto it = span_of_.find(event.lease);
  if (it == span_of_.end()) {
    effects_.recalled.push_back({event.lease, {event.end, 0}});  // Nothing left to cut.
    return;
  }
  if (REEVE_BUG(kRecallOfRunning)) {
    for (const Run run : spans_.at(it->second).unfinished.Runs()) {
      if (run.first >= event.end) effects_.recalled.push_back({event.lease, run});
    }
  }
  effects_.cuts.push_back({it->second, event.end, agent::Cut::Why::kRecall});
}

void Agent::On(absl::Duration, agent::CancelAsked& event) {
  const auto it = span_of_.find(event.lease);
  if (it != span_of_.end()) effects_.cancels.push_back({it->second, event.run});
}

std::vector<AgentLeased> Agent::LeasedParts(const Span& span, Run run) const {
  std::vector<AgentLeased> parts;
  // What a Welcome dropped long ago has no portion any more, but its place in a batch.
  TaskIndex next = run.first;
  const auto skip_to = [&](TaskIndex to) {
    if (next < to) parts.push_back({{}, {next, to - next}});
    next = to;
  };
  auto it = span.portions.upper_bound(run.first);
  if (it != span.portions.begin()) --it;
  for (; it != span.portions.end() && it->first < run.end(); ++it) {
    const TaskIndex from = std::max(it->first, run.first);
    const TaskIndex to = std::min(it->first + it->second.count, run.end());
    if (from >= to) continue;
    skip_to(from);
    parts.push_back({it->second.lease.seq, {from, to - from}});
    next = to;
  }
  skip_to(run.end());
  return parts;
}

void Agent::EndIfFinished(SpanKey key) {
  const auto it = spans_.find(key);
  if (it == spans_.end() || !it->second.unfinished.empty()) return;
  for (const auto& [first, portion] : it->second.portions) span_of_.erase(portion.lease.seq);
  spans_.erase(it);
  exclusive_.erase(key);
  effects_.ended.push_back(key);
}

void Agent::On(absl::Duration, agent::Cut& event) {
  const auto it = spans_.find(event.span);
  if (it == spans_.end()) return;
  Span& span = it->second;
  std::vector<AgentLeased>& answer =
      event.why == agent::Cut::Why::kRecall ? effects_.recalled : effects_.released;
  bool any = false;
  for (const Run run : event.runs) {
    span.unfinished.Remove(run);
    for (const AgentLeased& part : LeasedParts(span, run)) {
      if (!part.lease) continue;
      answer.push_back(part);
      any = true;
    }
  }
  if (!any && event.why == agent::Cut::Why::kRecall) {
    for (const auto& [first, portion] : span.portions) {
      if (portion.lease.seq) answer.push_back({portion.lease.seq, {first, 0}});
    }
  }
  EndIfFinished(event.span);
}

void Agent::On(absl::Duration, agent::Reported& event) {
  const auto it = spans_.find(event.span);
  if (it == spans_.end()) return;
  Span& span = it->second;
  Batch batch;
  batch.content.number = next_batch_++;
  batch.content.job = span.job;
  batch.birth = span.birth;
  batch.epoch = epoch_;
  bool wanted = false;
  for (const Run run : event.runs) {
    span.unfinished.Remove(run);
    for (const AgentLeased& part : LeasedParts(span, run)) {
      wanted = wanted || part.lease;
      batch.content.runs.push_back(part);
    }
  }
  EndIfFinished(event.span);
  if (!wanted) return;  // Dropped by the master meanwhile.
  batch.content.failed = std::move(event.failed);
  batch.content.details_bytes = event.details_bytes;
  batch.content.run_time = event.run_time;
  batch.content.body = std::move(event.body);
  batch.content.added = std::move(event.added);
  batch.content.new_inputs_bytes = event.new_inputs_bytes;
  batch.content.counted = std::move(event.counted);
  unacknowledged_bytes_ += batch.content.bytes();
  to_send_.insert(batch.content.number);
  batches_.emplace(batch.content.number, std::move(batch));
}

bool Agent::MayGo(const Batch& batch) const {
  return batch.on_its_way || on_its_way_bytes_ == 0 ||
         on_its_way_bytes_ + batch.content.bytes() <= options_.window_bytes;
}

void Agent::SetOnItsWay(Batch* batch, bool on_its_way) {
  if (batch->on_its_way == on_its_way) return;
  batch->on_its_way = on_its_way;
  const uint64_t bytes = batch->content.bytes();
  on_its_way_bytes_ += on_its_way ? bytes : -bytes;
}

void Agent::Forget(std::map<uint64_t, Batch>::iterator batch) {
  SetOnItsWay(&batch->second, false);
  unacknowledged_bytes_ -= batch->second.content.bytes();
  to_send_.erase(batch->first);
  batches_.erase(batch);
}

void Agent::On(absl::Duration, agent::ResultsAcked& event) {
  // Hello has named these batches: what becomes of them, Welcome says. A refusal of their old
  // leases may overtake it on the other connection.
  if (greeting_) return;
  const bool was_full = spool_full();
  for (const uint64_t number : event.numbers) {
    const auto it = batches_.find(number);
    if (it != batches_.end()) Forget(it);
  }
  if (was_full && !spool_full())
    next_beat_ = -absl::InfiniteDuration();  // Tell at once that there is room again.
}

void Agent::On(absl::Duration now, agent::NotSent& event) {
  for (const uint64_t number : event.numbers) {
    const auto it = batches_.find(number);
    if (it == batches_.end()) continue;
    SetOnItsWay(&it->second, false);
    to_send_.insert(number);
  }
  next_resend_ = std::min(next_resend_, now + kResendSoon);
}

// ---- Time ----

void Agent::On(absl::Duration now, agent::Heard&) { last_heard_ = now; }

void Agent::Answered(absl::Duration sent) {
  if (sent <= answered_) return;
  answered_ = sent;
  effects_.exclusive_until = exclusive_until();
}

// Their lease may end at any moment, and another worker get them.
void Agent::StopExclusive() {
  for (const SpanKey key : exclusive_) {
    for (const Run run : spans_.at(key).unfinished.Runs()) effects_.cancels.push_back({key, run});
  }
  exclusive_.clear();
}

void Agent::On(absl::Duration now, agent::HeartbeatAcked& event) {
  if (const auto sent = beats_sent_.find(event.number); sent != beats_sent_.end()) {
    Answered(REEVE_BUG(kExclusiveGoesOn) ? now + options_.exclusive_hold : sent->second);
    beats_sent_.erase(beats_sent_.begin(), std::next(sent));
  }
  if (!event.send_held || !welcomed_) return;
  Beat(now);
  effects_.heartbeat->held = Held();
}

void Agent::Beat(absl::Duration now) {
  next_beat_ = now + heartbeat_;
  AgentEffects::Heartbeat beat;
  beat.number = ++beat_number_;
  beats_sent_[beat.number] = now;
  if (beats_sent_.size() > kBeatsRemembered) beats_sent_.erase(beats_sent_.begin());
  beat.seen_seq = seen_seq_;
  beat.draining = draining_;
  beat.spool_full = spool_full();
  std::map<LeaseSeq, IntervalSet> held;
  for (const AgentHeld& run : Held()) held[run.lease.seq].Add(run.run);
  HeldHash hash;
  for (const auto& [lease, runs] : held) {
    for (const Run run : runs.Runs()) hash.Add(lease, run);
    beat.held_count += runs.size();
  }
  beat.held_hash = hash.Finish();
  effects_.heartbeat = std::move(beat);
}

void Agent::On(absl::Duration now, agent::Drain&) {
  if (draining_) {
    drain_deadline_ = now;  // Asked twice: no more patience.
    return;
  }
  draining_ = true;
  drain_deadline_ = now + options_.drain_grace;
  for (const auto& [key, span] : spans_) effects_.cuts.push_back({key, 0, agent::Cut::Why::kDrain});
  if (welcomed_) Beat(now);
}

void Agent::On(absl::Duration now, agent::Tick&) {
  if (greeting_ && now >= hello_at_) {
    if (!ever_welcomed_ && now - born_ >= options_.connect_timeout) {
      effects_.exit = {kExitCannotConnect, "no answer from the master"};
      return;
    }
    SayHello(now);
  }
  if (ever_welcomed_ && now - last_heard_ >= orphan_timeout_) {
    effects_.exit = {kExitCannotConnect, "the master has been silent for too long"};
    return;
  }
  if (welcomed_ && now >= next_beat_) Beat(now);
  if (now >= exclusive_until()) StopExclusive();
  if (now >= next_resend_) {
    next_resend_ = batches_.empty() ? absl::InfiniteDuration() : now + kLookForUnacknowledged;
    for (const auto& [number, batch] : batches_) {
      if (now - batch.sent >= options_.results_repeat && !REEVE_BUG(kWorkerNoResend))
        to_send_.insert(number);
    }
  }
  if (draining_ && !drain_forced_ && now >= drain_deadline_) {
    drain_forced_ = true;
    for (const auto& [key, span] : spans_) {
      for (const Run run : span.unfinished.Runs()) effects_.cancels.push_back({key, run});
    }
  }
}

AgentEffects Agent::TakeEffects(absl::Duration now) {
  const bool backing_off = next_resend_ <= now + kResendSoon && next_resend_ > now;
  if (welcomed_ && !backing_off) {
    while (!to_send_.empty()) {
      Batch& batch = batches_.at(*to_send_.begin());
      if (!MayGo(batch)) break;  // Acknowledgements make room.
      to_send_.erase(to_send_.begin());
      batch.sent = now;
      SetOnItsWay(&batch, true);
      effects_.results.push_back(batch.content);
    }
    if (!batches_.empty() && next_resend_ == absl::InfiniteDuration())
      next_resend_ = now + kLookForUnacknowledged;
  }
  if (draining_ && !ended_ && now >= drain_deadline_ + kFlushWithin) {
    // Nobody takes them: the tasks run again elsewhere once the lease is over.
    ended_ = true;
    effects_.goodbye = "drained without an answer";
    effects_.exit = {0, "drained; the master did not take every result"};
  }
  if (draining_ && spans_.empty() && batches_.empty() && !ended_) {
    ended_ = true;
    effects_.goodbye = "drained";
    effects_.exit = {0, "drained"};
  }
  // Nobody to hand results to: an unwelcome worker has nothing to wait for either.
  if (draining_ && !ever_welcomed_ && !ended_) {
    ended_ = true;
    effects_.exit = {0, "stopped before it joined"};
  }
  return std::exchange(effects_, {});
}

absl::Duration Agent::NextDeadline() const {
  absl::Duration next =
      std::min({hello_at_, next_resend_,
                drain_deadline_ + (drain_forced_ ? kFlushWithin : absl::ZeroDuration())});
  if (welcomed_) next = std::min(next, next_beat_);
  if (!exclusive_.empty()) next = std::min(next, exclusive_until());
  return next;
}

uint64_t Agent::held_count() const {
  uint64_t count = 0;
  for (const auto& [key, span] : spans_) count += span.unfinished.size();
  return count;
}

}  // namespace reeve
