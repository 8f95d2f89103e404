// Workers: sessions, heartbeats, leases and what becomes of them.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/held_hash.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {

WorkerRecord* Scheduler::Impl::FindWorker(SessionId session) {
  const auto it = workers.find(session);
  return it == workers.end() ? nullptr : it->second.get();
}

// ---- Joining and leaving ----

// A connection that is cut may still hand over what was said on it, after the next one has spoken.
bool Scheduler::Impl::IsOvertaken(const Hello& event) const {
  const auto session = session_of.find(event.worker_id);
  if (session == session_of.end()) return false;
  const WorkerRecord& worker = *workers.at(session->second);
  return worker.process_id == event.process_id && worker.welcome.has_value() &&
         event.number < worker.welcome->number;
}

void Scheduler::Impl::On(const Now& now, Hello& event) {
  if (IsOvertaken(event)) return;
  if (WorkerRecord* known = FindWorker(event.session);
      known != nullptr && known->welcome.has_value() && !REEVE_BUG(kDuplicateHello) &&
      known->welcome->number == event.number) {
    known->closed_at = absl::InfiniteDuration();
    known->last_seen = now.monotonic;
    effects.sends.push_back({event.session, *known->welcome, known->welcome_after});
    return;
  }
  const bool replaced = session_of.contains(event.worker_id);
  WorkerRecord& worker = Join(now, event);
  if (!replaced || !event.suspects_process.empty()) ChargeTold(now, event);
  SendWelcome welcome;
  welcome.number = event.number;
  welcome.worker = worker.number;
  welcome.local_cluster = event.local_cluster;
  Claim(now, worker, event.held, &welcome);
  welcome.seen_seq = worker.seen_seq;
  worker.welcome = welcome;
  worker.welcome_after = Latest(StoreKind::kDurable);
  effects.sends.push_back({worker.session, std::move(welcome), worker.welcome_after});
}

WorkerRecord& Scheduler::Impl::Join(const Now& now, Hello& event) {
  std::unique_ptr<WorkerRecord> owned;
  if (const auto old = session_of.find(event.worker_id); old != session_of.end()) {
    WorkerRecord& before = *workers.at(old->second);
    if (before.process_id == event.process_id) {
      RemoveFromClasses(before);
      const SessionId old_session = before.session;
      owned = std::move(workers.at(old_session));
      workers.erase(old_session);
      for (const LeaseSeq seq : owned->leases) leases.at(seq)->session = event.session;
      if (event.session != old_session) {
        owned->admitted.Clear();
        owned->refused.Clear();
      }
    } else {
      RemoveWorker(now, before, BlameFor(before, event));
    }
  }
  if (owned == nullptr) {
    owned = std::make_unique<WorkerRecord>();
    owned->joined = now.wall;
  }
  WorkerRecord& worker = *owned;
  worker.session = event.session;
  worker.worker_id = event.worker_id;
  worker.process_id = event.process_id;
  worker.hostname = event.hostname;
  worker.name = event.name;
  worker.labels = event.labels;
  worker.resources = event.resources;
  worker.drained = drained.contains(event.worker_id) && !REEVE_BUG(kDrainEndsWithProcess);
  worker.version = event.version;
  worker.pid = event.pid;
  worker.handlers = event.handlers;
  worker.lanes = event.lanes;
  worker.last_seen = now.monotonic;
  worker.last_seen_wall = now.wall;
  worker.closed_at = absl::InfiniteDuration();
  worker.suspect = worker.draining = worker.spool_full = false;
  const auto entry = roster.find(event.worker_id);
  if (entry == roster.end()) {
    worker.number = WorkerNumber(next_worker++);
    if (!REEVE_BUG(kRosterNotWritten))
      Put(StoreKind::kDurable, PutRoster{event.worker_id, worker.number});
    roster[event.worker_id] = {worker.number, false};
  } else {
    worker.number = entry->second.number;
    if (std::exchange(entry->second.awaited, false)) --awaited;
  }
  session_of[worker.worker_id] = worker.session;
  if (workers.empty()) next_check = now.monotonic + absl::Seconds(1);
  workers.emplace(worker.session, std::move(owned));
  AddToClasses(worker);
  return worker;
}

