#include "client/job_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/certificate.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "base/wire.h"
#include "client/exit_code.h"
#include "client/rpc_status.h"

namespace reeve {
namespace {

constexpr auto kUnaryDeadline = std::chrono::seconds(10);
// A master that was there and went is waited for as long as a restart may take.
constexpr absl::Duration kReconnectWindow = absl::Seconds(60);
constexpr absl::Duration kFirstContactWindow = absl::Seconds(1);
// A result message is at most one stored chunk and its head.
constexpr int kMaxReceiveBytes = 16 << 20;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const std::string& authority) {
  grpc::ChannelArguments arguments;
  // A cluster's authority signs its masters alone, whatever address they are reached by.
  if (!authority.empty()) arguments.SetSslTargetNameOverride(kServerName);
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // A cluster is not behind a web proxy, whatever the environment says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // The master allows one each 10 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  return grpc::CreateCustomChannel(address,
                                   authority.empty()
                                       ? grpc::InsecureChannelCredentials()
                                       : grpc::SslCredentials({.pem_root_certs = authority}),
                                   arguments);
}

}  // namespace

JobClient::JobClient(const std::string& address, const ClusterAccess& access)
    : address_(address),
      token_(access.token),
      channel_(MakeChannel(address, access.authority)),
      jobs_(v1::JobService::NewStub(channel_)),
      tasks_(v1::TaskService::NewStub(channel_)),
      workers_(v1::WorkerService::NewStub(channel_)),
      cluster_(v1::ClusterService::NewStub(channel_)),
      access_(v1::AccessService::NewStub(channel_)),
      schedules_(v1::ScheduleService::NewStub(channel_)),
      queues_(v1::QueueService::NewStub(channel_)) {}

void JobClient::Prepare(grpc::ClientContext* context) const {
  if (!token_.empty()) context->AddMetadata("authorization", "Bearer " + token_);
}

RetryWindow JobClient::NewRetryWindow() const {
  return RetryWindow(was_reached_ ? kReconnectWindow : kFirstContactWindow);
}

absl::Status JobClient::Note(const grpc::Status& rpc) {
  const absl::Status status = FromRpc(rpc);
  const std::string reason = ErrorReason(status);
  // An UNAVAILABLE with a reason of its own comes from the master; without one it comes from the
  // connection.
  if (!absl::IsUnavailable(status) || reason != "UNAVAILABLE") {
    if (!absl::IsDeadlineExceeded(status) && !absl::IsCancelled(status)) was_reached_ = true;
    return status;
  }
  return MakeError(status.code(), reason,
                   StrCat("cannot reach the master at ", address_, " (", status.message(),
                          "); is it running? `reeve up` starts one"));
}

bool JobClient::IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> JobClient::Call(Stub* stub,
                                         grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                      const Request&, Response*),
                                         const Request& request) {
  RetryWindow window = NewRetryWindow();
  for (;;) {
    grpc::ClientContext context;
    Prepare(&context);
    context.set_deadline(std::chrono::system_clock::now() + kUnaryDeadline);
    Response response;
    const absl::Status status = Note((stub->*method)(&context, request, &response));
    if (status.ok()) return response;
    if (!IsTransient(status)) return status;
    window.Widen(NewRetryWindow().window());
    const std::optional<absl::Duration> delay = window.OnFailure();
    if (!delay.has_value()) return status;
    absl::SleepFor(*delay);
  }
}

absl::StatusOr<v1::Job> JobClient::CreateJob(v1::CreateJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(jobs_.get(), &v1::JobService::Stub::CreateJob, request);
}

absl::StatusOr<v1::Job> JobClient::CloseJob(uint64_t job_id) {
  v1::CloseJobRequest request;
  request.set_request_id(MakeUuid());
  request.set_job_id(job_id);
  return Call(jobs_.get(), &v1::JobService::Stub::CloseJob, request);
}

absl::StatusOr<v1::Job> JobClient::GetJob(uint64_t job_id) {
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  return Call(jobs_.get(), &v1::JobService::Stub::GetJob, request);
}

absl::StatusOr<v1::ListJobsResponse> JobClient::ListJobs(const v1::ListJobsRequest& request) {
  return Call(jobs_.get(), &v1::JobService::Stub::ListJobs, request);
}

absl::StatusOr<v1::Job> JobClient::CancelJob(uint64_t job_id) {
  v1::CancelJobRequest request;
  request.set_request_id(MakeUuid());
  request.set_job_id(job_id);
  return Call(jobs_.get(), &v1::JobService::Stub::CancelJob, request);
}

absl::StatusOr<v1::CreateJobsResponse> JobClient::CreateJobs(v1::CreateJobsRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(jobs_.get(), &v1::JobService::Stub::CreateJobs, request);
}

absl::StatusOr<v1::Job> JobClient::PauseJob(uint64_t job_id) {
  v1::PauseJobRequest request;
  request.set_request_id(MakeUuid());
  request.set_job_id(job_id);
  return Call(jobs_.get(), &v1::JobService::Stub::PauseJob, request);
}

