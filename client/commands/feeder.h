// Feeds inputs into an open job on a thread of its own, never further ahead of the results than a
// bound: that is what lets a million lines pass in the memory of a few batches, here and at the
// master.
//
// Thread: made, started, stopped and destroyed by one; Finished from any.

#ifndef REEVE_CLIENT_COMMANDS_FEEDER_H_
#define REEVE_CLIENT_COMMANDS_FEEDER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "client/canceller.h"
#include "client/input/input_source.h"
#include "client/input/job_log.h"
#include "client/job_client.h"
#include "client/task_appender.h"

namespace reeve {

// Makes batches of inputs, leaving out positions that were done before.
class Batcher {
 public:
  // `skip` may be null.
  Batcher(std::unique_ptr<InputSource> source, const PositionSet* skip)
      : source_(std::move(source)), skip_(skip) {}

  // Leaves out the first `count` inputs.
  void LeaveOut(uint64_t count) { left_out_ = count; }
  // The next batch, of what is at hand; it may be empty. Returns: false at the end of the inputs.
  // Errors: as InputSource::Fill; the batch holds what came before.
  absl::StatusOr<bool> Next(v1::AppendTasksRequest* batch) ABSL_LOCKS_EXCLUDED(mu_);

  // Inputs read so far, skipped ones with them.
  uint64_t position() const { return position_; }
  // Position of the input of a task. Thread: any.
  uint64_t PositionOf(uint32_t index) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const std::unique_ptr<InputSource> source_;
  const PositionSet* const skip_;
  uint64_t position_ = 0;
  uint64_t left_out_ = 0;
  mutable Mutex mu_;
  PositionMap positions_ ABSL_GUARDED_BY(mu_);
};

class Feeder {
 public:
  // Unfinished tasks, and bytes of their inputs, beyond which no input is read.
  struct Bound {
    uint64_t tasks = 1 << 18;
    uint64_t bytes = 64 << 20;
  };

  // What becomes of the job when the inputs have ended.
  enum class AtEnd { kClose, kLeaveOpen };

  // `appender` names who appends; empty: one that nobody else has. Lifetime: all outlive it.
  Feeder(JobClient* client, Canceller* canceller, Batcher* batcher, uint64_t job_id, Bound bound,
         std::function<void(uint64_t)> on_sent, AtEnd at_end, std::string appender = "");
  ~Feeder();

  // Goes on where an appender of this name stopped: leaves out what it has committed, and at the
  // end of the inputs insists that they were so many. To be called before Start, with nothing read
  // yet. Returns: how many. Errors: as Join.
  absl::StatusOr<uint64_t> Resume();

  // Sends `first`, a batch that was read already, then everything else, then closes the job, if it
  // is to; at a bad input or once cancelled it does so early.
  void Start(v1::AppendTasksRequest first);
  // Waits for that. Returns: what stopped it, if not the end of the inputs: CANCELLED, a bad input,
  // a refusal of the master.
  absl::Status Join();

  // `count` more tasks have a result.
  void Finished(uint64_t count);

  uint64_t sent_count() const { return sent_; }

 private:
  absl::Status CheckPosition() const;
  absl::Status Feed(v1::AppendTasksRequest batch);
  absl::Status Send(v1::AppendTasksRequest batch);
  // Waits until there is room within the bound. Returns: false if cancelled.
  bool WaitForRoom();

  JobClient* const client_;
  Canceller* const canceller_;
  Batcher* const batcher_;
  const uint64_t job_id_;
  const Bound bound_;
  const std::function<void(uint64_t)> on_sent_;
  const AtEnd at_end_;
  TaskAppender appender_;
  uint64_t committed_before_ = 0;
  std::atomic<uint64_t> sent_{0};
  absl::Status status_;  // Read after the thread was joined.
  std::thread thread_;

  Mutex mu_;
  CondVar changed_;
  uint64_t finished_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t unfinished_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  // End index and bytes of each batch that is not finished; results may come in any order, so this
  // is about right.
  std::deque<std::pair<uint64_t, uint64_t>> batches_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_FEEDER_H_
