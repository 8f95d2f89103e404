#include "tests/simulation/limits_book.h"

#include <algorithm>

#include "tests/simulation/asks.h"
#include "tests/simulation/work.h"

namespace reeve::sim {
void LimitsBook::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

// ---- Who has what ----

void LimitsBook::OnLife() {
  given_.clear();
  sent_.clear();
  gone_workers_.clear();
  // Nobody waits for those that are not in the roster.
  for (uint32_t worker = 0; worker < world_->config.workers; ++worker) {
    if (!(*store_)->InRoster(WorkerId(worker))) gone_workers_.insert(worker);
  }
}

void LimitsBook::OnSubmitted(const Write& write) {
  if (const auto* put = std::get_if<PutQueue>(&write)) {
    const AskedQueue* queue = view_->FindQueue(put->settings.name);
    // Another rate: what was before it does not count.
    if (queue == nullptr || queue->settings.rate != put->settings.rate)
      starts_.erase("queue " + put->settings.name);
  }
  const auto* drop = std::get_if<DropRoster>(&write);
  if (drop == nullptr) return;
  const uint32_t worker = WorkerNumberOf(drop->worker_id);
  gone_workers_.insert(worker);
  for (auto& [id, given] : given_) {
    if (given.worker == worker) given.lost = true;
  }
}

bool LimitsBook::IsLive(const Task& task) const {
  const AskedJob* job = view_->Find(task.job);
  if (job == nullptr || IsTerminal(job->state)) return false;
  const ChunkImage* chunk = job->ChunkOf(task.index);
  if (chunk == nullptr || chunk->birth != task.birth) return false;
  const auto given = given_.find({task.job, task.index});
  if (given == given_.end()) return !gone_workers_.contains(task.worker);
  return given->second.session == task.session && !given->second.lost;
}

void LimitsBook::OnWelcome(SessionId session, const SendWelcome& welcome, uint32_t worker) {
  for (const WelcomeRun& run : welcome.runs) {
    for (TaskIndex i = run.run.first; i < run.run.end(); ++i) {
      const auto [it, fresh] = given_.try_emplace({run.job, i}, Given{session, worker, !run.lease});
      if (fresh) continue;
      if (run.lease) {
        it->second = {session, worker, false};
      } else if (it->second.session == session) {
        it->second.lost = true;
      }
    }
  }
}

void LimitsBook::OnProcessEnd(uint32_t worker, uint64_t process) {
  running_.erase(running_.lower_bound({worker, process, 0}),
                 running_.upper_bound({worker, process, UINT32_MAX}));
}

std::optional<uint32_t> LimitsBook::RunsAt(JobId job, TaskIndex index) const {
  for (const auto& [place, task] : running_) {
    if (task.job == job && task.index == index && IsLive(task)) return task.worker;
  }
  return std::nullopt;
}

// ---- What happens ----

void LimitsBook::OnAssigned(const AssignedSpan& span, SessionId session, uint32_t worker) {
  if (sent_at_ != world_->now) sent_.clear();
  sent_at_ = world_->now;
  const AskedJob* job = view_->Find(span.job);
  if (job == nullptr) return;
  for (TaskIndex i = span.run.first; i < span.run.end(); ++i) {
    given_[{span.job, i}] = {session, worker, false};
    sent_.push_back({span.job, span.birth, i, job->KeyOf(i), worker, session});
  }
  CheckLimits(*job, job->KeyOf(span.run.first), worker, true);
  CheckRates(*job, span);
}

void LimitsBook::OnRunning(const Place& place, SessionId session, JobId id, Birth birth,
                           TaskIndex index) {
  const AskedJob* job = view_->Find(id);
  const uint64_t key = job == nullptr ? 0 : job->KeyOf(index);
  const Task& task = running_[place] = {id, birth, index, key, place.worker, session};
  if (job != nullptr && IsLive(task)) CheckLimits(*job, key, place.worker, false);
}

std::vector<const LimitsBook::Task*> LimitsBook::Live(bool sent, const Belongs& belongs) const {
  std::vector<const Task*> live;
  std::set<TaskId> counted;
  if (sent) {
    for (const Task& task : sent_) {
      if (belongs(task) && counted.insert({task.job, task.index}).second) live.push_back(&task);
    }
  }
  for (const auto& [place, task] : running_) {
    // One that was given up and came back to the same worker runs there twice.
    if (belongs(task) && IsLive(task) && counted.insert({task.job, task.index}).second)
      live.push_back(&task);
  }
  return live;
}

// ---- Limits ----

// `sent`: a task was given out just now, and the limits of now hold. Otherwise it begins, and the
// highest holds that there was.
void LimitsBook::CheckLimits(const AskedJob& job, uint64_t key, uint32_t worker, bool sent) {
  CheckLimit(sent ? job.options.max_in_flight : job.most_in_flight, sent,
             "no more of a job is at workers than its limit", job.id,
             [&job](const Task& task) { return task.job == job.id; });
  const std::string name = job.queue();
  if (const AskedQueue* queue = view_->FindQueue(name)) {
    CheckLimit(sent ? queue->settings.max_in_flight : queue->most_in_flight, sent,
               "no more of a queue is at workers than its limit", job.id,
               [this, &name](const Task& task) {
                 const AskedJob* other = view_->Find(task.job);
                 return other != nullptr && other->queue() == name;
               });
  }
  const JobExtras* extras = job.extras();
  if (extras == nullptr) return;
  if (extras->keyed) {
    CheckLimit(extras->key_max_in_flight, sent, "no more of a key is at workers than its limit",
               job.id,
               [&job, key](const Task& task) { return task.job == job.id && task.key == key; });
  }
  if (!extras->resources.empty()) CheckResources(job, worker, sent);
}

void LimitsBook::CheckLimit(uint32_t limit, bool sent, const char* what, JobId job,
                            const Belongs& belongs) {
  if (limit == 0) return;
  const size_t live = Live(sent, belongs).size();
  Require(live <= limit, what, job.value, live);
  if (live == limit) world_->Saw(Seen::kAtLimit);
}

void LimitsBook::CheckResources(const AskedJob& job, uint32_t worker, bool sent) {
  const Resources has = ResourcesOf(world_->config, worker);
  Resources used;
  for (const Task* task :
       Live(sent, [worker](const Task& task) { return task.worker == worker; })) {
    const AskedJob* other = view_->Find(task->job);
    if (other == nullptr || other->extras() == nullptr) continue;
    for (const auto& [name, need] : other->extras()->resources) used[name] += need;
  }
  for (const auto& [name, amount] : used) {
    const auto most = has.find(name);
    Require(most != has.end() && amount <= most->second, "a worker's tasks need what it has",
            job.id.value, static_cast<uint64_t>(amount));
  }
  world_->Saw(Seen::kResourcesUsed);
}

// ---- Rates ----

void LimitsBook::CheckRates(const AskedJob& job, const AssignedSpan& span) {
  if (const AskedQueue* queue = view_->FindQueue(job.queue()))
    CheckRate("queue " + job.queue(), queue->settings.rate, span.run.count);
  if (job.extras() == nullptr || !job.extras()->keyed) return;
  std::map<uint64_t, uint64_t> starts;
  for (TaskIndex i = span.run.first; i < span.run.end(); ++i) ++starts[job.KeyOf(i)];
  for (const auto& [key, count] : starts) {
    CheckRate("job " + std::to_string(job.id.value) + " key " + std::to_string(key),
              job.extras()->key_rate, count);
  }
}

void LimitsBook::CheckRate(const std::string& scope, const Rate& rate, uint64_t starts) {
  if (!rate.limited()) return;
  auto& times = starts_[scope];
  times.emplace_back(world_->now, starts);
  const int64_t from = world_->now - absl::ToInt64Microseconds(rate.per);
  while (times.front().first <= from) times.pop_front();
  uint64_t within = 0;
  for (const auto& [time, count] : times) within += count;
  const uint64_t most = uint64_t{rate.count} + rate.burst - 1;
  Require(within <= most, "no stretch of time has more starts than its rate", within, most);
  if (within == most) world_->Saw(Seen::kAtRate);
}

}  // namespace reeve::sim
