#include "tests/simulation/schedule_book.h"

#include <algorithm>

#include "tests/simulation/asks.h"

namespace reeve::sim {
namespace {

std::string NameIn(const std::string& request) {
  const size_t name = request.find('\t');
  return request.substr(name + 1, request.rfind('\t') - name - 1);
}

// Fire times in (from, to].
int64_t Between(const SchedulePlan& plan, absl::Time from, absl::Time to) {
  const auto nth = [&plan](absl::Time time) {
    const int64_t since = absl::ToInt64Microseconds(time - WallAt(plan.at));
    return since <= 0 ? 0 : since / plan.every;
  };
  return nth(to) - nth(from);
}

}  // namespace

void ScheduleBook::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

void ScheduleBook::OnLife() {
  fired_.clear();
  for (const auto& [name, row] : (*store_)->schedules())
    fired_[name] = {row.progress, row.progress.last_time, row.progress.last_job};
}

void ScheduleBook::OnSubmitted(const WriteBatch& batch, const PutJob& put) {
  absl::Time at;
  const SchedulePlan* plan = ScheduleOf(world_->config, put.request_id, &at);
  if (plan == nullptr) return;
  const uint64_t id = put.view.job.value;
  const std::string name = NameIn(put.request_id);
  Fired& fired = fired_[name];
  const int64_t since = absl::ToInt64Microseconds(at - WallAt(plan->at));
  Require(since > 0 && since % plan->every == 0, "a schedule fires at its times", id);
  Require(at <= WallAt(world_->now) + absl::Microseconds(world_->wall_offset),
          "a schedule fires when it is time", id);
  Require(at > fired.last, "each fire time of a schedule makes one job", id);
  bool recorded = false;
  for (const Write& write : batch.writes) {
    const auto* progress = std::get_if<PutSchedule>(&write);
    const auto* drop = std::get_if<DropSchedule>(&write);
    recorded = recorded || (drop != nullptr && drop->name == name) ||
               (progress != nullptr && progress->name == name &&
                progress->progress.last_time >= at && progress->progress.last_job >= put.view.job);
  }
  Require(recorded, "that a schedule has fired is recorded with its job", id);
  CheckOverlap(*plan, fired.job, put);
  fired.last = at;
  fired.job = put.view.job;
  world_->Saw(Seen::kFired);
}

void ScheduleBook::CheckOverlap(const SchedulePlan& plan, JobId before, const PutJob& put) {
  const AskedJob* other = view_->Find(before);
  if (other == nullptr || IsTerminal(other->state)) return;
  const JobExtras* extras = put.options.extras.get();
  switch (plan.overlap) {
    case Overlap::kSkip: Require(false, "a schedule that skips has one job", before.value); break;
    case Overlap::kQueue:
      world_->Saw(Seen::kFiredBehind);
      Require(extras != nullptr && !extras->after.empty() && extras->after.back().job == before,
              "a schedule that queues runs one job after the other", before.value);
      break;
    case Overlap::kReplace:
      world_->Saw(Seen::kFiredInstead);
      Require(other->state == JobState::kCancelling, "a schedule that replaces cancels",
              before.value);
      break;
    case Overlap::kAllow: break;
  }
}

void ScheduleBook::OnSubmitted(const PutSchedule& put) {
  const auto nth = static_cast<uint32_t>(std::stoul(put.name.substr(put.name.rfind('-') + 1)));
  const SchedulePlan& plan = world_->config.schedules[nth];
  Fired& fired = fired_[put.name];
  const ScheduleProgress before = std::exchange(fired.progress, put.progress);
  const ScheduleProgress& now = put.progress;
  if (put.record.size() > 0)
    created_[put.name] = WallAt(world_->now) + absl::Microseconds(world_->wall_offset);
  if (now.last_time == before.last_time) return;
  const bool first = before.last_time == absl::InfinitePast();
  const auto passed = static_cast<uint64_t>(
      Between(plan, first ? created_[put.name] : before.last_time, now.last_time));
  const uint64_t counted = now.fired + now.skipped - before.fired - before.skipped;
  if (now.skipped > before.skipped) world_->Saw(Seen::kFireSkipped);
  if (passed > 1) world_->Saw(Seen::kFiredLate);
  // Times that passed while it was paused, or no master was there and it does not catch up, are not
  // counted.
  const bool gaps = plan.pause_at > 0 || plan.catch_up == CatchUp::kNone;
  // No more than so many are counted at once.
  const uint64_t most = std::min<uint64_t>(passed, world_->config.scheduler.max_catch_up + 1);
  Require(counted <= passed && (gaps || counted >= most),
          "every fire time has fired or was skipped", counted, passed);
  Require(now.fired <= plan.count, "a schedule makes as many jobs as it may", now.fired);
}

void ScheduleBook::AtEnd() {
  if (world_->config.WallJumps()) return;  // They are deleted.
  std::map<std::string, uint32_t> made;
  for (const auto& [id, row] : (*store_)->jobs()) {
    absl::Time at;
    if (ScheduleOf(world_->config, row.put.request_id, &at) != nullptr)
      ++made[NameIn(row.put.request_id)];
  }
  for (uint32_t i = 0; i < world_->config.schedules.size(); ++i) {
    Require(made[ScheduleName(i)] == world_->config.schedules[i].count,
            "a schedule has made as many jobs as it was to", i, made[ScheduleName(i)]);
  }
}

}  // namespace reeve::sim
