// A connection to a master: the public API as functions.
//
// UNAVAILABLE, and a deadline that passed, are retried here, mutating calls under the same request
// id, so that a restart of the master is a pause and not an error. A master that was never reached
// is given up soon.
//
// Thread: all methods from any.

#ifndef REEVE_CLIENT_JOB_CLIENT_H_
#define REEVE_CLIENT_JOB_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/canceller.h"
#include "client/clusters.h"
#include "client/retry_window.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {

class JobClient {
 public:
  // Connects lazily; with TLS if `access` has an authority.
  JobClient(const std::string& address, const ClusterAccess& access);

  // ---- One call each; the request id is filled in where it is empty. ----
  absl::StatusOr<v1::Job> CreateJob(v1::CreateJobRequest request);
  absl::StatusOr<v1::Job> CloseJob(uint64_t job_id);
  absl::StatusOr<v1::Job> GetJob(uint64_t job_id);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::CreateJobsResponse> CreateJobs(v1::CreateJobsRequest request);
  absl::StatusOr<v1::Job> CancelJob(uint64_t job_id);
  absl::StatusOr<v1::Job> PauseJob(uint64_t job_id);
  absl::StatusOr<v1::Job> ResumeJob(uint64_t job_id);
  absl::StatusOr<v1::Job> UpdateJob(v1::UpdateJobRequest request);
  absl::StatusOr<v1::Job> RetryJob(v1::RetryJobRequest request);
  absl::Status DeleteJob(uint64_t job_id);
  absl::StatusOr<v1::Task> GetTask(uint64_t job_id, uint32_t index);
  absl::StatusOr<v1::ListTasksResponse> ListTasks(const v1::ListTasksRequest& request);
  absl::StatusOr<v1::ExplainTaskResponse> ExplainTask(uint64_t job_id, uint32_t index);
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const v1::ListWorkersRequest& request);
  absl::StatusOr<v1::Cluster> GetCluster();
  absl::StatusOr<v1::Statistics> GetStatistics(bool reset);

  absl::Status RotateKeys();

  // ---- Who may call, and which workers connect ----
  absl::StatusOr<v1::CreateTokenResponse> CreateToken(const v1::Token& token);
  absl::StatusOr<v1::ListTokensResponse> ListTokens();
  absl::StatusOr<v1::RevokeTokenResponse> RevokeToken(const std::string& token);
  absl::StatusOr<v1::EnrolWorkerResponse> EnrolWorker(v1::EnrolWorkerRequest request);
  absl::StatusOr<v1::ListEnrolmentsResponse> ListEnrolments();
  absl::StatusOr<v1::RevokeWorkerResponse> RevokeWorker(const std::string& worker);
  // `stay`: it stays connected, and can be undrained.
  absl::StatusOr<v1::Worker> DrainWorker(const std::string& worker, bool stay);
  absl::StatusOr<v1::Worker> UndrainWorker(const std::string& worker);

  // ---- Queues ----
  absl::StatusOr<v1::ListQueuesResponse> ListQueues();
  absl::StatusOr<v1::Queue> GetQueue(const std::string& name);
  absl::StatusOr<v1::Queue> UpdateQueue(const v1::Queue& queue);
  absl::Status DeleteQueue(const std::string& name);

  // ---- Schedules ----
  absl::StatusOr<v1::Schedule> CreateSchedule(v1::CreateScheduleRequest request);
  absl::StatusOr<v1::Schedule> GetSchedule(const v1::GetScheduleRequest& request);
  absl::StatusOr<v1::ListSchedulesResponse> ListSchedules();
  absl::StatusOr<v1::Schedule> PauseSchedule(v1::PauseScheduleRequest request);
  absl::StatusOr<v1::Schedule> ResumeSchedule(v1::ResumeScheduleRequest request);
  absl::StatusOr<v1::Job> RunSchedule(v1::RunScheduleRequest request);
  absl::StatusOr<v1::ListFireTimesResponse> ListFireTimes(const v1::ListFireTimesRequest& request);
  absl::Status DeleteSchedule(v1::DeleteScheduleRequest request);

  // OK if the master says SERVING. One try.
  absl::Status CheckHealth();

  // ---- Streams, resumed when they break ----

  // Calls `on_job` for each message, until the job has ended. Returns: the ended job.
  // Errors: CANCELLED once `canceller` is.
  absl::StatusOr<v1::Job> WatchJob(uint64_t job_id, Canceller& canceller,
                                   const std::function<void(const v1::Job&)>& on_job);

  // ---- For streams that live elsewhere ----

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  v1::JobService::Stub& jobs() { return *jobs_; }
  // Carries the token.
  void Prepare(grpc::ClientContext* context) const;
  // How long failures in a row are retried from here on.
  RetryWindow NewRetryWindow() const;
  // Notes how a call ended. Returns: its status, with the address in it if the master was not
  // reached.
  absl::Status Note(const grpc::Status& status);

  // Whether repeating may help.
  static bool IsTransient(const absl::Status& status);

 private:
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub* stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request);

  const std::string address_;
  const std::string token_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::JobService::Stub> jobs_;
  const std::unique_ptr<v1::TaskService::Stub> tasks_;
  const std::unique_ptr<v1::WorkerService::Stub> workers_;
  const std::unique_ptr<v1::ClusterService::Stub> cluster_;
  const std::unique_ptr<v1::AccessService::Stub> access_;
  const std::unique_ptr<v1::ScheduleService::Stub> schedules_;
  const std::unique_ptr<v1::QueueService::Stub> queues_;
  std::atomic<bool> was_reached_{false};
};

}  // namespace reeve

#endif  // REEVE_CLIENT_JOB_CLIENT_H_