std::vector<Run> Scheduler::Impl::NotSettled(const Job& job, const HeldRun& held) const {
  IntervalSet open(held.run);
  for (auto it = job.budgets.lower_bound(held.run.first);
       it != job.budgets.end() && it->first < held.run.end(); ++it) {
    // Its failure is recorded and only the acknowledgement was lost: it counts once.
    if (held.lease <= it->second.failed && !REEVE_BUG(kFailureCountedTwice))
      open.Remove({it->first, 1});
  }
  return open.Runs();
}

std::vector<Run> Scheduler::Impl::Claimable(Job& job, const HeldRun& held,
                                            const std::set<LeaseSeq>& own) {
  const Chunk* chunk =
      held.run.end() <= job.total && held.run.count > 0 ? &ChunkOf(job, held.run.first) : nullptr;
  if (chunk == nullptr || (chunk->birth != held.birth && !REEVE_BUG(kBirthIgnored))) return {};
  if (held.lease.epoch == epoch && own.contains(held.lease.seq)) {
    // An earlier claim of this Hello may have taken the last of it; the rest is recorded.
    const auto lease = leases.find(held.lease.seq);
    if (lease == leases.end() || lease->second->job != job.id) return {};
    return CutLease(*lease->second, held.run);
  }
  const std::vector<Run> open = NotSettled(job, held);
  std::vector<Run> runs;
  for (const Run part : open) {
    for (const Run run : job.unclaimed.Intersection(part)) runs.push_back(run);
  }
  for (const Run run : runs) job.unclaimed.Remove(run);
  // Thought to wait for a back-off, though it began before the restart: the wall clock went back.
  for (auto& [time, bucket] : job.scheduled) {
    for (const Run part : open) {
      for (const Run run : bucket.Intersection(part)) {
        job.scheduled_count -= bucket.Remove(run);
        runs.push_back(run);
      }
    }
  }
  std::erase_if(job.scheduled, [](const auto& bucket) { return bucket.second.empty(); });
  // Two workers may hold the same run from different lives of the master: the later lease takes it.
  for (const LeaseSeq seq : std::set<LeaseSeq>(job.leases)) {
    Lease& lease = *leases.at(seq);
    if (!lease.old.epoch || !(lease.old < held.lease)) continue;
    for (const Run part : open) {
      if (!leases.contains(seq)) break;  // The last of it was taken.
      for (const Run run : CutLease(lease, part)) runs.push_back(run);
    }
  }
  std::sort(runs.begin(), runs.end(), [](Run a, Run b) { return a.first < b.first; });
  return runs;
}

void Scheduler::Impl::Claim(const Now& now, WorkerRecord& worker, const std::vector<HeldRun>& held,
                            SendWelcome* welcome) {
  const std::set<LeaseSeq> own = worker.leases;
  std::set<LeaseSeq> fresh;
  std::vector<LeaseSeq> unfinished;
  for (const HeldRun& claim : held) {
    Job* job = FindJob(claim.job);
    std::vector<Run> runs;
    if (job != nullptr) runs = Claimable(*job, claim, own);
    IntervalSet dropped(claim.run);
    for (const Run run : runs) {
      dropped.Remove(run);
      // CutLease counted them out of flight; unclaimed ones never were in.
      if (job->state == JobState::kCancelling) {
        job->cancelled.Add(run);
        job->cancelled_count += run.count;
        welcome->runs.push_back({claim.job, run, {}});
        continue;
      }
      auto owned = std::make_unique<Lease>();
      Lease& lease = *owned;
      lease.seq = LeaseSeq(next_lease++);
      lease.job = job->id;
      lease.birth = claim.birth;
      lease.runs.Add(run);
      const auto budget = job->budgets.find(run.first);
      lease.attempt = budget == job->budgets.end() ? 1 : budget->second.attempt();
      lease.lane = LaneOf(worker, job->options.handler);
      lease.session = worker.session;
      lease.task_bytes = ChunkOf(*job, run.first).task_bytes();
      lease.old = claim.lease;
      lease.sent = run;
      lease.sent_at = now.monotonic;
      lease.front = job->timed();
      SetCounted(now, lease, worker, *job);
      CountHeld(lease, *job, &worker, run, true);
      job->leases.insert(lease.seq);
      worker.leases.insert(lease.seq);
      fresh.insert(lease.seq);
      if (claim.phase != HeldPhase::kFinished) unfinished.push_back(lease.seq);
      welcome->runs.push_back({claim.job, run, lease.seq});
      leases.emplace(lease.seq, std::move(owned));
    }
    for (const Run run : dropped.Runs()) {
      totals.superseded_results += run.count;
      welcome->runs.push_back({claim.job, run, {}});
    }
    if (job == nullptr) continue;
    UpdateListing(*job);  // It may have reached its limit of tasks in flight.
    // This may have been the last run that its cancel waited for.
    if (!REEVE_BUG(kCancelledNotEnded)) EndIfDone(now, *job);
  }
  // What it was given before and does not name, it does not have.
  std::set<LeaseSeq> lost;
  for (const LeaseSeq seq : worker.leases) {
    if (!fresh.contains(seq)) lost.insert(seq);
  }
  LoseLeases(now, lost, {});
  ResumeSolo(worker, unfinished);
  worker.seen_seq = LeaseSeq(next_lease - 1);
}

