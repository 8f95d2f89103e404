// Schedules: jobs at times.
//
// The job of a fire time and the record that it has fired are one transaction, so that each fire
// time makes one job, whatever dies in between. Fire times are of the wall clock: people mean it.

#include <algorithm>
#include <memory>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"
#include "master/schedules/cadence.h"

namespace reeve {
namespace {

// Of jobs that RunSchedule makes: they are told apart by request id alone.
constexpr uint64_t kRunHash = 1;

absl::Status NoSchedule(std::string_view name) {
  return MakeError(absl::StatusCode::kNotFound, "SCHEDULE_NOT_FOUND",
                   StrCat("there is no schedule ", name));
}

// The same for the same fire time, so that a restart changes nothing.
absl::Duration JitterOf(const ScheduleSettings& settings, absl::Time at) {
  if (settings.jitter <= absl::ZeroDuration()) return absl::ZeroDuration();
  uint64_t hash = 0xcbf29ce484222325ull ^ static_cast<uint64_t>(absl::ToUnixMillis(at));
  for (const char c : settings.name)
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;  // FNV-1a.
  hash ^= hash >> 29;
  hash *= 0xbf58476d1ce4e5b9ull;
  hash ^= hash >> 32;
  return settings.jitter * (static_cast<double>(hash >> 11) / static_cast<double>(1ull << 53));
}

// Times of a scheduled job count from the Unix epoch, until it is created.
std::shared_ptr<JobExtras> ExtrasAt(absl::Time now, const JobExtras* scheduled) {
  if (scheduled == nullptr) return std::make_shared<JobExtras>();
  auto extras = std::make_shared<JobExtras>(*scheduled);
  const absl::Duration shift = now - absl::UnixEpoch();
  extras->start_time += shift;  // The infinite ones stay so.
  extras->expire_time += shift;
  return extras;
}

}  // namespace

void Scheduler::Impl::PutProgress(const ScheduleRecord& schedule, bool whole) {
  PutSchedule put{schedule.settings.owner, schedule.settings.name, {}, schedule.progress, "", 0};
  if (whole) {
    put.record = schedule.settings.record;
    put.request_id = schedule.request_id;
    put.content_hash = schedule.content_hash;
  }
  Put(StoreKind::kDurable, std::move(put));
}

void Scheduler::Impl::PlanNext(ScheduleRecord& schedule, absl::Time after) {
  ScheduleProgress& progress = schedule.progress;
  const std::pair<std::string, std::string> key{schedule.settings.owner, schedule.settings.name};
  fire_times.erase({progress.next_time, key});
  progress.next_time = progress.paused || schedule.settings.cadence == nullptr
                           ? absl::InfiniteFuture()
                           : schedule.settings.cadence->Next(after);
  if (progress.next_time != absl::InfiniteFuture()) fire_times.insert({progress.next_time, key});
}

void Scheduler::Impl::RestoreSchedule(ScheduleImage& image, const Now& now) {
  ScheduleRecord& schedule = schedules[{image.owner, image.name}];
  schedule.settings = std::move(image.settings);
  schedule.progress = std::move(image.progress);
  schedule.request_id = std::move(image.request_id);
  schedule.content_hash = image.content_hash;
  ScheduleProgress& progress = schedule.progress;
  const bool missed = progress.next_time <= now.wall;
  if (progress.paused || (missed && schedule.settings.catch_up == CatchUp::kNone)) {
    PlanNext(schedule, now.wall);
    // Its only time has passed.
    const bool over = !progress.paused && schedule.settings.cadence != nullptr &&
                      progress.next_time == absl::InfiniteFuture();
    if (!over) return;
    Put(StoreKind::kDurable, DropSchedule{image.owner, image.name});
    schedules.erase({image.owner, image.name});
    return;
  }
  if (progress.next_time != absl::InfiniteFuture())
    fire_times.insert({progress.next_time, {image.owner, image.name}});
}

void Scheduler::Impl::On(const Now& now, CreateSchedule& event) {
  const std::pair<std::string, std::string> key{event.settings.owner, event.settings.name};
  const auto found = schedules.find(key);
  absl::Status status;
  if (found != schedules.end()) {
    const bool repeated = found->second.request_id == event.request_id &&
                          found->second.content_hash == event.content_hash;
    if (!repeated) {
      status = MakeError(absl::StatusCode::kAlreadyExists, "SCHEDULE_EXISTS",
                         StrCat("there is a schedule ", event.settings.name));
    }
  } else if (schedules.size() >= options.max_schedules) {
    status = MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                       "there are as many schedules as may be");
  } else {
    ScheduleRecord& schedule = schedules[key];
    schedule.settings = std::move(event.settings);
    schedule.request_id = event.request_id;
    schedule.content_hash = event.content_hash;
    schedule.progress.paused = event.paused;
    schedule.progress.remaining = event.remaining;
    PlanNext(schedule, now.wall);
    PutProgress(schedule, true);
  }
  effects.replies.push_back(
      {event.call, StatusReply{std::move(status)}, Latest(StoreKind::kDurable)});
}

