// Why a task is in its state: sentences for people, and for each wait a word for programs.

#include <algorithm>

#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

// Jobs named in a sentence about dependencies.
constexpr size_t kNamedJobs = 3;

class Sayer {
 public:
  explicit Sayer(TaskView* view) : view_(view) {}
  void Waits(Wait wait, std::string sentence) {
    view_->explanations.push_back(std::move(sentence));
    view_->waits.push_back(wait);
  }
  void Says(std::string sentence) { view_->explanations.push_back(std::move(sentence)); }

 private:
  TaskView* const view_;
};

std::string InTime(absl::Duration wait) {
  const absl::Duration shown = std::max(wait, absl::ZeroDuration());
  return shown < absl::Seconds(10) ? StrCat(absl::ToInt64Milliseconds(shown), " ms")
                                   : absl::FormatDuration(absl::Trunc(shown, absl::Seconds(1)));
}

std::string At(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

const char* EndWanted(JobDependency::Condition condition) {
  switch (condition) {
    case JobDependency::Condition::kSuccess: return "succeed";
    case JobDependency::Condition::kFailure: return "fail";
    case JobDependency::Condition::kEnd: return "end";
  }
  return "end";
}

}  // namespace

void Scheduler::Impl::Explain(const Now& now, const Job& job, TaskIndex index,
                              TaskView* view) const {
  Sayer say(view);
  if (job.state == JobState::kCancelling) say.Says("The job is being cancelled.");
  if (job.ending.halted) say.Says("The job was stopped by its rule; what runs may end.");
  switch (view->state) {
    case TaskState::kAssigned:
    case TaskState::kRunning:
      if (!view->worker.has_value()) {
        say.Waits(Wait::kReattach,
                  "It was given to a worker before the master restarted; waiting for that worker "
                  "to return.");
      } else if (view->state == TaskState::kRunning) {
        say.Says(StrCat("It is running on ", WorkerName(*view->worker), "."));
      } else {
        say.Says(StrCat("It was sent to ", WorkerName(*view->worker),
                        " and waits there for a slot or has just begun."));
      }
      return;
    case TaskState::kCancelled: return say.Says("The job was cancelled before it ended.");
    case TaskState::kExpired: return say.Says("The job's time was over before it ended.");
    default: break;
  }
  ExplainHold(now, job, view);
  if (view->state == TaskState::kScheduled && !job.not_yet) {
    say.Waits(Wait::kBackOff, StrCat("Attempt ", view->attempt,
                                     " failed or asked to be repeated; "
                                     "the next begins in ",
                                     InTime(*view->due - now.wall), "."));
    return;
  }
  if (view->state != TaskState::kReady) return;
  ExplainLimits(now, job, index, view);
  ExplainWorkers(job, index, view);
}

// What keeps the whole job.
void Scheduler::Impl::ExplainHold(const Now& now, const Job& job, TaskView* view) const {
  Sayer say(view);
  if (job.blocked_by > 0) {
    size_t named = 0;
    for (const JobDependency& dependency : job.extras()->after) {
      const Job* other = FindJob(dependency.job);
      if (other == nullptr || ++named > kNamedJobs) continue;
      say.Waits(Wait::kDependency,
                StrCat("It waits for job ", dependency.job.value, " to ",
                       EndWanted(dependency.condition), "; ", other->unfinished(), " of ",
                       other->tasks(), " tasks of that are unfinished."));
    }
    if (named > kNamedJobs)
      say.Waits(Wait::kDependency, StrCat("And for ", named - kNamedJobs, " more jobs."));
    if (named == 0)
      say.Waits(Wait::kDependency, "The job that it waited for has ended; that is being recorded.");
  }
  if (job.awaits_results)
    say.Waits(Wait::kDependency, "The results of the jobs before it are being read.");
  if (job.not_yet) {
    say.Waits(Wait::kStartTime,
              StrCat("The job's start time is ", At(job.extras()->start_time), ", in ",
                     InTime(job.extras()->start_time - Steady(now)), "."));
  }
  if (job.paused) {
    say.Waits(Wait::kPaused,
              StrCat("The job is paused; `reeve resume ", job.id.value, "` lets it go on."));
  }
  const QueueSettings& queue = job.queue().settings;
  if (queue.paused) {
    say.Waits(Wait::kQueuePaused, StrCat("The queue ", queue.name,
                                         " is paused; `reeve queue "
                                         "resume ",
                                         queue.name, "` lets it go on."));
  }
}

