#include "master/service/validate_extras.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/label.h"
#include "base/strings.h"
#include "master/service/label_terms.h"
#include "master/service/task_keys.h"

namespace reeve {
namespace {

constexpr uint32_t kMaxRate = 1'000'000;
constexpr double kBurstOfTwo = 20;  // Starts per second from which two may follow at once.
constexpr int kMaxExitCodes = 256;
constexpr int kMaxLabels = 64;
constexpr int kMaxResources = 16;
constexpr double kMaxResource = 1e15;
constexpr int kMaxAfter = 1'000;
constexpr size_t kMaxUniqueKeyBytes = 200;
constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kYear = absl::Hours(24 * 365);

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

bool IsWord(std::string_view s, std::string_view others, bool upper) {
  for (const char c : s) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      (upper && c >= 'A' && c <= 'Z') || others.find(c) != std::string_view::npos;
    if (!word) return false;
  }
  return !s.empty() && s.size() <= 64;
}

absl::Status TakeRetry(const v1::RetryPolicy& policy, RetryRules* rules) {
  constexpr std::string_view kBounds = "1 ms to 1 day";
  if (policy.has_first_backoff()) {
    const auto first = ToDuration("spec.retry.first_backoff", policy.first_backoff(),
                                  absl::Milliseconds(1), kDay, kBounds);
    if (!first.ok()) return first.status();
    rules->first_backoff = *first;
    rules->max_backoff = std::max(rules->max_backoff, *first);
  }
  if (policy.has_max_backoff()) {
    const auto most = ToDuration("spec.retry.max_backoff", policy.max_backoff(),
                                 absl::Milliseconds(1), kDay, kBounds);
    if (!most.ok()) return most.status();
    if (*most < rules->first_backoff) return Bad("spec.retry.max_backoff: at least first_backoff");
    rules->max_backoff = *most;
  }
  if (policy.exit_codes_size() > kMaxExitCodes) return Bad("spec.retry.exit_codes: at most 256");
  for (const uint32_t code : policy.exit_codes()) {
    if (code < 1 || code > 255) return Bad("spec.retry.exit_codes: 1 to 255");
    rules->exit_codes.push_back(code);
  }
  std::set<int> reasons;
  for (const int reason : policy.reasons()) {
    if (reason == v1::Task::REASON_UNSPECIFIED || !v1::Task::Reason_IsValid(reason))
      return Bad("spec.retry.reasons: not a reason");
    if (reasons.insert(reason).second) rules->reasons.push_back(static_cast<Reason>(reason));
  }
  return absl::OkStatus();
}

// One of an absolute time and one that counts from now, or none.
absl::StatusOr<absl::Time> OneTime(std::string_view name, bool has_time,
                                   const google::protobuf::Timestamp& time,
                                   std::string_view relative_name, bool has_relative,
                                   const google::protobuf::Duration& relative, const SpecUse& use,
                                   absl::Time none) {
  if (has_time && has_relative) return Bad(StrCat(name, ": not together with ", relative_name));
  if (has_time && !use.schedule.empty())
    return Bad(StrCat(name, ": not in a schedule, give ", relative_name));
  if (has_time) return ToTime(name, time, use.now);
  if (!has_relative) return none;
  const auto after =
      ToDuration(relative_name, relative, absl::ZeroDuration(), kTenYears, "0 to 10 years");
  if (!after.ok()) return after.status();
  return use.now + *after;
}

absl::Status TakeTimes(const v1::JobSpec& spec, const SpecUse& use, JobExtras* extras) {
  const auto start =
      OneTime("spec.start_time", spec.has_start_time(), spec.start_time(), "spec.delay",
              spec.has_delay(), spec.delay(), use, absl::InfinitePast());
  if (!start.ok()) return start.status();
  const auto expire =
      OneTime("spec.expire_time", spec.has_expire_time(), spec.expire_time(), "spec.deadline",
              spec.has_deadline(), spec.deadline(), use, absl::InfiniteFuture());
  if (!expire.ok()) return expire.status();
  if (*expire <= *start) return Bad("spec.expire_time: after the start time");
  extras->start_time = *start;
  extras->expire_time = *expire;
  if (spec.has_soft_time_limit()) {
    const auto soft = ToDuration("spec.soft_time_limit", spec.soft_time_limit(),
                                 absl::Nanoseconds(1), kTenYears, "positive, at most 10 years");
    if (!soft.ok()) return soft.status();
    const absl::Duration hard =
        absl::Seconds(spec.time_limit().seconds()) + absl::Nanoseconds(spec.time_limit().nanos());
    if (spec.has_time_limit() && hard <= *soft)
      return Bad("spec.soft_time_limit: shorter than time_limit");
  }
  if (!spec.has_close_when_idle()) return absl::OkStatus();
  if (!use.is_open) return Bad("spec.close_when_idle: only with `open`");
  const auto idle = ToDuration("spec.close_when_idle", spec.close_when_idle(), absl::Seconds(1),
                               kYear, "1 s to 1 year");
  if (!idle.ok()) return idle.status();
  extras->close_when_idle = *idle;
  return absl::OkStatus();
}

absl::Status CheckLabels(const v1::JobSpec& spec) {
  if (spec.labels_size() > kMaxLabels) return Bad("spec.labels: at most 64");
  for (const auto& [name, value] : spec.labels()) {
    if (!IsLabelName(name)) {
      return Bad("spec.labels: a name is 1 to 63 characters of a-z, A-Z, 0-9, `.`, `_`, `-`, `/`");
    }
    if (!IsLabelValue(value))
      return Bad(StrCat("spec.labels: the value of ", name,
                        " is over 63 bytes, or has control characters"));
  }
  return absl::OkStatus();
}

absl::Status TakeUniqueKey(const v1::JobSpec& spec, JobExtras* extras) {
  if (!v1::JobSpec::UniquePolicy_IsValid(spec.unique_policy()))
    return Bad("spec.unique_policy: unknown value");
  for (const char c : spec.unique_key()) {
    if (c < 0x20 || c > 0x7e) return Bad("spec.unique_key: 1 to 200 printable ASCII characters");
  }
  if (spec.unique_key().size() > kMaxUniqueKeyBytes)
    return Bad("spec.unique_key: 1 to 200 printable ASCII characters");
  if (spec.unique_key().empty()) {
    return spec.unique_policy() == v1::JobSpec::UNIQUE_POLICY_UNSPECIFIED
               ? absl::OkStatus()
               : Bad("spec.unique_policy: only with unique_key");
  }
  extras->unique_key = spec.unique_key();
  if (spec.unique_policy() != v1::JobSpec::UNIQUE_POLICY_UNSPECIFIED)
    extras->unique_policy = static_cast<UniquePolicy>(spec.unique_policy());
  return absl::OkStatus();
}

absl::Status TakeTaskKey(const v1::JobSpec& spec, JobExtras* extras) {
  if (!spec.has_task_key()) return absl::OkStatus();
  if (!IsTaskKeyPath(spec.task_key().path()))
    return Bad(
        "spec.task_key.path: `.`, `@host`, or names with a dot before each as in `.host` or "
        "`.a.b`");
  const auto rate = ToRate("spec.task_key.rate", spec.task_key().rate());
  if (!rate.ok()) return rate.status();
  extras->keyed = true;
  extras->key_max_in_flight = spec.task_key().max_in_flight();
  extras->key_rate = *rate;
  return absl::OkStatus();
}

absl::Status TakePlacement(const v1::JobSpec& spec, JobExtras* extras) {
  if (spec.resources_size() > kMaxResources) return Bad("spec.resources: at most 16");
  for (const auto& [name, amount] : spec.resources()) {
    if (!IsWord(name, "._-", false) || name.size() > 63)
      return Bad("spec.resources: a name is 1 to 63 characters of a-z, 0-9, `.`, `_` and `-`");
    if (!(amount >= 0.001 && amount <= kMaxResource))
      return Bad(StrCat("spec.resources: ", name, ": 0.001 to 10^15"));
    extras->resources[name] = std::llround(amount * 1000);
  }
  auto selector = ParseLabelTerms("spec.worker_selector", spec.worker_selector());
  if (!selector.ok()) return selector.status();
  for (const LabelTerm& term : *selector) {
    if (!IsLabel(term.name, ""))
      return Bad(StrCat("spec.worker_selector: no worker has a label `", term.name, "`"));
  }
  extras->selector = *std::move(selector);
  if (!v1::JobSpec::Placement_IsValid(spec.placement()))
    return Bad("spec.placement: unknown value");
  extras->pack = spec.placement() == v1::JobSpec::PACK;
  return absl::OkStatus();
}

absl::StatusOr<JobId> IdOf(const v1::Dependency& dependency, const SpecUse& use) {
  if ((dependency.job_id() == 0) == (dependency.position() == 0))
    return Bad("spec.after: each has a job_id, or within CreateJobs a position");
  if (dependency.position() == 0) {
    if ((dependency.job_id() & CreateJobs::kPlaceBit) != 0)
      return Bad("spec.after.job_id: not a job's");
    return JobId(dependency.job_id());
  }
  if (dependency.position() >= use.place)
    return Bad("spec.after.position: that of a job before this one, from 1");
  return JobId(CreateJobs::kPlaceBit | dependency.position());
}

absl::Status TakeDependencies(const v1::JobSpec& spec, const SpecUse& use, JobExtras* extras) {
  if (!v1::JobSpec::IfUnmet_IsValid(spec.if_unmet())) return Bad("spec.if_unmet: unknown value");
  if (spec.after_size() > kMaxAfter) return Bad("spec.after: at most 1,000");
  if (!use.schedule.empty() && spec.after_size() > 0) return Bad("spec.after: not in a schedule");
  extras->skip_if_unmet = spec.if_unmet() == v1::JobSpec::SKIP && spec.after_size() > 0;
  std::set<JobId> jobs;
  std::set<std::string> names;
  for (const v1::Dependency& dependency : spec.after()) {
    const auto job = IdOf(dependency, use);
    if (!job.ok()) return job.status();
    if (!jobs.insert(*job).second) return Bad("spec.after: the same job twice");
    if (!v1::Dependency::Condition_IsValid(dependency.condition()))
      return Bad("spec.after.condition: unknown value");
    if (!dependency.name().empty() && !IsWord(dependency.name(), "_-", true))
      return Bad("spec.after.name: 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`");
    if (!dependency.name().empty() && !names.insert(dependency.name()).second)
      return Bad(StrCat("spec.after.name: two are called ", dependency.name()));
    JobDependency& taken = extras->after.emplace_back();
    taken.job = *job;
    if (dependency.condition() != v1::Dependency::CONDITION_UNSPECIFIED)
      taken.condition = static_cast<JobDependency::Condition>(dependency.condition());
    taken.results = dependency.results();
    taken.name = dependency.name();
  }
  return absl::OkStatus();
}

absl::Status TakeStopRule(const v1::StopRule& stop, StopRule* rule) {
  if (stop.max_failure_percent() > 99) return Bad("spec.stop.max_failure_percent: 1 to 99");
  *rule = {stop.max_failures(), stop.max_failure_percent(), stop.first_success(),
           stop.let_running_end()};
  return absl::OkStatus();
}

}  // namespace

