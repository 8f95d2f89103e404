#include "client/commands/schedules.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/duration.h"
#include "client/input/point_in_time.h"
#include "client/output/table.h"
#include "reeve/v1/schedule.pb.h"

namespace reeve {
namespace {

constexpr size_t kNameWidth = 64, kWhenWidth = 60, kErrorWidth = 500;

absl::Status SetDuration(std::string_view option, const std::string& text,
                         google::protobuf::Duration* out) {
  const auto duration = ParseDurationOption(option, text);
  if (!duration.ok()) return duration.status();
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(*duration, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return absl::OkStatus();
}

absl::Status SetAt(const ScheduleOptions& options, google::protobuf::Timestamp* out) {
  absl::TimeZone zone = absl::LocalTimeZone();
  if (!options.zone.empty() && !absl::LoadTimeZone(options.zone, &zone))
    return UsageError(StrCat("--tz '", options.zone, "' is no time zone; give e.g. Europe/Prague"));
  const auto at = ParsePointInTime("--at", options.at, zone, absl::Now());
  if (!at.ok()) return at.status();
  out->set_seconds(absl::ToUnixSeconds(*at));
  out->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(*at - absl::FromUnixSeconds(out->seconds()))));
  return absl::OkStatus();
}

absl::Status SetCadence(const ScheduleOptions& options, v1::Schedule* schedule) {
  const int ways = !options.cron.empty() + !options.every.empty() + !options.at.empty();
  if (ways != 1) return UsageError("say when: one of --cron, --every and --at");
  if (!options.every.empty()) {
    if (!options.zone.empty()) return UsageError("--tz goes with --cron and --at");
    return SetDuration("--every", options.every, schedule->mutable_every());
  }
  if (!options.at.empty()) return SetAt(options, schedule->mutable_at());
  for (const std::string* text : {&options.cron, &options.zone}) {
    if (!IsUtf8(*text)) return UsageError("--cron, --tz: not UTF-8");
  }
  schedule->set_cron(options.cron);
  schedule->set_time_zone(options.zone);
  return absl::OkStatus();
}

absl::Status SetPolicies(const ScheduleOptions& options, v1::Schedule* schedule) {
  v1::Schedule::Overlap overlap = v1::Schedule::OVERLAP_UNSPECIFIED;
  if (!options.overlap.empty() &&
      (!v1::Schedule::Overlap_Parse(absl::AsciiStrToUpper(options.overlap), &overlap) ||
       overlap == v1::Schedule::OVERLAP_UNSPECIFIED))
    return UsageError(StrCat("--overlap '", options.overlap, "': skip, queue, replace or allow"));
  schedule->set_overlap(overlap);
  v1::Schedule::CatchUp catch_up = v1::Schedule::CATCH_UP_UNSPECIFIED;
  if (!options.catch_up.empty() &&
      (!v1::Schedule::CatchUp_Parse(absl::AsciiStrToUpper(options.catch_up), &catch_up) ||
       catch_up == v1::Schedule::CATCH_UP_UNSPECIFIED))
    return UsageError(StrCat("--catch-up '", options.catch_up, "': none, last or all"));
  schedule->set_catch_up(catch_up);
  schedule->set_remaining_count(options.count);
  schedule->set_paused(options.paused);
  if (options.jitter.empty()) return absl::OkStatus();
  return SetDuration("--jitter", options.jitter, schedule->mutable_jitter());
}

absl::StatusOr<v1::CreateScheduleRequest> BuildRequest(Session& session,
                                                       const ScheduleOptions& options) {
  v1::CreateScheduleRequest request;
  request.set_request_id(options.tasks.request_id);
  v1::Schedule* schedule = request.mutable_schedule();
  if (!IsUtf8(options.name)) return UsageError("the name is not UTF-8");
  schedule->set_name(options.name);
  if (const absl::Status status = SetCadence(options, schedule); !status.ok()) return status;
  if (const absl::Status status = SetPolicies(options, schedule); !status.ok()) return status;
  auto job = BuildWholeJob(session, options.tasks);
  if (!job.ok()) return job.status();
  *schedule->mutable_spec() = std::move(*job->mutable_spec());
  // Its jobs are found by the name of the schedule.
  if (schedule->spec().name().empty()) schedule->mutable_spec()->set_name(options.name);
  if (job->has_array()) {
    *schedule->mutable_array() = job->array();
  } else {
    *schedule->mutable_batch() = std::move(*job->mutable_batch());
  }
  return request;
}

absl::TimeZone ZoneOf(const v1::Schedule& schedule) {
  absl::TimeZone zone = absl::LocalTimeZone();
  if (!schedule.cron().empty()) zone = absl::UTCTimeZone();
  // One that this machine does not know is shown in UTC; the offset stands with each time.
  if (!schedule.time_zone().empty() && !absl::LoadTimeZone(schedule.time_zone(), &zone))
    zone = absl::UTCTimeZone();
  return zone;
}

std::string TimeText(const google::protobuf::Timestamp& time, absl::TimeZone zone) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E*S %Ez", ToTime(time), zone);
}