absl::StatusOr<v1::Job> JobClient::ResumeJob(uint64_t job_id) {
  v1::ResumeJobRequest request;
  request.set_request_id(MakeUuid());
  request.set_job_id(job_id);
  return Call(jobs_.get(), &v1::JobService::Stub::ResumeJob, request);
}

absl::StatusOr<v1::Job> JobClient::UpdateJob(v1::UpdateJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(jobs_.get(), &v1::JobService::Stub::UpdateJob, request);
}

absl::StatusOr<v1::Job> JobClient::RetryJob(v1::RetryJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(jobs_.get(), &v1::JobService::Stub::RetryJob, request);
}

absl::Status JobClient::DeleteJob(uint64_t job_id) {
  v1::DeleteJobRequest request;
  request.set_request_id(MakeUuid());
  request.set_job_id(job_id);
  return Call(jobs_.get(), &v1::JobService::Stub::DeleteJob, request).status();
}

absl::StatusOr<v1::Task> JobClient::GetTask(uint64_t job_id, uint32_t index) {
  v1::GetTaskRequest request;
  request.set_job_id(job_id);
  request.set_index(index);
  return Call(tasks_.get(), &v1::TaskService::Stub::GetTask, request);
}

absl::StatusOr<v1::ListTasksResponse> JobClient::ListTasks(const v1::ListTasksRequest& request) {
  return Call(tasks_.get(), &v1::TaskService::Stub::ListTasks, request);
}

absl::StatusOr<v1::ExplainTaskResponse> JobClient::ExplainTask(uint64_t job_id, uint32_t index) {
  v1::ExplainTaskRequest request;
  request.set_job_id(job_id);
  request.set_index(index);
  return Call(tasks_.get(), &v1::TaskService::Stub::ExplainTask, request);
}

absl::StatusOr<v1::ListWorkersResponse> JobClient::ListWorkers(
    const v1::ListWorkersRequest& request) {
  return Call(workers_.get(), &v1::WorkerService::Stub::ListWorkers, request);
}

absl::StatusOr<v1::Cluster> JobClient::GetCluster() {
  return Call(cluster_.get(), &v1::ClusterService::Stub::GetCluster, v1::GetClusterRequest());
}

absl::StatusOr<v1::Statistics> JobClient::GetStatistics(bool reset) {
  v1::GetStatisticsRequest request;
  request.set_reset(reset);
  if (reset) request.set_request_id(MakeUuid());
  return Call(cluster_.get(), &v1::ClusterService::Stub::GetStatistics, request);
}

absl::Status JobClient::RotateKeys() {
  v1::RotateKeysRequest request;
  request.set_request_id(MakeUuid());
  return Call(cluster_.get(), &v1::ClusterService::Stub::RotateKeys, request).status();
}

absl::StatusOr<v1::CreateTokenResponse> JobClient::CreateToken(const v1::Token& token) {
  v1::CreateTokenRequest request;
  request.set_request_id(MakeUuid());
  *request.mutable_token() = token;
  return Call(access_.get(), &v1::AccessService::Stub::CreateToken, request);
}

absl::StatusOr<v1::ListTokensResponse> JobClient::ListTokens() {
  return Call(access_.get(), &v1::AccessService::Stub::ListTokens, v1::ListTokensRequest());
}

absl::StatusOr<v1::RevokeTokenResponse> JobClient::RevokeToken(const std::string& token) {
  v1::RevokeTokenRequest request;
  request.set_request_id(MakeUuid());
  request.set_token(token);
  return Call(access_.get(), &v1::AccessService::Stub::RevokeToken, request);
}

absl::StatusOr<v1::EnrolWorkerResponse> JobClient::EnrolWorker(v1::EnrolWorkerRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(workers_.get(), &v1::WorkerService::Stub::EnrolWorker, request);
}

absl::StatusOr<v1::ListEnrolmentsResponse> JobClient::ListEnrolments() {
  return Call(workers_.get(), &v1::WorkerService::Stub::ListEnrolments,
              v1::ListEnrolmentsRequest());
}

absl::StatusOr<v1::RevokeWorkerResponse> JobClient::RevokeWorker(const std::string& worker) {
  v1::RevokeWorkerRequest request;
  request.set_request_id(MakeUuid());
  request.set_worker(worker);
  return Call(workers_.get(), &v1::WorkerService::Stub::RevokeWorker, request);
}

absl::StatusOr<v1::Worker> JobClient::DrainWorker(const std::string& worker, bool stay) {
  v1::DrainWorkerRequest request;
  request.set_request_id(MakeUuid());
  request.set_worker(worker);
  request.set_stay(stay);
  return Call(workers_.get(), &v1::WorkerService::Stub::DrainWorker, request);
}

absl::StatusOr<v1::Schedule> JobClient::CreateSchedule(v1::CreateScheduleRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(schedules_.get(), &v1::ScheduleService::Stub::CreateSchedule, request);
}