bool IsQueueName(std::string_view name) { return IsWord(name, "._-", true); }

absl::StatusOr<absl::Duration> ToDuration(std::string_view field,
                                          const google::protobuf::Duration& duration,
                                          absl::Duration least, absl::Duration most,
                                          std::string_view bounds) {
  constexpr int64_t kMostSeconds = 315'576'000'000;
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  const absl::Duration value = absl::Seconds(seconds) + absl::Nanoseconds(nanos);
  // Also what google.protobuf.Duration itself allows: a job with another could not be shown.
  if (seconds < 0 || seconds > kMostSeconds || nanos < 0 || nanos > 999'999'999 || value < least ||
      value > most) {
    return Bad(StrCat(field, ": ", bounds));
  }
  return value;
}

absl::StatusOr<absl::Time> ToTime(std::string_view field,
                                  const google::protobuf::Timestamp& timestamp, absl::Time now) {
  constexpr int64_t kYear1 = -62'135'596'800, kYear10000 = 253'402'300'800;
  const int64_t seconds = timestamp.seconds();
  const int32_t nanos = timestamp.nanos();
  if (seconds < kYear1 || seconds >= kYear10000 || nanos < 0 || nanos > 999'999'999)
    return Bad(StrCat(field, ": not a time"));
  const absl::Time time = absl::FromUnixSeconds(seconds) + absl::Nanoseconds(nanos);
  if (time > now + kTenYears) return Bad(StrCat(field, ": at most 10 years ahead"));
  return time;
}

