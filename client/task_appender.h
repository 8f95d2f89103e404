// Adds tasks to an open job over AppendTasks: several messages in flight, sent again from the
// committed offset when the stream breaks, so each task is added once whatever happens to the
// connection.
//
// Thread: Append, Finish: one thread. A thread of its own reads the answers.

#ifndef REEVE_CLIENT_TASK_APPENDER_H_
#define REEVE_CLIENT_TASK_APPENDER_H_

#include <grpcpp/client_context.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "client/job_client.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {

class TaskAppender {
 public:
  // Messages and input bytes that may wait for their acknowledgement.
  struct Limits {
    size_t messages = 16;
    size_t bytes = 16u << 20;
  };

  // `name` is that of the appender within the job; empty: one that nobody else has.
  TaskAppender(JobClient* client, uint64_t job_id, Limits limits, std::string name = "");
  TaskAppender(JobClient* client, uint64_t job_id) : TaskAppender(client, job_id, Limits()) {}
  ~TaskAppender();

  // Opens the stream and goes on behind what an appender of this name has committed; to be called
  // before Append. Returns: how much that is. Errors: as Append.
  absl::StatusOr<uint64_t> Resume();

  // Sends a batch (fields 1 to 3 are set); waits while too much is unacknowledged. Tasks get
  // indexes in the order of calls. Errors: as AppendTasks; UNAVAILABLE if the master does not come
  // back. The first error stays.
  absl::Status Append(v1::AppendTasksRequest batch);

  // Waits until everything is committed and ends the stream.
  absl::Status Finish();

  // Tasks handed to Append, and those committed before Resume.
  uint64_t appended_count() const { return next_offset_; }

 private:
  using Stream = grpc::ClientReaderWriter<v1::AppendTasksRequest, v1::AppendTasksResponse>;

  // Opens a stream and sends what was not committed, until that works or the retry window is over.
  // Returns: the committed offset.
  absl::StatusOr<uint64_t> Reopen() ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<uint64_t> OpenOnce() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the end of a stream that broke, was cancelled or has no more to write. Returns: why
  // it ended.
  absl::Status CloseStream() ABSL_LOCKS_EXCLUDED(mu_);
  // Runs on the reader's thread until the stream ends.
  void ReadAnswers() ABSL_LOCKS_EXCLUDED(mu_);
  // Drops what is committed.
  void Commit(uint64_t offset) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for acknowledgements until at most `messages` and `bytes` wait, reopening as needed.
  absl::Status WaitUntil(size_t messages, size_t bytes) ABSL_LOCKS_EXCLUDED(mu_);

  JobClient* const client_;
  const uint64_t job_id_;
  const std::string appender_id_;
  const Limits limits_;

  // ---- The appending thread's ----
  RetryWindow window_;
  uint64_t next_offset_ = 0;
  absl::Status error_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
  std::thread reader_;

  Mutex mu_;
  CondVar changed_;
  // Sent or to be sent, not committed; shared, so that one can be written while an answer drops it.
  std::deque<std::shared_ptr<const v1::AppendTasksRequest>> unacknowledged_ ABSL_GUARDED_BY(mu_);
  size_t unacknowledged_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool is_broken_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_TASK_APPENDER_H_