void Scheduler::Impl::On(const Now& now, ChangeSchedule& event) {
  const auto found = schedules.find({event.owner, event.name});
  if (event.what == ChangeSchedule::What::kRun) {
    ForgetOldRequests(now);
    if (AnswerRepeat(event.call, event.request_id, kRunHash, 0)) return;
    if (found == schedules.end()) return RefuseJob(event.call, NoSchedule(event.name));
    auto job = MakeScheduled(now, found->second, event.request_id, absl::InfinitePast(), {});
    if (!job.ok()) return RefuseJob(event.call, job.status());
    ReplyJob(event.call, **job);
    return EndIfDone(now, **job);
  }
  absl::Status status;
  if (found == schedules.end()) {
    // Deleting what is not there is a repeat of a call that was not heard.
    status = NoSchedule(event.name);
  } else if (event.what == ChangeSchedule::What::kDelete) {
    fire_times.erase({found->second.progress.next_time, found->first});
    schedules.erase(found);
    Put(StoreKind::kDurable, DropSchedule{event.owner, event.name});
  } else {
    ScheduleRecord& schedule = found->second;
    const bool paused = event.what == ChangeSchedule::What::kPause;
    if (std::exchange(schedule.progress.paused, paused) != paused) {
      // Not again what has fired, though the clock was set back.
      PlanNext(schedule, std::max(now.wall, schedule.progress.last_time));
      PutProgress(schedule, false);
    }
  }
  effects.replies.push_back(
      {event.call, StatusReply{std::move(status)}, Latest(StoreKind::kDurable)});
}

absl::StatusOr<Job*> Scheduler::Impl::MakeScheduled(const Now& now, ScheduleRecord& schedule,
                                                    const std::string& request_id, absl::Time start,
                                                    JobId behind) {
  CreateJob create = schedule.settings.job;
  create.request_id = request_id;
  create.content_hash = kRunHash;
  const bool later = start > Steady(now);
  if (later || behind || create.options.extras != nullptr) {
    auto extras = ExtrasAt(Steady(now), create.options.extras.get());
    if (later) extras->start_time = std::max(extras->start_time, start);
    if (behind) extras->after.push_back({behind, JobDependency::Condition::kEnd, false, ""});
    create.options.extras = std::move(extras);
  }
  if (absl::Status room = CheckRoom(create); !room.ok()) return room;
  if (Job* taken = FindUnique(create.options); taken != nullptr) {
    if (create.options.extras->unique_policy != UniquePolicy::kReplace) {
      return MakeError(absl::StatusCode::kAlreadyExists, "UNIQUE_KEY_TAKEN",
                       StrCat("job ", taken->id.value, " has its unique key"));
    }
    Replace(now, *taken);
  }
  return MakeJob(now, create);
}

void Scheduler::Impl::FireSchedules(const Now& now) {
  if (draining) return;
  while (!fire_times.empty() && fire_times.begin()->first <= now.wall) {
    const auto [at, key] = *fire_times.begin();
    ScheduleRecord& schedule = schedules.at(key);
    // What has passed besides: while no master was there, or it stood still.
    const int64_t most = options.max_catch_up;
    const FireTimes missed = schedule.settings.cadence->Between(at, now.wall, most);
    absl::Time first = at;
    if (missed.count == 0) {
      schedule.late = 0;
    } else if (schedule.settings.catch_up != CatchUp::kAll ||
               ++schedule.late >= options.max_catch_up) {
      schedule.progress.skipped += static_cast<uint64_t>(missed.count);
      first = missed.last;
    }
    PlanNext(schedule, first);
    Fire(now, schedule, first);
    const bool over = schedule.progress.next_time == absl::InfiniteFuture() ||
                      (schedule.progress.remaining == 0 && schedule.ends);
    if (!over) {
      PutProgress(schedule, false);
      continue;
    }
    fire_times.erase({schedule.progress.next_time, key});
    Put(StoreKind::kDurable, DropSchedule{key.first, key.second});
    schedules.erase(key);
  }
}

void Scheduler::Impl::Fire(const Now& now, ScheduleRecord& schedule, absl::Time at) {
  ScheduleProgress& progress = schedule.progress;
  progress.last_time = at;
  Job* before = progress.last_job ? FindJob(progress.last_job) : nullptr;
  JobId behind;
  if (before != nullptr) {
    switch (schedule.settings.overlap) {
      case Overlap::kSkip:
        if (REEVE_BUG(kOverlapIgnored)) break;
        ++progress.skipped;
        progress.last_error = StrCat("job ", before->id.value, " was unfinished");
        return;
      case Overlap::kQueue: behind = before->id; break;
      case Overlap::kReplace: Replace(now, *before); break;
      case Overlap::kAllow: break;
    }
  }
  const std::string request_id =
      StrCat(schedule.settings.owner, "\t", schedule.settings.name, "\t", absl::ToUnixMillis(at));
  const absl::Duration jitter = JitterOf(schedule.settings, at);
  const absl::Time start =
      jitter > absl::ZeroDuration() ? Steady(now) + (at + jitter - now.wall) : absl::InfinitePast();
  const auto job = MakeScheduled(now, schedule, request_id, start, behind);
  if (!job.ok()) {
    // This time is lost; the next one, and other schedules, are not.
    ++progress.skipped;
    progress.last_error = ToStd(job.status().message());
    return;
  }
  progress.last_error.clear();
  progress.last_job = (*job)->id;
  ++progress.fired;
  schedule.ends = progress.remaining > 0;
  if (progress.remaining > 0) --progress.remaining;
  EndIfDone(now, **job);
}

std::vector<ScheduleView> Scheduler::ListSchedules() const {
  std::vector<ScheduleView> views;
  for (const auto& [key, schedule] : impl_->schedules)
    views.push_back({schedule.settings, schedule.progress});
  return views;
}

std::optional<ScheduleView> Scheduler::FindSchedule(const std::string& owner,
                                                    const std::string& name) const {
  const auto found = impl_->schedules.find({owner, name});
  if (found == impl_->schedules.end()) return std::nullopt;
  return ScheduleView{found->second.settings, found->second.progress};
}

}  // namespace reeve
