// EPHEMERAL jobs: their results live until every cursor has passed them.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {

bool Scheduler::Impl::ResultsFull(const Job& job) const {
  return job.options.ephemeral && !REEVE_BUG(kEphemeralUnbounded) &&
         (job.result_bytes >= options.ephemeral_job_bytes / 2 ||
          (job.result_bytes > 0 && ephemeral_results >= options.ephemeral_bytes / 2));
}

void Scheduler::Impl::On(const Now& now, CursorMoved& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr || !job->options.ephemeral) return;
  const auto [cursor, opened] = job->cursors.try_emplace(event.cursor);
  if (opened) {
    // It goes on where a closed one stopped: the nearest before it.
    auto nearest = job->cursors.end();
    for (auto it = job->cursors.begin(); it != job->cursors.end(); ++it) {
      if (it == cursor || it->second.closed_at == absl::InfiniteDuration() ||
          it->second.passed > event.passed)
        continue;
      if (nearest == job->cursors.end() || it->second.passed > nearest->second.passed) nearest = it;
    }
    if (nearest != job->cursors.end()) job->cursors.erase(nearest);
  }
  cursor->second.passed = std::max(cursor->second.passed, event.passed);
  if (event.closed) cursor->second.closed_at = job->cursorless_since = now.monotonic;
  DropPassedResults(*job);
}

void Scheduler::Impl::DropPassedResults(Job& job) {
  uint64_t passed = job.cursors.empty() ? 0 : UINT64_MAX;
  for (const auto& [id, cursor] : job.cursors) passed = std::min(passed, cursor.passed);
  uint64_t bytes = 0, through = 0;
  while (!job.kept_results.empty() && job.kept_results.front().first <= passed) {
    through = job.kept_results.front().first;
    bytes += job.kept_results.front().second;
    job.kept_results.pop_front();
  }
  if (through == 0 || REEVE_BUG(kEphemeralKept)) return;
  Put(StoreKind::kMemory, DropResults{job.id, through});
  CountResults(job, 0, bytes);
}

void Scheduler::Impl::CountResults(Job& job, uint64_t added, uint64_t dropped) {
  const auto full = [this] { return ephemeral_results >= options.ephemeral_bytes / 2; };
  const bool was_full = full();
  job.result_bytes += added - dropped;
  ephemeral_results += added - dropped;
  UpdateListing(job);
  if (full() == was_full) return;
  for (const JobId other : ephemeral_jobs) UpdateListing(*jobs.at(other));
}

void Scheduler::Impl::CheckCursors(const Now& now) {
  for (const JobId id : std::vector<JobId>(ephemeral_jobs.begin(), ephemeral_jobs.end())) {
    Job& job = *jobs.at(id);
    std::erase_if(job.cursors, [&now, this](const auto& cursor) {
      return now.monotonic - cursor.second.closed_at >= options.cursor_life;
    });
    DropPassedResults(job);
    if (!job.cursors.empty() || now.monotonic - job.cursorless_since < options.cursor_life)
      continue;
    Stop(now, job, {JobState::kCancelled, Cause::kAbandoned, false});
    EndIfDone(now, job);
  }
}

}  // namespace reeve
