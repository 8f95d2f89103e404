// Admission: the only place that decides whether a result counts.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

const RetryRules& RulesOf(const Job& job) {
  static const RetryRules* const kDefault = new RetryRules();
  return job.extras() == nullptr ? *kDefault : job.extras()->retry;
}

absl::Time RoundUp(absl::Time time) {
  const int64_t bucket = absl::ToInt64Milliseconds(kRetryBucket);
  const int64_t ms = absl::ToUnixMillis(time);
  return absl::FromUnixMillis((ms / bucket + 1) * bucket);
}

// Trying again cannot help.
bool IsFinal(Reason reason) {
  return reason == Reason::kBadInput || reason == Reason::kResultTooLarge ||
         reason == Reason::kNotAllowed;
}

// Whether a failure of this kind may be tried again at all.
bool IsRetried(const Job& job, const FailedEntry& entry) {
  if (IsFinal(entry.reason) || entry.permanent) return false;
  const RetryRules& rules = RulesOf(job);
  if (rules.exit_codes.empty() && rules.reasons.empty()) return true;
  const auto has = [](const auto& list, auto value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  return has(rules.reasons, entry.reason) ||
         (entry.reason == Reason::kExitNonzero && has(rules.exit_codes, entry.exit_code));
}

// Stopped by its worker for a drain, not by the job: no call.
bool IsGivenBack(const FailedEntry& entry) { return entry.state == TaskState::kCancelled; }

void AppendRun(std::vector<ResultRun>* runs, PositionedRun run, TaskState state) {
  if (!runs->empty()) {
    ResultRun& last = runs->back();
    if (last.state == state && last.run.first + last.run.count == run.first &&
        last.run.position + last.run.count == run.position) {
      last.run.count += run.count;
      return;
    }
  }
  runs->push_back({run, state});
}

}  // namespace

void Scheduler::Impl::On(const Now& now, ResultsArrived& event) {
  WorkerRecord* worker = FindWorker(event.session);
  if (REEVE_BUG(kNoFencing) && worker == nullptr && !workers.empty()) {
    worker = workers.begin()->second.get();
    for (ResultBatchArrived& batch : event.batches) batch.number += 1u << 31;
  }
  if (worker == nullptr || event.epoch != epoch) {
    ++totals.superseded_results;
    return;  // Its next heartbeat is answered WhoAreYou; then it sends them again.
  }
  AckResults ack;
  ack.session = event.session;
  ack.after = Latest(StoreKind::kDurable);
  for (ResultBatchArrived& batch : event.batches) {
    if (worker->admitted.Contains(static_cast<TaskIndex>(batch.number))) {
      // Sent twice: the same answer, which waits for the commit of the first.
      const bool refused = worker->refused.Contains(static_cast<TaskIndex>(batch.number));
      (refused ? ack.superseded : ack.recorded).push_back(batch.number);
      if (REEVE_BUG(kRepeatAckedAtOnce))
        effects.acks.push_back({ack.session, std::exchange(ack.recorded, {}), {}, {}});
      continue;
    }
    const uint64_t number = batch.number;
    const bool all = Admit(now, *worker, batch);
    worker->admitted.Add({static_cast<TaskIndex>(number), 1});
    if (!all) worker->refused.Add({static_cast<TaskIndex>(number), 1});
    (all ? ack.recorded : ack.superseded).push_back(number);
  }
  ack.after = REEVE_BUG(kResultAckBeforeCommit) ? After{} : Latest(StoreKind::kDurable);
  effects.acks.push_back(std::move(ack));
}