// `0 3 * * * Europe/Prague`, `every 2s`, `at 2026-12-24 18:00:00 +01:00`.
std::string WhenText(const v1::Schedule& schedule) {
  if (schedule.has_every()) {
    return StrCat("every ", absl::FormatDuration(absl::Seconds(schedule.every().seconds()) +
                                                 absl::Nanoseconds(schedule.every().nanos())));
  }
  if (schedule.has_at()) return StrCat("at ", TimeText(schedule.at(), ZoneOf(schedule)));
  return Printable(
      StrCat(schedule.cron(), " ", schedule.time_zone().empty() ? "UTC" : schedule.time_zone()),
      kWhenWidth);
}

std::string NextOf(const v1::Schedule& schedule) {
  if (schedule.paused()) return "paused";
  return schedule.has_next_time() ? TimeText(schedule.next_time(), ZoneOf(schedule)) : "never";
}

std::string ListText(const v1::ListSchedulesResponse& schedules) {
  Table table({"SCHEDULE", "WHEN", "NEXT", "LAST JOB", "FIRED", "SKIPPED", "OWNER"});
  for (const v1::Schedule& schedule : schedules.schedules()) {
    table.Add({Printable(schedule.name(), kNameWidth), WhenText(schedule), NextOf(schedule),
               schedule.last_job_id() == 0 ? "-" : StrCat(schedule.last_job_id()),
               StrCat(schedule.fired_count()), StrCat(schedule.skipped_count()),
               Printable(schedule.owner(), kNameWidth)});
  }
  return table.ToString();
}

// `SKIP` as a person writes it: `skip`. Values that this client does not know are numbers.
std::string Word(const std::string& name, int value) {
  return name.empty() ? StrCat(value) : absl::AsciiStrToLower(name);
}

std::string Describe(const v1::Schedule& schedule) {
  std::string text = StrCat("schedule    ", Printable(schedule.name(), kNameWidth), "\n");
  StrAppend(&text, "owner       ", Printable(schedule.owner(), kNameWidth), "\n");
  StrAppend(&text, "when        ", WhenText(schedule), "\n");
  StrAppend(&text, "next        ", NextOf(schedule), "\n");
  if (schedule.has_jitter()) {
    StrAppend(&text, "jitter      up to ",
              HumanDuration(absl::Seconds(schedule.jitter().seconds()) +
                            absl::Nanoseconds(schedule.jitter().nanos())),
              "\n");
  }
  StrAppend(&text, "overlap     ",
            Word(v1::Schedule::Overlap_Name(schedule.overlap()), schedule.overlap()), "\n");
  StrAppend(&text, "catch up    ",
            Word(v1::Schedule::CatchUp_Name(schedule.catch_up()), schedule.catch_up()), "\n");
  if (schedule.remaining_count() > 0)
    StrAppend(&text, "remaining   ", schedule.remaining_count(), "\n");
  StrAppend(&text, "handler     ", Printable(schedule.spec().handler(), kNameWidth), "\n");
  StrAppend(&text, "created     ", Ago(schedule.create_time()), "\n");
  if (schedule.has_last_time()) {
    StrAppend(&text, "last        ", TimeText(schedule.last_time(), ZoneOf(schedule)));
    if (schedule.last_job_id() != 0) StrAppend(&text, ": job ", schedule.last_job_id());
    text += '\n';
  }
  StrAppend(&text, "fired       ", schedule.fired_count(), ", skipped ", schedule.skipped_count(),
            "\n");
  if (!schedule.last_error().empty())
    StrAppend(&text, "last error  ", Printable(schedule.last_error(), kErrorWidth), "\n");
  return text;
}

