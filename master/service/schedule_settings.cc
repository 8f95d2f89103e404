#include "master/service/schedule_settings.h"

#include <memory>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "master/access/principal.h"
#include "master/schedules/cadence.h"
#include "master/service/convert.h"
#include "master/service/validate.h"
#include "master/service/validate_extras.h"

namespace reeve {
namespace {

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

absl::StatusOr<Cadence> CadenceOf(const v1::Schedule& schedule, absl::Time now) {
  if (!schedule.time_zone().empty() && !schedule.has_cron())
    return Bad("schedule.time_zone: only with cron");
  switch (schedule.cadence_case()) {
    case v1::Schedule::kCron: return Cadence::Cron(schedule.cron(), schedule.time_zone());
    case v1::Schedule::kEvery: {
      const auto every = ToDuration("schedule.every", schedule.every(), kMinScheduleInterval,
                                    kMaxScheduleInterval, "100 ms to 10 years");
      if (!every.ok()) return every.status();
      return Cadence::Every(*every, now);
    }
    case v1::Schedule::kAt: {
      const auto at = ToTime("schedule.at", schedule.at(), now);
      if (!at.ok()) return at.status();
      if (*at <= now) return Bad("schedule.at: in the future");
      return Cadence::Once(*at);
    }
    default: return Bad("schedule.cadence: one of cron, every and at");
  }
}

v1::CreateJobRequest JobOf(v1::Schedule* schedule) {
  v1::CreateJobRequest request;
  if (schedule->has_spec()) *request.mutable_spec() = schedule->spec();
  if (schedule->has_array()) *request.mutable_array() = schedule->array();
  if (schedule->has_batch()) *request.mutable_batch() = schedule->batch();
  return request;
}

}  // namespace

absl::StatusOr<ScheduleSettings> ToSettings(v1::Schedule schedule, const std::string& owner,
                                            absl::Time now) {
  ScheduleSettings settings;
  now = absl::FromUnixMicros(absl::ToUnixMicros(now));  // As a restart reads it.
  if (!IsQueueName(schedule.name()))
    return Bad("schedule.name: 1 to 64 characters of a-z, A-Z, 0-9, `.`, `_` and `-`");
  auto cadence = CadenceOf(schedule, now);
  if (!cadence.ok()) return cadence.status();
  if (!v1::Schedule::Overlap_IsValid(schedule.overlap()))
    return Bad("schedule.overlap: unknown value");
  if (!v1::Schedule::CatchUp_IsValid(schedule.catch_up()))
    return Bad("schedule.catch_up: unknown value");
  const auto jitter = ToDuration("schedule.jitter", schedule.jitter(), absl::ZeroDuration(),
                                 absl::Hours(24), "at most 1 day");
  if (!jitter.ok()) return jitter.status();
  auto job = ValidateScheduledJob(JobOf(&schedule), schedule.name(), owner);
  if (!job.ok()) return job.status();
  settings.name = schedule.name();
  settings.owner = owner;
  settings.cadence = std::make_shared<const Cadence>(*std::move(cadence));
  if (schedule.overlap() != v1::Schedule::OVERLAP_UNSPECIFIED)
    settings.overlap = static_cast<Overlap>(schedule.overlap());
  if (schedule.catch_up() != v1::Schedule::CATCH_UP_UNSPECIFIED)
    settings.catch_up = static_cast<CatchUp>(schedule.catch_up());
  settings.jitter = *jitter;
  settings.job = *std::move(job);
  *schedule.mutable_create_time() = ToProto(now);
  settings.record = Buffer(schedule.SerializeAsString());
  return settings;
}

void RestoreSettings(ScheduleImage* image) {
  v1::Schedule schedule;
  schedule.ParseFromArray(image->record.view().data(), static_cast<int>(image->record.size()));
  const absl::Time created = absl::FromUnixSeconds(schedule.create_time().seconds()) +
                             absl::Nanoseconds(schedule.create_time().nanos());
  auto settings = ToSettings(std::move(schedule), image->owner, created);
  if (settings.ok()) {
    image->settings = *std::move(settings);
  } else {
    REEVE_LOG_ERROR("a schedule cannot be read and fires nothing schedule={} owner={} why={}",
                    image->name, image->owner, settings.status().ToString());
    image->settings.name = image->name;
    image->settings.owner = image->owner;
  }
  image->settings.record = image->record;
}

void ToProto(const ScheduleView& view, v1::Schedule* schedule) {
  const Buffer& record = view.settings.record;
  schedule->ParseFromArray(record.view().data(), static_cast<int>(record.size()));
  const ScheduleProgress& progress = view.progress;
  schedule->set_name(view.settings.name);
  schedule->set_owner(view.settings.owner.empty() ? kRootPrincipal : view.settings.owner);
  schedule->set_paused(progress.paused);
  schedule->set_remaining_count(progress.remaining);
  schedule->clear_next_time();
  schedule->clear_last_time();
  if (progress.next_time != absl::InfiniteFuture())
    *schedule->mutable_next_time() = ToProto(progress.next_time);
  if (progress.last_time != absl::InfinitePast())
    *schedule->mutable_last_time() = ToProto(progress.last_time);
  schedule->set_last_job_id(progress.last_job.value);
  schedule->set_fired_count(progress.fired);
  schedule->set_skipped_count(progress.skipped);
  schedule->set_last_error(progress.last_error);
}

}  // namespace reeve