void Scheduler::Impl::ResumeSolo(WorkerRecord& worker, const std::vector<LeaseSeq>& unfinished) {
  Lease* only = nullptr;
  for (const LeaseSeq seq : unfinished) {
    const auto lease = leases.find(seq);
    if (lease == leases.end()) continue;
    if (only != nullptr) return;
    only = lease->second.get();
  }
  if (only == nullptr || only->runs.size() != 1 || REEVE_BUG(kSoloForgottenByClaim)) return;
  const auto& budgets = jobs.at(only->job)->budgets;
  const auto budget = budgets.find(only->runs.FirstRun()->first);
  only->solo = worker.alone = budget != budgets.end() && budget->second.solo();
}

void Scheduler::Impl::RemoveWorker(const Now& now, WorkerRecord& worker, const Blame& blame) {
  LoseLeases(now, std::set<LeaseSeq>(worker.leases), blame);
  RemoveFromClasses(worker);
  session_of.erase(worker.worker_id);
  assigning.erase(worker.session);
  workers.erase(worker.session);
}

void Scheduler::Impl::DropFromRoster(const WorkerRecord& worker) {
  roster.erase(worker.worker_id);
  Put(StoreKind::kDurable, DropRoster{worker.worker_id});
}

void Scheduler::Impl::On(const Now& now, Goodbye& event) {
  WorkerRecord* worker = FindWorker(event.session);
  if (worker == nullptr) return;
  DropFromRoster(*worker);
  RemoveWorker(now, *worker, {});
}

void Scheduler::Impl::On(const Now& now, ConnectionClosed& event) {
  WorkerRecord* worker = FindWorker(event.session);
  if (worker != nullptr) worker->closed_at = std::min(worker->closed_at, now.monotonic);
}

// ---- Heartbeats ----

void Scheduler::Impl::On(const Now& now, Heartbeat& event) {
  WorkerRecord* worker = FindWorker(event.session);
  if (worker == nullptr) {
    effects.sends.push_back({event.session, SendWhoAreYou{}, {}});
    return;
  }
  worker->last_seen = now.monotonic;
  worker->last_seen_wall = now.wall;
  worker->suspect = false;
  worker->closed_at = absl::InfiniteDuration();
  if (event.number < worker->beat_number) return;  // Overtaken: what it says is not so any more.
  worker->beat_number = event.number;
  worker->seen_seq = std::max(worker->seen_seq, event.seen_seq);
  worker->lanes = event.lanes;
  worker->pools = std::move(event.pools);
  worker->draining = event.draining;
  worker->spool_full = event.spool_full;
  worker->running = std::move(event.running);
  for (const RunningTask& task : worker->running) NoteRunning(*worker, task);
  CountRunning(now, *worker);
  if (event.held.has_value()) {
    Reconcile(now, *worker, event);
    effects.sends.push_back({event.session, SendHeartbeatAck{event.number, false}, {}});
    return;
  }
  HeldHash hash;
  uint64_t count = 0;
  for (const LeaseSeq seq : worker->leases) {
    if (seq > event.seen_seq) break;
    for (const Run run : leases.at(seq)->runs.Runs()) {
      hash.Add(seq, run);
      count += run.count;
    }
  }
  const bool differs = count != event.held_count || (count > 0 && hash.Finish() != event.held_hash);
  const bool ask =
      !REEVE_BUG(kNoReconcile) && differs && now.monotonic - worker->held_asked > kHeldQuestion;
  if (ask) worker->held_asked = now.monotonic;
  effects.sends.push_back({event.session, SendHeartbeatAck{event.number, ask}, {}});
}

