#include "master/service/convert.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "master/access/principal.h"
#include "master/service/validate_extras.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status rpc;
  rpc.set_code(static_cast<int>(status.code()));
  rpc.set_message(std::string(ToStd(status.message())));
  google::rpc::ErrorInfo info;
  info.set_reason(ErrorReason(status).empty() ? "INTERNAL" : ErrorReason(status));
  info.set_domain("reeve");
  rpc.add_details()->PackFrom(info);
  if (const auto retry = ErrorRetryAfter(status)) {
    google::rpc::RetryInfo hint;
    const int64_t ns = absl::ToInt64Nanoseconds(*retry);
    hint.mutable_retry_delay()->set_seconds(ns / 1'000'000'000);
    hint.mutable_retry_delay()->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
    rpc.add_details()->PackFrom(hint);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), rpc.message(),
                      rpc.SerializeAsString());
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp stamp;
  const int64_t us = absl::ToUnixMicros(time);
  stamp.set_seconds(us / 1'000'000);
  stamp.set_nanos(static_cast<int32_t>(us % 1'000'000) * 1000);
  return stamp;
}

namespace {

// The scheduler gives the jobs of one request ids that follow one another; only then does a place
// have an id.
void NameDependencies(JobId job, uint32_t place, v1::JobSpec* spec) {
  if (place == 0) return;
  for (v1::Dependency& after : *spec->mutable_after()) {
    if (after.position() == 0) continue;
    after.set_job_id(job.value - place + after.position());
    after.clear_position();
  }
}

}  // namespace

JobState ShownState(const JobView& view) {
  const bool runs = view.state == JobState::kOpen || view.state == JobState::kActive;
  return view.paused && runs ? JobState::kPaused : view.state;
}

void ToProto(const JobView& view, v1::Job* job) {
  store::v1::JobRecord record;
  record.ParseFromArray(view.record.view().data(), static_cast<int>(view.record.size()));
  job->set_job_id(view.job.value);
  job->set_owner(record.owner().empty() ? kRootPrincipal : record.owner());
  *job->mutable_spec() = std::move(*record.mutable_spec());
  if (record.has_array()) *job->mutable_array() = std::move(*record.mutable_array());
  v1::JobSpec* spec = job->mutable_spec();
  NameDependencies(view.job, record.place(), spec);
  spec->set_priority(view.priority);
  spec->set_max_in_flight(view.max_in_flight);
  if (spec->queue().empty()) spec->set_queue(std::string(kDefaultQueue));
  job->set_state(static_cast<v1::Job::State>(ShownState(view)));
  job->set_cause(static_cast<v1::Job::Cause>(view.cause));
  job->set_paused(view.paused && !IsTerminal(view.state));
  v1::TaskCounts* counts = job->mutable_counts();
  counts->set_total(view.counts.total);
  counts->set_scheduled(view.counts.scheduled);
  counts->set_ready(view.counts.ready);
  counts->set_assigned(view.counts.assigned);
  counts->set_succeeded(view.counts.succeeded);
  counts->set_failed(view.counts.failed);
  counts->set_cancelled(view.counts.cancelled);
  counts->set_retried(view.counts.retried);
  counts->set_duplicate_inputs(view.counts.duplicate_inputs);
  job->mutable_counters()->insert(view.counts.counters.begin(), view.counts.counters.end());
  counts->set_dropped_inputs(view.counts.dropped_inputs);
  counts->set_blocked(view.counts.blocked);
  counts->set_expired(view.counts.expired);
  *job->mutable_create_time() = ToProto(view.create_time);
  if (view.said.has_value()) {
    job->mutable_progress()->set_done(view.said->permille.value_or(0) / 1000.0);
    job->mutable_progress()->set_note(AsUtf8(view.said->note));
    job->set_progress_index(view.said->index);
  }
  if (view.end_time != absl::InfiniteFuture()) *job->mutable_end_time() = ToProto(view.end_time);
}