bool Scheduler::Impl::Admit(const Now& now, WorkerRecord& worker, ResultBatchArrived& batch) {
  Job* job = FindJob(batch.job);
  if (job == nullptr) {
    ++totals.superseded_results;
    return false;
  }
  uint64_t reported = 0;
  for (const LeasedRun& leased : batch.runs) reported += leased.run.count;
  const absl::Duration each = batch.run_time / std::max<int64_t>(1, static_cast<int64_t>(reported));
  PutResults write;
  bool all = true;
  uint32_t position = 0;
  uint64_t count = 0;
  for (const LeasedRun& leased : batch.runs) {
    auto found = leases.find(leased.lease);
    if (REEVE_BUG(kNoFencing) && found == leases.end()) {
      for (const LeaseSeq seq : job->leases) {
        if (leases.at(seq)->runs.Intersects(leased.run)) found = leases.find(seq);
      }
    }
    const bool current = found != leases.end() &&
                         (found->second->session == worker.session || REEVE_BUG(kNoFencing)) &&
                         found->second->job == job->id;
    if (!current) {
      all = false;
      if (REEVE_BUG(kStaleClearsNew)) {
        for (const LeaseSeq seq : std::set<LeaseSeq>(job->leases))
          CutLease(*leases.at(seq), leased.run);
      }
      totals.superseded_results += leased.run.count;
      position += leased.run.count;
      continue;
    }
    Lease& lease = *found->second;
    const double rest = lease.Used(each, now.monotonic) - lease.counted;
    const double more = lease.CountedMore(leased.run);
    const int32_t level = lease.level;
    const std::vector<Run> accepted = CutLease(lease, leased.run);
    uint32_t taken = 0;
    for (const Run run : accepted) {
      taken += run.count;
      Settle(now, *job, run, leased.lease, position + (run.first - leased.run.first), batch.failed,
             &write);
    }
    if (taken < leased.run.count) {
      all = false;
      totals.superseded_results += leased.run.count - taken;
    }
    CountUse(*job, level, rest * taken - more);
    count += taken;
    position += leased.run.count;
  }
  worker.finished += count;
  const bool called = std::none_of(batch.failed.begin(), batch.failed.end(), IsGivenBack);
  if (count == position && called && job->state != JobState::kCancelling) {
    HandlerStats& stats = StatsOf(*job);
    for (const TimeCount& times : batch.run_times) stats.times.Add(times);
    stats.run_time += batch.run_time;
  }
  LearnPace(worker, *job, position, batch.run_time);
  if (job->state == JobState::kCancelling) all = false;
  write.body = batch.body;
  if (REEVE_BUG(kFailureRecordNotPersisted)) write.retries.clear();
  if (batch.added.inputs != nullptr) AddNewInputs(*job, std::move(batch.added), write.runs);
  if (!batch.counted.empty()) AddCounts(*job, batch.counted, write.runs);
  if (!write.runs.empty() || !write.retries.empty()) Record(*job, std::move(write));
  if (job->watched) changed_jobs.insert(job->id);
  if (job->state == JobState::kOpen) job->idle_since = Steady(now);
  UpdateListing(*job);
  EndIfDone(now, *job);
  return all;
}

HandlerStats& Scheduler::Impl::StatsOf(Job& job) {
  if (job.stats == nullptr) {
    const std::string& handler = job.options.handler;
    const bool known = statistics.contains(handler) || statistics.size() < kMostHandlers;
    job.stats = &statistics[known ? handler : kOtherHandlers];
  }
  return *job.stats;
}

// In the commit of the results: what is counted stands or falls with them.
void Scheduler::Impl::AddCounts(Job& job, const std::vector<CountedEntry>& counted,
                                const std::vector<ResultRun>& admitted) {
  bool any = false;
  auto run = admitted.begin();
  for (const CountedEntry& entry : counted) {
    while (run != admitted.end() && run->run.position + run->run.count <= entry.position) ++run;
    const bool counts = run != admitted.end() && run->run.position <= entry.position;
    if (!counts && !REEVE_BUG(kStaleCountsAdded)) continue;
    any = true;
    const bool known = job.counters.contains(entry.counter) || job.counters.size() < kMaxCounters;
    int64_t& counter = job.counters[known ? entry.counter : std::string(kCountersDropped)];
    counter = SaturatingAdd(counter, known ? entry.by : 1);
  }
  if (any) PutState(job);
}

void Scheduler::Impl::Record(Job& job, PutResults write) {
  write.job = job.id;
  write.seq = ++job.last_seq;
  const uint64_t bytes = write.body.size();
  uint64_t details = 0;
  for (const RetryOutcome& retry : write.retries) details += retry.details.size();
  ResultsNotice notice{job.id, write.seq, write.runs, write.body, {}};
  Put(job.store, std::move(write), bytes + details);
  if (job.options.ephemeral) {
    job.kept_results.emplace_back(job.last_seq, bytes);
    CountResults(job, bytes, 0);
  }
  notice.after = Latest(job.store);
  effects.results.push_back(std::move(notice));
}

