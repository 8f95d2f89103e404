#include "tests/simulation/asks.h"

#include <algorithm>
#include <sstream>

#include "master/schedules/cadence.h"
#include "tests/simulation/random.h"

namespace reeve::sim {
namespace {

constexpr uint32_t kRetriedExit = 75;

}  // namespace

bool HasExtras(const Asks& asks) {
  return asks.keys > 0 || !asks.resources.empty() || !asks.selector.empty() || asks.pack ||
         !asks.after.empty() || asks.stop != StopRule() || asks.start_at > 0 ||
         asks.expire_at > 0 || !asks.unique_key.empty() || asks.retry_rules || asks.idle_close ||
         asks.retries >= 0;
}

void SetOptions(const JobPlan& plan, JobOptions* options) {
  const Asks& asks = plan.asks;
  options->handler = "work";
  options->max_attempts = plan.max_attempts;
  options->at_most_once = plan.at_most_once;
  options->exclusive = plan.exclusive;
  options->ephemeral = plan.ephemeral;
  options->max_in_flight = plan.max_in_flight;
  options->accepts_inputs = plan.nodes > 0;
  options->max_tasks = plan.max_tasks;
  options->queue = asks.queue;
  options->owner = asks.owner;
  options->priority = asks.priority;
  if (!HasExtras(asks)) return;
  auto extras = std::make_shared<JobExtras>();
  extras->keyed = asks.keys > 0;
  extras->key_max_in_flight = asks.key_max_in_flight;
  extras->key_rate = asks.key_rate;
  extras->resources = asks.resources;
  extras->selector = asks.selector;
  extras->pack = asks.pack;
  extras->skip_if_unmet = asks.skip_if_unmet;
  extras->stop = asks.stop;
  if (asks.start_at > 0) extras->start_time = WallAt(asks.start_at);
  if (asks.expire_at > 0) extras->expire_time = WallAt(asks.expire_at);
  extras->unique_key = asks.unique_key;
  extras->unique_policy = asks.unique_policy;
  if (asks.retry_rules) {
    extras->retry.exit_codes = {kRetriedExit};
    extras->retry.reasons = {Reason::kTimeout};
    extras->retry.first_backoff = absl::Milliseconds(200);
    extras->retry.max_backoff = absl::Seconds(2);
  }
  if (asks.idle_close) extras->close_when_idle = absl::Seconds(3);
  options->extras = std::move(extras);
}

uint64_t TaskKeyOf(const Asks& asks, uint64_t nth) { return 1 + Mix(nth, 9) % asks.keys; }

Resources ResourcesOf(const SimConfig& config, uint32_t worker) {
  return {{"cpus", 500 * config.slots}, {"licence", worker % 2 == 0 ? 1000 : 2000}};
}

std::map<std::string, std::string> LabelsOf(uint32_t worker) {
  return {{"zone", worker % 2 == 0 ? "a" : "b"}};
}

std::string ScheduleName(uint32_t plan) { return "schedule-" + std::to_string(plan); }

uint64_t JobKey(const SimConfig& config, uint32_t plan) {
  return (Mix(config.seed, 100 + plan) & ~0xffull) | plan;
}

ScheduleSettings SettingsOf(const SimConfig& config, const std::string& schedule) {
  const auto nth = static_cast<uint32_t>(std::stoul(schedule.substr(schedule.rfind('-') + 1)));
  const SchedulePlan& plan = config.schedules[nth];
  ScheduleSettings settings;
  settings.name = schedule;
  settings.owner = kOwner;
  settings.cadence = std::make_shared<const Cadence>(
      *Cadence::Every(absl::Microseconds(plan.every), WallAt(plan.at)));
  settings.overlap = plan.overlap;
  settings.catch_up = plan.catch_up;
  settings.jitter = absl::Microseconds(plan.jitter);
  settings.record = Buffer("schedule");
  const uint64_t key = JobKey(config, plan.job);
  const JobPlan& job = config.jobs[plan.job];
  SetOptions(job, &settings.job.options);
  settings.job.record = Buffer(std::string(reinterpret_cast<const char*>(&key), sizeof key));
  settings.job.array_count = job.count;
  return settings;
}

const SchedulePlan* ScheduleOf(const SimConfig& config, const std::string& request,
                               absl::Time* at) {
  const size_t name = request.find('\t'), time = request.rfind('\t');
  if (name == std::string::npos || name == time) return nullptr;
  *at = absl::FromUnixMillis(std::stoll(request.substr(time + 1)));
  const std::string given = request.substr(name + 1, time - name - 1);
  return &config.schedules[std::stoul(given.substr(given.rfind('-') + 1))];
}

FailedEntry FailureOf(const JobPlan& plan, uint64_t value, uint32_t attempt, uint32_t begun) {
  FailedEntry failure;
  failure.reason = Reason::kHandlerError;
  if (!plan.asks.retry_rules) return failure;
  const uint64_t hash = Mix(value, 40 + attempt);
  failure.reason = hash % 3 == 0 ? Reason::kTimeout : Reason::kExitNonzero;
  failure.exit_code = hash % 3 == 1 ? kRetriedExit : 1;
  failure.permanent = hash / 3 % 8 == 0;
  // Every other time: that does not count, and would go on for ever.
  if (!failure.permanent && hash / 24 % 4 == 0 && begun % 2 == 1)
    failure.again = absl::Milliseconds(static_cast<int64_t>(hash / 96 % 2000));
  failure.details = "seen " + std::to_string(value % 1000) + "/" + std::to_string(begun);
  return failure;
}

Buffer BriefOf(const LoadResults& load) {
  std::string brief = "results of";
  for (const JobDependency& dependency : load.of)
    brief += " " + std::to_string(dependency.job.value);
  return Buffer(std::move(brief));
}

bool ResultsAreDamaged(const SimConfig& config, JobId job) {
  return Mix(Mix(config.seed, 50), job.value) % 8 == 0;
}

bool IsRetried(const RetryRules& rules, const FailedEntry& failure) {
  if (failure.permanent) return false;
  if (rules.exit_codes.empty() && rules.reasons.empty()) return true;
  for (const Reason reason : rules.reasons) {
    if (reason == failure.reason) return true;
  }
  for (const uint32_t code : rules.exit_codes) {
    if (failure.reason == Reason::kExitNonzero && failure.exit_code == code) return true;
  }
  return false;
}

// ---- For people ----

namespace {

void DescribeRate(std::ostringstream& out, const char* name, const Rate& rate) {
  if (!rate.limited()) return;
  out << " " << name << "=" << rate.count << "/" << absl::ToInt64Milliseconds(rate.per)
      << "ms burst=" << rate.burst;
}

void DescribeTime(std::ostringstream& out, const char* name, int64_t at) {
  if (at > 0) out << " " << name << "=" << at / kMs << "ms";
}

}  // namespace

std::string Describe(const Asks& asks) {
  std::ostringstream out;
  out << "asks: queue=" << asks.queue << " owner=" << asks.owner << " priority=" << asks.priority;
  if (asks.keys > 0) out << " keys=" << asks.keys << " key-limit=" << asks.key_max_in_flight;
  DescribeRate(out, "key-rate", asks.key_rate);
  for (const auto& [name, amount] : asks.resources) out << " " << name << "=" << amount;
  for (const LabelTerm& term : asks.selector)
    out << " " << term.name << static_cast<int>(term.kind) << term.value;
  for (const Asks::After& after : asks.after) {
    out << " after=" << after.plan << "/" << static_cast<int>(after.condition)
        << (after.results ? "+results" : "");
  }
  out << " skip=" << asks.skip_if_unmet << " group=" << asks.group << "/" << asks.grouped
      << " stop=" << asks.stop.max_failures << "," << asks.stop.max_failure_percent << ","
      << asks.stop.first_success << "," << asks.stop.let_running_end;
  DescribeTime(out, "start", asks.start_at);
  DescribeTime(out, "expire", asks.expire_at);
  DescribeTime(out, "pause", asks.pause_at);
  DescribeTime(out, "resume", asks.resume_at);
  DescribeTime(out, "update", asks.update_at);
  DescribeTime(out, "delete", asks.delete_at);
  if (asks.retries >= 0) out << " retries=" << asks.retries << (asks.failed_only ? "/failed" : "");
  out << " new=" << asks.new_priority << "," << asks.new_max_in_flight << " hold=" << asks.hold
      << " unique=" << asks.unique_key << "/" << static_cast<int>(asks.unique_policy)
      << " rules=" << asks.retry_rules << " idle=" << asks.idle_close << " pack=" << asks.pack
      << " scheduled=" << asks.scheduled << " patient=" << asks.patient
      << " shares=" << asks.shares;
  return out.str();
}

std::string Describe(const QueuePlan& queue) {
  std::ostringstream out;
  out << queue.settings.name << ": t=" << queue.at / kMs << "ms weight=" << queue.settings.weight
      << " limit=" << queue.settings.max_in_flight << " tasks=" << queue.settings.max_tasks;
  DescribeRate(out, "rate", queue.settings.rate);
  DescribeRate(out, "retry-rate", queue.settings.retry_rate);
  DescribeTime(out, "pause", queue.pause_at);
  DescribeTime(out, "resume", queue.resume_at);
  DescribeTime(out, "change", queue.change_at);
  DescribeTime(out, "delete", queue.delete_at);
  DescribeTime(out, "again", queue.again_at);
  out << " to=" << queue.changed.max_in_flight;
  return out.str();
}

std::string Describe(const SchedulePlan& schedule) {
  std::ostringstream out;
  out << "schedule of job " << schedule.job << ": t=" << schedule.at / kMs
      << "ms every=" << schedule.every / kMs << "ms jitter=" << schedule.jitter / kMs
      << "ms overlap=" << static_cast<int>(schedule.overlap)
      << " catch-up=" << static_cast<int>(schedule.catch_up) << " count=" << schedule.count;
  DescribeTime(out, "pause", schedule.pause_at);
  DescribeTime(out, "resume", schedule.resume_at);
  DescribeTime(out, "run", schedule.run_at);
  return out.str();
}

}  // namespace reeve::sim