absl::StatusOr<Rate> ToRate(std::string_view field, const v1::Rate& message) {
  Rate rate;
  if (message.count() == 0) return rate;
  if (message.count() > kMaxRate) return Bad(StrCat(field, ".count: 1 to 1,000,000"));
  rate.count = message.count();
  if (message.has_per()) {
    const auto per = ToDuration(StrCat(field, ".per"), message.per(), absl::Milliseconds(1), kDay,
                                "1 ms to 1 day");
    if (!per.ok()) return per.status();
    rate.per = *per;
  }
  if (message.burst() > kMaxRate) return Bad(StrCat(field, ".burst: 1 to 1,000,000"));
  const double per_second = rate.count / absl::ToDoubleSeconds(rate.per);
  rate.burst = message.burst() > 0 ? message.burst() : per_second >= kBurstOfTwo ? 2 : 1;
  return rate;
}

absl::Status TakeExtras(const v1::JobSpec& spec, const SpecUse& use, JobOptions* options) {
  if (!spec.queue().empty() && !IsQueueName(spec.queue()))
    return Bad("spec.queue: 1 to 64 characters of a-z, A-Z, 0-9, `.`, `_` and `-`");
  if (spec.queue() != kDefaultQueue) options->queue = spec.queue();
  JobExtras extras;
  absl::Status status = TakeRetry(spec.retry(), &extras.retry);
  if (status.ok()) status = TakeTimes(spec, use, &extras);
  if (status.ok()) status = CheckLabels(spec);
  if (status.ok()) status = TakeUniqueKey(spec, &extras);
  if (status.ok()) status = TakeTaskKey(spec, &extras);
  if (status.ok()) status = TakePlacement(spec, &extras);
  if (status.ok()) status = TakeDependencies(spec, use, &extras);
  if (status.ok()) status = TakeStopRule(spec.stop(), &extras.stop);
  if (!status.ok()) return status;
  if (extras != JobExtras{}) options->extras = std::make_shared<const JobExtras>(std::move(extras));
  return absl::OkStatus();
}

}  // namespace reeve