// Lost: sent, seen when this was said, and yet not there. What was seen later this cannot know of.
void Scheduler::Impl::Reconcile(const Now& now, const WorkerRecord& worker, const Heartbeat& beat) {
  absl::btree_map<LeaseSeq, IntervalSet> there;
  for (const HeldRun& run : *beat.held) there[run.lease.seq].Add(run.run);
  std::vector<std::pair<LeaseSeq, Run>> lost;
  for (const LeaseSeq seq : worker.leases) {
    if (seq > beat.seen_seq) break;
    const auto found = there.find(seq);
    for (const Run run : leases.at(seq)->runs.Runs()) {
      if (found == there.end()) {
        lost.emplace_back(seq, run);
      } else {
        for (const Run missing : found->second.Missing(run)) lost.emplace_back(seq, missing);
      }
    }
  }
  std::vector<LeasedRun> runs;
  for (const auto& [seq, run] : lost) runs.push_back({seq, run});
  totals.lost_spans += runs.size();
  for (const LeasedRun& run : runs) {
    Lease& lease = *leases.at(run.lease);
    Job& job = *jobs.at(lease.job);
    LoseRuns(now, job, CutUnused(lease, run.run));
    EndIfDone(now, job);
  }
}

void Scheduler::Impl::NoteRunning(const WorkerRecord& worker, const RunningTask& task) {
  const bool says = task.permille.has_value() || !task.note.empty();
  if (!says && task.details.empty()) return;
  Job* job = FindJob(task.job);
  if (job == nullptr || !Holds(worker, *job, task.index)) return;
  KeepDetails(*job, task.index, task.details);
  if (!says) return;
  job->said = task;
  if (job->watched) changed_jobs.insert(job->id);
}

bool Scheduler::Impl::Holds(const WorkerRecord& worker, const Job& job, TaskIndex index) const {
  for (const LeaseSeq seq : job.leases) {
    const Lease& lease = *leases.at(seq);
    if (lease.session == worker.session && lease.runs.Contains(index)) return true;
  }
  return false;
}

void Scheduler::Impl::On(const Now& now, SetDrained& event) {
  absl::Status status = MakeError(absl::StatusCode::kNotFound, "WORKER_NOT_FOUND",
                                  StrCat("there is no worker ", WorkerName(event.worker)));
  for (auto& [session, worker] : workers) {
    if (worker->number != event.worker) continue;
    status = absl::OkStatus();
    if (std::exchange(worker->drained, event.drained) == event.drained) break;
    if (event.drained) {
      drained.insert(worker->worker_id);
      if (REEVE_BUG(kDrainDropsWork)) LoseLeases(now, std::set<LeaseSeq>(worker->leases), {});
    } else {
      drained.erase(worker->worker_id);
      worker->drained = REEVE_BUG(kUndrainForgotten);
    }
    if (!REEVE_BUG(kDrainNotWritten))
      Put(StoreKind::kDurable, PutDrained{worker->worker_id, event.drained});
  }
  effects.replies.push_back(
      {event.call, StatusReply{std::move(status)}, Latest(StoreKind::kDurable)});
}

// Such a task may go on until its worker kills it, shortly before its lease ends.
bool Scheduler::Impl::HoldsExclusive(const WorkerRecord& worker) const {
  return std::any_of(worker.leases.begin(), worker.leases.end(),
                     [&](LeaseSeq seq) { return jobs.at(leases.at(seq)->job)->options.exclusive; });
}