absl::StatusOr<v1::Schedule> JobClient::GetSchedule(const v1::GetScheduleRequest& request) {
  return Call(schedules_.get(), &v1::ScheduleService::Stub::GetSchedule, request);
}

absl::StatusOr<v1::ListSchedulesResponse> JobClient::ListSchedules() {
  return Call(schedules_.get(), &v1::ScheduleService::Stub::ListSchedules,
              v1::ListSchedulesRequest());
}

absl::StatusOr<v1::Schedule> JobClient::PauseSchedule(v1::PauseScheduleRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(schedules_.get(), &v1::ScheduleService::Stub::PauseSchedule, request);
}

absl::StatusOr<v1::Schedule> JobClient::ResumeSchedule(v1::ResumeScheduleRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(schedules_.get(), &v1::ScheduleService::Stub::ResumeSchedule, request);
}

absl::StatusOr<v1::Job> JobClient::RunSchedule(v1::RunScheduleRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(schedules_.get(), &v1::ScheduleService::Stub::RunSchedule, request);
}

absl::StatusOr<v1::ListFireTimesResponse> JobClient::ListFireTimes(
    const v1::ListFireTimesRequest& request) {
  return Call(schedules_.get(), &v1::ScheduleService::Stub::ListFireTimes, request);
}

absl::Status JobClient::DeleteSchedule(v1::DeleteScheduleRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return Call(schedules_.get(), &v1::ScheduleService::Stub::DeleteSchedule, request).status();
}

absl::StatusOr<v1::Worker> JobClient::UndrainWorker(const std::string& worker) {
  v1::UndrainWorkerRequest request;
  request.set_request_id(MakeUuid());
  request.set_worker(worker);
  return Call(workers_.get(), &v1::WorkerService::Stub::UndrainWorker, request);
}

absl::StatusOr<v1::ListQueuesResponse> JobClient::ListQueues() {
  return Call(queues_.get(), &v1::QueueService::Stub::ListQueues, v1::ListQueuesRequest());
}

absl::StatusOr<v1::Queue> JobClient::GetQueue(const std::string& name) {
  v1::GetQueueRequest request;
  request.set_name(name);
  return Call(queues_.get(), &v1::QueueService::Stub::GetQueue, request);
}

absl::StatusOr<v1::Queue> JobClient::UpdateQueue(const v1::Queue& queue) {
  v1::UpdateQueueRequest request;
  request.set_request_id(MakeUuid());
  *request.mutable_queue() = queue;
  return Call(queues_.get(), &v1::QueueService::Stub::UpdateQueue, request);
}

absl::Status JobClient::DeleteQueue(const std::string& name) {
  v1::DeleteQueueRequest request;
  request.set_request_id(MakeUuid());
  request.set_name(name);
  return Call(queues_.get(), &v1::QueueService::Stub::DeleteQueue, request).status();
}

absl::Status JobClient::CheckHealth() {
  // grpc.health.v1: the request is empty, field 1 of the answer is 1 when SERVING.
  grpc::ClientContext context;
  Prepare(&context);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::SERVER_STREAMING);
  const grpc::Slice nothing;  // A buffer without any slice is no message.
  const std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> reader(
      grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
          channel_.get(), method, &context, grpc::ByteBuffer(&nothing, 1)));
  grpc::ByteBuffer answer;
  grpc::Slice bytes;
  uint64_t serving = 0;
  if (reader->Read(&answer) && answer.DumpToSingleSlice(&bytes).ok()) {
    wire::Reader fields(
        std::string_view(reinterpret_cast<const char*>(bytes.begin()), bytes.size()));
    while (fields.Next()) {
      if (fields.field() == 1) {
        fields.Varint(&serving);
      } else {
        fields.Skip();
      }
    }
  }
  const absl::Status status = Note(reader->Finish());
  if (!status.ok() || serving == 1) return status;
  return MakeError(absl::StatusCode::kUnavailable, "STARTING", "the master is not serving yet");
}

absl::StatusOr<v1::Job> JobClient::WatchJob(uint64_t job_id, Canceller& canceller,
                                            const std::function<void(const v1::Job&)>& on_job) {
  RetryWindow window = NewRetryWindow();
  v1::WatchJobRequest request;
  request.set_job_id(job_id);
  for (;;) {
    grpc::ClientContext context;
    Prepare(&context);
    const Canceller::Call call(&canceller, &context);
    const auto reader = jobs_->WatchJob(&context, request);
    v1::Job job;
    while (reader->Read(&job)) {
      window.Succeeded();
      on_job(job);
    }
    const absl::Status status = Note(reader->Finish());
    if (HasEnded(job)) return job;
    if (canceller.is_cancelled()) return absl::CancelledError("detached");
    if (!status.ok() && !IsTransient(status)) return status;
    window.Widen(NewRetryWindow().window());
    const std::optional<absl::Duration> delay = window.OnFailure();
    if (!delay.has_value())
      return status.ok() ? absl::UnavailableError("the stream was cut") : status;
    if (!canceller.SleepFor(*delay)) return absl::CancelledError("detached");
  }
}

}  // namespace reeve