void Scheduler::Impl::ExplainLimits(const Now& now, const Job& job, TaskIndex index,
                                    TaskView* view) const {
  Sayer say(view);
  if (job.options.max_in_flight > 0 && job.in_flight >= job.options.max_in_flight) {
    say.Waits(Wait::kJobLimit,
              StrCat("The job has ", job.in_flight,
                     " tasks at workers, as many as its limit max_in_flight allows."));
  }
  const Queue& queue = job.queue();
  const QueueSettings& settings = queue.settings;
  if (settings.max_in_flight > 0 && queue.in_flight >= settings.max_in_flight) {
    say.Waits(Wait::kQueueLimit, StrCat("The queue ", settings.name, " has ", queue.in_flight,
                                        " tasks at workers, as many as its limit allows."));
  }
  if (settings.rate.limited() && queue.gate.Open(settings.rate, now.monotonic) == 0) {
    say.Waits(Wait::kQueueRate,
              StrCat("The rate of the queue ", settings.name, " lets the next task start in ",
                     InTime(queue.gate.NextAt() - now.monotonic), "."));
  }
  const bool counted =
      job.options.max_in_flight > 0 || settings.max_in_flight > 0 || job.keys != nullptr;
  if (counted && reattach_deadline != absl::InfiniteDuration()) {
    say.Waits(Wait::kReattach,
              "The master has restarted; limits wait until its workers have said what they hold.");
  }
  if (ResultsFull(job)) {
    say.Waits(Wait::kResultsFull,
              "Results of ephemeral jobs wait to be read; nothing more goes out until they are.");
  }
  if (job.keys == nullptr) return;
  const JobExtras& extras = *job.extras();
  const auto found = job.keys->groups.find(KeyOf(job, index));
  if (found == job.keys->groups.end()) return;
  const KeyGroup& group = found->second;
  if (extras.key_max_in_flight > 0 && group.in_flight >= extras.key_max_in_flight) {
    say.Waits(Wait::kKeyLimit, StrCat("Tasks of its key at workers: ", group.in_flight,
                                      ", as many as the job's limit for each key allows."));
  }
  if (extras.key_rate.limited() && group.gate.Open(extras.key_rate, now.monotonic) == 0) {
    say.Waits(Wait::kKeyRate, StrCat("The rate of its key lets the next task start in ",
                                     InTime(group.gate.NextAt() - now.monotonic), "."));
  }
}

void Scheduler::Impl::ExplainWorkers(const Job& job, TaskIndex index, TaskView* view) const {
  Sayer say(view);
  const WorkClass& work = *job.work;
  if (workers.empty()) return say.Waits(Wait::kNoWorker, "No worker is connected.");
  if (!offers.contains(work.handler)) {
    return say.Waits(Wait::kNoHandler,
                     StrCat("No connected worker offers the handler `", work.handler, "`."));
  }
  if (work.workers.empty()) {
    return say.Waits(Wait::kNoFittingWorker, StrCat("It can run on none of the connected workers: ",
                                                    ToStd(CheckFit(job.options).message()), "."));
  }
  size_t takes = 0, with_room = 0;
  uint64_t held = 0;
  std::string short_of;
  for (const SessionId session : work.workers) {
    const WorkerRecord& worker = *workers.at(session);
    if (!worker.takes_work()) continue;
    ++takes;
    held += worker.held[static_cast<int>(LaneOf(worker, work.handler))];
    if (RoomInResources(work, worker) > 0) ++with_room;
    for (const auto& [name, need] : work.needs) {
      const auto used = worker.used.find(name);
      const int64_t left =
          worker.resources.at(name) - (used == worker.used.end() ? 0 : used->second);
      if (left < need && short_of.empty()) {
        short_of = StrCat(FormatThousandths(need), " ", name, ", of which ",
                          WorkerName(worker.number), " has ", FormatThousandths(left), " left");
      }
    }
  }
  if (takes == 0) {
    return say.Waits(Wait::kWorkersBusy, StrCat("All ", work.workers.size(),
                                                " workers that could run it are silent, "
                                                "draining or have no room for results."));
  }
  if (with_room == 0 && !short_of.empty()) {
    const auto kept = reserved.work == &work ? workers.find(reserved.worker) : workers.end();
    say.Waits(Wait::kResources,
              kept == workers.end()
                  ? StrCat("It needs ", short_of, ".")
                  : StrCat("It needs ", short_of, "; ", WorkerName(kept->second->number),
                           " gives others nothing that it needs until it has gone out."));
  } else if (with_room == 0) {
    say.Waits(
        Wait::kResources,
        "What workers have left is kept for tasks that need more of it and have waited long.");
  }
  if (!view->waits.empty()) return;
  uint64_t ahead = 0;
  for (int level = kHighestLevel; level > job.level; --level) {
    for (const auto& [flow, ids] : work.levels[level]) {
      for (const auto& [since, id] : ids) ahead += jobs.at(id)->ready.size();
    }
  }
  const auto beside = work.levels[job.level].find(job.flow->number);
  if (beside != work.levels[job.level].end()) {
    for (const auto& [since, id] : beside->second) {
      if (id == job.id) break;
      ahead += jobs.at(id)->ready.size();
    }
  }
  if (ahead > 0)
    say.Says(StrCat(ahead, " tasks of jobs of higher priority or created earlier go first."));
  uint64_t before = 0;
  for (const Run run : job.ready.Intersection({0, index})) before += run.count;
  if (before > 0) say.Says(StrCat(before, " tasks of the same job go first."));
  say.Waits(Wait::kPlace, StrCat(takes,
                                 takes == 1 ? " worker could run it and holds "
                                            : " workers could run it and hold ",
                                 held, " tasks; it goes out as soon as one has room."));
}

}  // namespace reeve