void Scheduler::Impl::CheckWorkers(const Now& now) {
  next_check = now.monotonic + absl::Milliseconds(500);
  std::vector<SessionId> gone;
  std::set<LeaseSeq> unseen;
  for (auto& [session, worker] : workers) {
    const absl::Duration silent = now.monotonic - worker->last_seen;
    worker->suspect = silent >= options.suspect;
    const bool closed = worker->closed_at != absl::InfiniteDuration() &&
                        now.monotonic - worker->closed_at >= options.reconnect_grace &&
                        (!HoldsExclusive(*worker) || REEVE_BUG(kExclusiveLostEarly));
    if ((silent >= options.lease || closed) && !REEVE_BUG(kLeaseNeverExpires)) {
      gone.push_back(session);
      continue;
    }
    for (auto it = worker->leases.upper_bound(worker->seen_seq); it != worker->leases.end(); ++it) {
      Lease& lease = *leases.at(*it);
      if (now.monotonic - lease.sent_at < options.resend) break;
      if (jobs.at(lease.job)->options.at_most_once) {
        // Never sent twice. After so long it is not on its way any more either.
        if (now.monotonic - lease.sent_at >= options.lease) unseen.insert(*it);
        continue;
      }
      ++totals.resent_spans;
      Send(now, *worker, lease);
    }
    SendRecall again;
    for (const LeaseSeq seq : worker->leases) {
      Lease& lease = *leases.at(seq);
      if (!lease.recalling || now.monotonic - lease.recall_at < kRepeat) continue;
      lease.recall_at = now.monotonic;
      again.cuts.push_back({seq, lease.recall_end});
    }
    if (!again.cuts.empty()) effects.sends.push_back({session, std::move(again), {}});
  }
  for (const SessionId session : gone) {
    WorkerRecord& worker = *workers.at(session);
    totals.expired_leases += worker.leases.size();
    DropFromRoster(worker);
    RemoveWorker(now, worker, WithoutNote(worker));
  }
  LoseLeases(now, unseen, {});
  std::vector<JobId> overdue;
  for (const auto& [id, job] : jobs) {
    if (job->state == JobState::kCancelling && now.monotonic >= job->cancel_deadline)
      overdue.push_back(id);
  }
  for (const JobId id : overdue) LoseLeases(now, std::set<LeaseSeq>(jobs.at(id)->leases), {});
}

// ---- Leases ----

std::vector<Run> Scheduler::Impl::CutLease(Lease& lease, Run run) {
  std::vector<Run> cut = lease.runs.TakeOut(run);
  if (cut.empty()) return {};
  Job& job = *jobs.at(lease.job);
  WorkerRecord* worker = FindWorker(lease.session);
  for (const Run part : cut) {
    CountHeld(lease, job, worker, part, false);
    lease.counted_more.erase(lease.counted_more.lower_bound(part.first),
                             lease.counted_more.lower_bound(part.end()));
  }
  if (lease.runs.empty()) EndLease(lease);
  return cut;
}

std::vector<Run> Scheduler::Impl::CutUnused(Lease& lease, Run run) {
  Job& job = *jobs.at(lease.job);
  const double each = lease.counted, more = lease.CountedMore(run);
  const int32_t level = lease.level;
  std::vector<Run> cut = CutLease(lease, run);
  uint64_t count = 0;
  for (const Run part : cut) count += part.count;
  CountUse(job, level, -each * static_cast<double>(count) - more);
  return cut;
}

void Scheduler::Impl::EndLease(Lease& lease) {
  const LeaseSeq seq = lease.seq;
  if (Job* job = FindJob(lease.job)) job->leases.erase(seq);
  if (WorkerRecord* worker = FindWorker(lease.session)) {
    worker->leases.erase(seq);
    if (lease.solo) worker->alone = false;
  }
  leases.erase(seq);
}

void Scheduler::Impl::GiveBack(const Now&, Job& job, const std::vector<Run>& runs) {
  for (const Run run : runs) {
    if (job.state == JobState::kCancelling) {
      job.cancelled.Add(run);
      job.cancelled_count += run.count;
    } else if (job.options.exclusive && reattach_deadline != absl::InfiniteDuration()) {
      // What one worker gives back, another that has not come back yet may have got since.
      job.unclaimed.Add(run);
    } else {
      AddReady(job, run);
    }
  }
  if (job.watched) changed_jobs.insert(job.id);
  UpdateListing(job);
}

void Scheduler::Impl::TakeBack(const Now& now, SessionId session,
                               const std::vector<LeasedRun>& runs) {
  for (const LeasedRun& leased : runs) {
    const auto found = leases.find(leased.lease);
    if (found == leases.end() || found->second->session != session || leased.run.count == 0)
      continue;
    Lease& lease = *found->second;
    Job& job = *jobs.at(lease.job);
    GiveBack(now, job, CutUnused(lease, leased.run));
    EndIfDone(now, job);
  }
}

void Scheduler::Impl::On(const Now& now, Recalled& event) {
  for (const LeasedRun& cut : event.cut) {
    const auto found = leases.find(cut.lease);
    if (found != leases.end() && found->second->session == event.session)
      found->second->recalling = false;
    totals.recalled_tasks += cut.run.count;
  }
  TakeBack(now, event.session, event.cut);
}

void Scheduler::Impl::On(const Now& now, Released& event) {
  TakeBack(now, event.session, event.runs);
}

}  // namespace reeve
