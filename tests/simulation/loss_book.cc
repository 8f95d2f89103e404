#include "tests/simulation/loss_book.h"

#include <algorithm>

#include "tests/simulation/work.h"

namespace reeve::sim {
namespace {

// As design.md §5 says.
constexpr uint32_t kSoloAfter = 3, kCrashBudget = 3;

}  // namespace

void LossBook::Require(bool holds, const char* what, JobId job, TaskIndex index) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(job.value) + "/" + std::to_string(index) +
               ")");
}

bool LossBook::IsPoison(const JobRow& row, TaskIndex index) const {
  return IsPoisonTask(PlanOf(world_->config, row), ValueOf(world_->config, row, index));
}

void LossBook::OnHello(const Hello& hello) {
  processes_[hello.session].worker_id = hello.worker_id;
  if (!hello.suspects.empty() && !told_.insert(hello.suspects_process).second)
    world_->Saw(Seen::kDeathToldAgain);
}

void LossBook::OnGiven(SessionId session, JobId job, TaskIndex index, bool solo) {
  Task& task = tasks_[{job, index}];
  const auto [it, fresh] = task.given.try_emplace(session);
  Given& given = it->second;
  if (fresh && processes_[session].ends > 0) ++task.deaths;  // It never got there.
  given.solo = given.solo || solo;
  if (solo) world_->Saw(Seen::kSoloRun);
}

void LossBook::OnDeath(const Death& death) {
  Process& process = processes_[death.session];
  ++process.ends;
  for (const agent::Suspect& task : death.running) process.running.insert({task.job, task.index});
  for (auto& [id, task] : tasks_) {
    if (task.given.contains(death.session)) ++task.deaths;
  }
  if (!death.culprit.has_value()) return;
  const TaskId culprit{death.culprit->job, death.culprit->index};
  if (death.named) process.named = culprit;
  // Of a chunk whose commit died with its master, nothing is remembered.
  const uint32_t killed = ++killed_[{culprit, death.culprit->birth}];
  // Nothing else ends a process in a strict seed, so no count can be lost. Without a note, one
  // attempt may be under way not alone while a new life hears of the deaths before it.
  if (!world_->config.strict || world_->config.WallJumps()) return;
  const uint64_t restarts = (*store_)->life() - 1;
  Require(killed <= (death.named ? kCrashBudget : kSoloAfter + kCrashBudget + restarts),
          "a poison task ends within its budgets", culprit.first, culprit.second);
}

void LossBook::OnGivenUp(const std::string& worker_id) {
  for (auto& [session, process] : processes_) {
    if (process.worker_id == worker_id) ++process.ends;
  }
}

uint32_t LossBook::deaths_under(JobId job, TaskIndex index) const {
  const auto task = tasks_.find({job, index});
  return task == tasks_.end() ? 0 : task->second.deaths;
}

// Takes a death that is not on record for the task yet. One that could be a crash is kept for that:
// the book knows of a death before the master hears of it.
bool LossBook::Find(const JobRow& row, TaskIndex index, bool crash) {
  const TaskId id{row.put.view.job, index};
  for (const bool blames : {false, true}) {
    for (auto& [session, given] : tasks_[id].given) {
      const Process& process = processes_[session];
      const bool alone = process.running.size() == 1 && process.running.contains(id);
      if (process.ends <= given.counted || blames != (given.solo || alone || process.named == id))
        continue;
      if (crash && !blames) continue;
      if (world_->config.strict && !process.running.contains(id)) continue;
      ++given.counted;
      return true;
    }
  }
  return false;
}

void LossBook::CheckCounted(const JobRow& row, const RetryOutcome& outcome) {
  const JobId job = row.put.view.job;
  const TaskIndex index = outcome.run.first;
  const TaskRow& task = row.tasks[index];
  const bool crash = outcome.reason != Reason::kNone;
  world_->Note("counts", job.value, index, outcome.suspicions, outcome.crashes);
  Require(outcome.failed_attempts == task.failures, "a death costs no attempt", job, index);
  Require(outcome.suspicions == task.suspicions + !crash && outcome.crashes == task.crashes + crash,
          "a death is one suspicion or one crash", job, index);
  Require(outcome.crashes < kCrashBudget, "the crash budget holds", job, index);
  Require(!row.put.options.at_most_once, "what runs at most once is not suspected", job, index);
  Require(Find(row, index, crash), "a death counts once, and for a task it may be due to", job,
          index);
  if (world_->config.strict && crash)
    Require(IsPoison(row, index), "an innocent task is never charged a crash", job, index);
  world_->Saw(!crash                          ? Seen::kSuspected
              : task.suspicions >= kSoloAfter ? Seen::kSoloCrash
                                              : Seen::kNamedCrash);
}

void LossBook::CheckPoisoned(const JobRow& row, TaskIndex index, uint32_t attempt) {
  const JobId job = row.put.view.job;
  const TaskRow& task = row.tasks[index];
  world_->Saw(Seen::kPoisoned);
  Require(task.crashes + 1 == kCrashBudget, "a task is poisoned by its last crash", job, index);
  Require(Find(row, index, true), "a death counts once, and for a task it may be due to", job,
          index);
  Require(attempt == task.failures + kCrashBudget, "a poisoned task says how often it was tried",
          job, index);
  if (world_->config.strict)
    Require(IsPoison(row, index), "an innocent task is never poisoned", job, index);
}

void LossBook::CheckLost(const JobRow& row, TaskIndex index) {
  world_->Saw(Seen::kAtMostOnceLost);
  Require(row.put.options.at_most_once, "only what runs at most once is lost", row.put.view.job,
          index);
  // An assignment that a broken connection swallowed is not sent again either.
  Require(deaths_under(row.put.view.job, index) > 0 || !world_->config.strict ||
              !world_->config.faults.empty(),
          "a task is lost with its worker, its master or its connection", row.put.view.job, index);
}

}  // namespace reeve::sim