void Scheduler::Impl::Settle(const Now& now, Job& job, Run accepted, LeaseSeq lease,
                             uint32_t position, const std::vector<FailedEntry>& failed,
                             PutResults* write) {
  if (job.state == JobState::kCancelling) return GiveBack(now, job, {accepted});
  auto entry = std::lower_bound(failed.begin(), failed.end(), position,
                                [](const FailedEntry& f, uint32_t p) { return f.position < p; });
  while (accepted.count > 0) {
    const uint32_t end = position + accepted.count;
    const uint32_t good =
        (entry == failed.end() || entry->position >= end ? end : entry->position) - position;
    if (good > 0) {
      AppendRun(&write->runs, {accepted.first, good, position}, TaskState::kSucceeded);
      job.succeeded += good;
      StatsOf(job).succeeded += good;
      FinishInChunks(job, {accepted.first, good});
      ForgetRunning(job, {accepted.first, good});
      if (!job.budgets.empty()) {
        job.budgets.erase(job.budgets.lower_bound(accepted.first),
                          job.budgets.lower_bound(accepted.first + good));
      }
    }
    accepted = {accepted.first + good, accepted.count - good};
    position += good;
    if (accepted.count == 0) break;
    SettleFailure(now, job, accepted.first, lease, position, *entry, write);
    accepted = {accepted.first + 1, accepted.count - 1};
    ++position;
    ++entry;
  }
}

void Scheduler::Impl::SettleFailure(const Now& now, Job& job, TaskIndex index, LeaseSeq lease,
                                    uint32_t position, const FailedEntry& entry,
                                    PutResults* write) {
  if (IsGivenBack(entry)) return LoseRuns(now, job, {{index, 1}});
  ++StatsOf(job).failed[entry.reason];
  Budget& budget = job.budgets[index];
  budget.failed = {epoch, lease};
  const bool again = entry.again.has_value() && !job.ending.halted && !job.options.at_most_once;
  if (!again) ++budget.failed_attempts;
  const bool over = budget.failed_attempts >= job.options.max_attempts ||
                    (!IsRetried(job, entry) && !REEVE_BUG(kRetryRulesIgnored)) || job.ending.halted;
  if (!again && over) {
    job.budgets.erase(index);
    ++job.failed;
    FinishInChunks(job, {index, 1});
    ForgetRunning(job, {index, 1});
    AppendRun(&write->runs, {index, 1, position}, TaskState::kFailed);
    return;
  }
  // A worker hands on what it was given; nothing means that the handler took it back.
  ForgetRunning(job, {index, 1}, entry.details.empty());
  KeepDetails(job, index, entry.details);
  if (!again) ++job.retried;
  const absl::Time when =
      Postpone(now, job, index, again ? *entry.again : Backoff(job, index, budget.failed_attempts));
  write->retries.push_back({{index, 1},
                            again ? Reason::kNone : entry.reason,
                            budget.failed_attempts,
                            budget.suspicions,
                            budget.crashes,
                            when,
                            budget.failed,
                            0,
                            DetailsOf(job, index)});
}

// Uniform in [0, min(longest, first · 2ⁿ)], by hash: the core has no randomness.
absl::Duration Scheduler::Impl::Backoff(Job& job, TaskIndex index, uint32_t times) {
  const RetryRules& rules = RulesOf(job);
  absl::Duration longest = rules.first_backoff;
  for (uint32_t n = 1; n < times && longest < rules.max_backoff; ++n) longest *= 2;
  longest = std::min(longest, rules.max_backoff);
  const Birth birth = ChunkOf(job, index).birth;
  const uint64_t hash =
      Mix(Mix(Mix(birth.epoch.value) ^ birth.counter) ^ (uint64_t{index} << 32 | times));
  return longest * (static_cast<double>(hash >> 11) / static_cast<double>(1ull << 53));
}

absl::Time Scheduler::Impl::Postpone(const Now& now, Job& job, TaskIndex index,
                                     absl::Duration wait) {
  Queue& queue = job.queue();
  if (queue.settings.retry_rate.limited()) {
    wait =
        queue.retry_gate.Reserve(queue.settings.retry_rate, now.monotonic + wait) - now.monotonic;
  }
  const absl::Time when = RoundUp(Steady(now) + std::min(wait, kLongestWait));
  job.scheduled[when].Add({index, 1});
  ++job.scheduled_count;
  due[{when, job.id}] = {job.store, next_commit[static_cast<int>(job.store)]};
  return when;
}

void Scheduler::Impl::KeepDetails(Job& job, TaskIndex index, const std::string& details) {
  if (details.empty()) return;
  if (job.details.size() < kMaxKeptDetails || job.details.contains(index))
    job.details[index] = details;
}

std::string Scheduler::Impl::DetailsOf(const Job& job, TaskIndex index) const {
  if (job.details.empty()) return {};
  const auto found = job.details.find(index);
  return found == job.details.end() ? std::string() : found->second;
}

void Scheduler::Impl::ForgetRunning(Job& job, Run run, bool all) {
  if (job.said.has_value() && job.said->index >= run.first && job.said->index < run.end())
    job.said.reset();
  if (job.details.empty() || !all) return;
  job.details.erase(job.details.lower_bound(run.first), job.details.lower_bound(run.end()));
}

}  // namespace reeve