void ToProto(const WorkerView& view, v1::Worker* worker) {
  worker->set_worker(WorkerName(view.number));
  worker->set_worker_id(view.worker_id);
  worker->set_state(static_cast<v1::Worker::State>(view.state));
  worker->set_hostname(view.hostname);
  worker->set_name(view.name);
  worker->mutable_labels()->insert(view.labels.begin(), view.labels.end());
  worker->set_pid(view.pid);
  worker->set_version(view.version);
  for (const HandlerOffer& offer : view.handlers) {
    v1::HandlerOffer* out = worker->add_handlers();
    out->set_name(offer.name);
    out->set_lane(static_cast<v1::Lane>(offer.lane));
  }
  for (int lane = 1; lane < kLaneCount; ++lane) {
    if (view.lanes[lane].slots == 0) continue;
    v1::LaneStatus* out = worker->add_lanes();
    out->set_lane(static_cast<v1::Lane>(lane));
    out->set_slots(view.lanes[lane].slots);
    out->set_stuck(view.lanes[lane].stuck);
  }
  for (const PoolStatus& pool : view.pools) {
    v1::PoolStatus* out = worker->add_pools();
    out->set_name(pool.name);
    out->set_limit(pool.limit);
    out->set_open(pool.open);
    out->set_busy(pool.busy);
    out->set_waiting(pool.waiting);
    out->set_connect_count(pool.connects);
    out->set_failed_connect_count(pool.failed_connects);
    out->set_lost_count(pool.lost);
    out->set_last_error(pool.last_error);
  }
  for (const auto& [name, thousandths] : view.resources)
    (*worker->mutable_resources())[name] = static_cast<double>(thousandths) / 1000;
  for (const auto& [name, thousandths] : view.used_resources)
    (*worker->mutable_used_resources())[name] = static_cast<double>(thousandths) / 1000;
  worker->set_held_count(view.held);
  worker->set_finished_count(view.finished);
  *worker->mutable_join_time() = ToProto(view.joined);
  *worker->mutable_last_seen_time() = ToProto(view.last_seen);
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  const absl::Duration whole = absl::Trunc(duration, absl::Seconds(1));
  proto.set_seconds(absl::ToInt64Seconds(whole));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration - whole)));
  return proto;
}

void ToProto(const std::string& handler, const HandlerStats& stats,
             v1::HandlerStatistics* statistics) {
  statistics->set_handler(handler);
  statistics->set_succeeded_count(stats.succeeded);
  uint64_t failed = 0;
  for (const auto& [reason, count] : stats.failed) {
    // Reasons that this master does not know have one name.
    (*statistics->mutable_failed_by_reason())[std::string(ToString(reason))] += count;
    failed += count;
  }
  statistics->set_failed_count(failed);
  const uint64_t timed = stats.times.count();
  statistics->set_timed_count(timed);
  if (timed == 0) return;
  *statistics->mutable_run_time() = ToProto(stats.run_time);
  *statistics->mutable_mean() = ToProto(stats.run_time / static_cast<double>(timed));
  const auto at = [&stats](double share) {
    return ToProto(absl::Microseconds(stats.times.Percentile(share)));
  };
  *statistics->mutable_p50() = at(0.5);
  *statistics->mutable_p90() = at(0.9);
  *statistics->mutable_p95() = at(0.95);
  *statistics->mutable_p99() = at(0.99);
  *statistics->mutable_longest() = at(1);
}

void ToProto(JobId job, const ResultEntry& entry, std::string_view worker, v1::Task* task) {
  task->set_job_id(job.value);
  task->set_index(entry.index);
  task->set_state(static_cast<v1::Task::State>(entry.state));
  task->set_attempt(entry.attempt);
  task->set_reason(static_cast<v1::Task::Reason>(entry.reason));
  task->set_message(AsUtf8(entry.message));
  task->set_exit_code(entry.exit_code);
  task->set_signal(entry.signal);
  task->set_worker(std::string(worker));
  *task->mutable_start_time() = ToProto(absl::FromUnixMicros(entry.start_us));
  task->mutable_run_time()->set_seconds(entry.run_us / 1'000'000);
  task->mutable_run_time()->set_nanos(static_cast<int32_t>(entry.run_us % 1'000'000) * 1000);
  task->set_output_bytes(entry.output.size());
}

Buffer ToBuffer(const grpc::ByteBuffer& bytes) {
  auto slices = std::make_shared<std::vector<grpc::Slice>>();
  if (!bytes.Dump(slices.get()).ok() || slices->empty()) return {};
  if (slices->size() == 1) {
    const grpc::Slice& slice = slices->front();
    return Buffer(slices, {reinterpret_cast<const char*>(slice.begin()), slice.size()});
  }
  std::string all;
  all.reserve(bytes.Length());
  for (const grpc::Slice& slice : *slices)
    all.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return Buffer(std::move(all));
}

grpc::ByteBuffer ToByteBuffer(std::string head, const Buffer& body) {
  grpc::Slice slices[2] = {grpc::Slice(head), grpc::Slice()};
  if (body.empty()) return grpc::ByteBuffer(slices, 1);
  auto* owner = new Buffer(body);
  slices[1] = grpc::Slice(
      const_cast<char*>(owner->view().data()), owner->size(),
      [](void* held) { delete static_cast<Buffer*>(held); }, owner);
  return grpc::ByteBuffer(slices, 2);
}

}  // namespace reeve
