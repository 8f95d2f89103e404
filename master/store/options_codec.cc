#include "master/store/options_codec.h"

#include <memory>
#include <utility>

#include "reeve/store/v1/store.pb.h"

namespace reeve {
namespace {

template <typename Message>
bool Parse(std::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

int64_t Us(absl::Duration duration) { return absl::ToInt64Microseconds(duration); }
int64_t Us(absl::Time time) { return absl::ToUnixMicros(time); }

void ToRow(const Rate& rate, store::v1::Rate* row) {
  row->set_count(rate.count);
  row->set_per_us(Us(rate.per));
  row->set_burst(rate.burst);
}

// An absent one is no limit.
Rate FromRow(const store::v1::Rate& row) {
  if (row.count() == 0) return {};
  return {row.count(), absl::Microseconds(row.per_us()), row.burst()};
}

void ToRow(const JobExtras& extras, store::v1::JobExtras* row) {
  row->set_first_backoff_us(Us(extras.retry.first_backoff));
  row->set_max_backoff_us(Us(extras.retry.max_backoff));
  for (const uint32_t code : extras.retry.exit_codes) row->add_retry_exit_codes(code);
  for (const Reason reason : extras.retry.reasons)
    row->add_retry_reasons(static_cast<uint32_t>(reason));
  if (extras.start_time != absl::InfinitePast()) row->set_start_time_us(Us(extras.start_time));
  if (extras.expire_time != absl::InfiniteFuture()) row->set_expire_time_us(Us(extras.expire_time));
  row->set_unique_key(extras.unique_key);
  row->set_unique_policy(static_cast<uint32_t>(extras.unique_policy));
  row->set_keyed(extras.keyed);
  row->set_key_max_in_flight(extras.key_max_in_flight);
  if (extras.key_rate.limited()) ToRow(extras.key_rate, row->mutable_key_rate());
  row->mutable_resources()->insert(extras.resources.begin(), extras.resources.end());
  for (const LabelTerm& term : extras.selector) {
    auto* to = row->add_selector();
    to->set_name(term.name);
    to->set_value(term.value);
    to->set_kind(static_cast<uint32_t>(term.kind));
  }
  row->set_pack(extras.pack);
  for (const JobDependency& dependency : extras.after) {
    auto* to = row->add_after();
    to->set_job_id(dependency.job.value);
    to->set_condition(static_cast<uint32_t>(dependency.condition));
    to->set_results(dependency.results);
    to->set_name(dependency.name);
  }
  row->set_skip_if_unmet(extras.skip_if_unmet);
  row->set_max_failures(extras.stop.max_failures);
  row->set_max_failure_percent(extras.stop.max_failure_percent);
  row->set_first_success(extras.stop.first_success);
  row->set_let_running_end(extras.stop.let_running_end);
  if (extras.close_when_idle != absl::InfiniteDuration())
    row->set_close_when_idle_us(Us(extras.close_when_idle));
  row->set_retry_of(extras.retry_of.value);
}

std::shared_ptr<const JobExtras> FromRow(const store::v1::JobExtras& row) {
  auto extras = std::make_shared<JobExtras>();
  extras->retry.first_backoff = absl::Microseconds(row.first_backoff_us());
  extras->retry.max_backoff = absl::Microseconds(row.max_backoff_us());
  extras->retry.exit_codes.assign(row.retry_exit_codes().begin(), row.retry_exit_codes().end());
  for (const uint32_t reason : row.retry_reasons())
    extras->retry.reasons.push_back(static_cast<Reason>(reason));
  if (row.has_start_time_us()) extras->start_time = absl::FromUnixMicros(row.start_time_us());
  if (row.has_expire_time_us()) extras->expire_time = absl::FromUnixMicros(row.expire_time_us());
  extras->unique_key = row.unique_key();
  extras->unique_policy = static_cast<UniquePolicy>(row.unique_policy());
  extras->keyed = row.keyed();
  extras->key_max_in_flight = row.key_max_in_flight();
  extras->key_rate = FromRow(row.key_rate());
  extras->resources.insert(row.resources().begin(), row.resources().end());
  for (const auto& term : row.selector())
    extras->selector.push_back(
        {term.name(), term.value(), static_cast<LabelTerm::Kind>(term.kind())});
  extras->pack = row.pack();
  for (const auto& dependency : row.after()) {
    extras->after.push_back({JobId(dependency.job_id()),
                             static_cast<JobDependency::Condition>(dependency.condition()),
                             dependency.results(), dependency.name()});
  }
  extras->skip_if_unmet = row.skip_if_unmet();
  extras->stop = {row.max_failures(), row.max_failure_percent(), row.first_success(),
                  row.let_running_end()};
  if (row.has_close_when_idle_us())
    extras->close_when_idle = absl::Microseconds(row.close_when_idle_us());
  extras->retry_of = JobId(row.retry_of());
  return extras;
}

}  // namespace

std::string EncodeJobMore(const JobOptions& options, const std::vector<Run>& selected) {
  if (options.queue.empty() && options.extras == nullptr && selected.empty()) return {};
  store::v1::JobMore more;
  more.set_queue(options.queue);
  if (options.extras != nullptr) ToRow(*options.extras, more.mutable_extras());
  for (const Run& run : selected) {
    more.add_selected(run.first);
    more.add_selected(run.count);
  }
  return more.SerializeAsString();
}

bool DecodeJobMore(std::string_view bytes, JobOptions* options, std::vector<Run>* selected) {
  if (bytes.empty()) return true;
  store::v1::JobMore more;
  if (!Parse(bytes, &more) || more.selected_size() % 2 != 0) return false;
  options->queue = more.queue();
  if (more.has_extras()) options->extras = FromRow(more.extras());
  uint64_t next = 0;
  for (int i = 0; i < more.selected_size(); i += 2) {
    const Run run{more.selected(i), more.selected(i + 1)};
    if (run.count == 0 || run.first < next || uint64_t{run.first} + run.count > kMaxTasksPerJob)
      return false;
    next = run.end();
    selected->push_back(run);
  }
  return true;
}

std::string EncodeQueue(const QueueSettings& settings) {
  store::v1::QueueRow row;
  row.set_weight(settings.weight);
  row.set_max_in_flight(settings.max_in_flight);
  if (settings.rate.limited()) ToRow(settings.rate, row.mutable_rate());
  row.set_paused(settings.paused);
  row.set_max_tasks(settings.max_tasks);
  if (settings.retry_rate.limited()) ToRow(settings.retry_rate, row.mutable_retry_rate());
  return row.SerializeAsString();
}

bool DecodeQueue(std::string_view bytes, QueueSettings* settings) {
  store::v1::QueueRow row;
  if (!Parse(bytes, &row)) return false;
  settings->weight = row.weight();
  settings->max_in_flight = row.max_in_flight();
  settings->rate = FromRow(row.rate());
  settings->paused = row.paused();
  settings->max_tasks = row.max_tasks();
  settings->retry_rate = FromRow(row.retry_rate());
  return true;
}

std::string EncodeProgress(const ScheduleProgress& progress) {
  store::v1::ScheduleProgress row;
  row.set_paused(progress.paused);
  row.set_remaining(progress.remaining);
  if (progress.next_time != absl::InfiniteFuture()) row.set_next_time_us(Us(progress.next_time));
  if (progress.last_time != absl::InfinitePast()) row.set_last_time_us(Us(progress.last_time));
  row.set_last_job_id(progress.last_job.value);
  row.set_fired(progress.fired);
  row.set_skipped(progress.skipped);
  row.set_last_error(progress.last_error);
  return row.SerializeAsString();
}

bool DecodeProgress(std::string_view bytes, ScheduleProgress* progress) {
  store::v1::ScheduleProgress row;
  if (!Parse(bytes, &row)) return false;
  progress->paused = row.paused();
  progress->remaining = row.remaining();
  if (row.has_next_time_us()) progress->next_time = absl::FromUnixMicros(row.next_time_us());
  if (row.has_last_time_us()) progress->last_time = absl::FromUnixMicros(row.last_time_us());
  progress->last_job = JobId(row.last_job_id());
  progress->fired = row.fired();
  progress->skipped = row.skipped();
  progress->last_error = row.last_error();
  return true;
}

}  // namespace reeve