// A request that names a schedule.
template <typename Request>
absl::StatusOr<Request> Named(const ScheduleName& schedule) {
  if (!IsUtf8(schedule.name) || !IsUtf8(schedule.owner))
    return UsageError("the name or --owner is not UTF-8");
  Request request;
  request.set_name(schedule.name);
  request.set_owner(schedule.owner);
  return request;
}

// Calls `method` of the client with a request that names `schedule`.
template <typename Request, typename Method>
auto CallNamed(Session& session, const ScheduleName& schedule, Method method)
    -> decltype((std::declval<JobClient>().*method)(std::declval<Request>())) {
  auto request = Named<Request>(schedule);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  return ((*client)->*method)(*std::move(request));
}

}  // namespace

absl::StatusOr<int> RunScheduleCreate(Session& session, const ScheduleOptions& options) {
  auto request = BuildRequest(session, options);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto schedule = (*client)->CreateSchedule(*std::move(request));
  if (!schedule.ok()) return schedule.status();
  session.Print(*schedule, StrCat(Printable(schedule->name(), kNameWidth), ": ",
                                  WhenText(*schedule), "; next: ", NextOf(*schedule), "\n"));
  return kExitOk;
}

absl::StatusOr<int> RunScheduleList(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto schedules = (*client)->ListSchedules();
  if (!schedules.ok()) return schedules.status();
  session.Print(*schedules, ListText(*schedules));
  return kExitOk;
}

absl::StatusOr<int> RunScheduleGet(Session& session, const ScheduleName& name) {
  const auto schedule = CallNamed<v1::GetScheduleRequest>(session, name, &JobClient::GetSchedule);
  if (!schedule.ok()) return schedule.status();
  session.Print(*schedule, Describe(*schedule));
  return kExitOk;
}

absl::StatusOr<int> RunSchedulePause(Session& session, const ScheduleName& name) {
  const auto schedule =
      CallNamed<v1::PauseScheduleRequest>(session, name, &JobClient::PauseSchedule);
  if (!schedule.ok()) return schedule.status();
  session.Print(*schedule, StrCat(Printable(schedule->name(), kNameWidth), " is paused\n"));
  return kExitOk;
}

absl::StatusOr<int> RunScheduleResume(Session& session, const ScheduleName& name) {
  const auto schedule =
      CallNamed<v1::ResumeScheduleRequest>(session, name, &JobClient::ResumeSchedule);
  if (!schedule.ok()) return schedule.status();
  session.Print(*schedule, StrCat(Printable(schedule->name(), kNameWidth),
                                  " goes on; next: ", NextOf(*schedule), "\n"));
  return kExitOk;
}

absl::StatusOr<int> RunScheduleRun(Session& session, const ScheduleName& name) {
  const auto job = CallNamed<v1::RunScheduleRequest>(session, name, &JobClient::RunSchedule);
  if (!job.ok()) return job.status();
  session.Print(*job, StrCat(job->job_id(), "\n"));
  session.console().Note(StrCat("made; next: ", session.Command(), " wait ", job->job_id()));
  return kExitOk;
}

absl::StatusOr<int> RunScheduleNext(Session& session, const ScheduleName& name, uint32_t count) {
  auto request = Named<v1::ListFireTimesRequest>(name);
  if (!request.ok()) return request.status();
  request->set_count(count);
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto times = (*client)->ListFireTimes(*request);
  if (!times.ok()) return times.status();
  // For its time zone.
  const auto schedule = CallNamed<v1::GetScheduleRequest>(session, name, &JobClient::GetSchedule);
  if (!schedule.ok()) return schedule.status();
  std::string text;
  for (const google::protobuf::Timestamp& time : times->times())
    StrAppend(&text, TimeText(time, ZoneOf(*schedule)), "\n");
  session.Print(*times, text);
  if (times->times().empty()) session.console().Note("there is no further fire time");
  if (schedule->paused())
    session.console().Note(StrCat("it is paused; ", session.Command(), " schedule resume ",
                                  Printable(name.name, kNameWidth), " lets it fire"));
  return kExitOk;
}

absl::StatusOr<int> RunScheduleDelete(Session& session, const ScheduleName& name) {
  const absl::Status status =
      CallNamed<v1::DeleteScheduleRequest>(session, name, &JobClient::DeleteSchedule);
  if (!status.ok()) return status;
  session.console().Note(StrCat("deleted ", Printable(name.name, kNameWidth), "; its jobs go on"));
  return kExitOk;
}

}  // namespace reeve
