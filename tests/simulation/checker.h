// What must hold, whatever fails: checked at every commit, reply, acknowledgement, assignment and
// execution (reliability.md, G1 to G8 and §6).
//
// It keeps its own books from what it sees at the edges and never asks the scheduler what is right.

#ifndef REEVE_TESTS_SIMULATION_CHECKER_H_
#define REEVE_TESTS_SIMULATION_CHECKER_H_

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/btree_map.h"
#include "tests/simulation/asks_book.h"
#include "tests/simulation/bounds_book.h"
#include "tests/simulation/loss_book.h"
#include "tests/simulation/work.h"

namespace reeve::sim {

// A report of a lane, found again by the number at the head of its body.
struct BatchRecord {
  JobId job;
  Birth birth;
  struct Entry {
    TaskIndex index = 0;
    uint32_t attempt = 1;
    TaskState state = TaskState::kSucceeded;
    FailedEntry failure;  // How it failed.
  };
  std::vector<Entry> entries;
};

class Checker final : public StoreWatcher {
 public:
  explicit Checker(World* world)
      : world_(world), losses_(world, &store_), bounds_(world, &store_), asks_(world, &store_) {}
  void Use(const SimStore* store) { store_ = store; }

  // ---- Master ----
  void OnLife(const Image& image);
  void OnApply(const Write& write) override;
  // Decided, and about to be written.
  void OnSubmitted(const WriteBatch& batch);
  void AfterWrites() {
    bounds_.AfterWrites();
    asks_.AfterWrites();
  }
  // What a new life has made of what is durable.
  void OnRestored(const std::vector<JobView>& jobs);
  void OnQueues(const std::vector<QueueView>& queues) { asks_.OnQueues(queues); }
  void OnWorkers(const std::vector<WorkerView>& workers) {
    bounds_.OnWorkers(workers);
    asks_.OnWorkers(workers);
  }
  void OnHello(const Hello& hello) {
    losses_.OnHello(hello);
    bounds_.OnHello(hello);
  }
  void OnCursor(const CursorMoved& moved) { bounds_.OnCursor(moved); }
  void OnArrived(const ResultsArrived& arrived);
  void OnAssigned(const Assignment& assignment, const std::string& worker_id);
  void OnWelcome(SessionId session, const SendWelcome& welcome, const std::string& worker_id);
  void OnJobReply(const std::string& request, bool create, JobState at_least,
                  const JobReply& reply);
  void OnJobsReply(const std::string& request, const JobsReply& reply);
  // The job is, or is no longer, held back by whoever called.
  void OnPauseReply(bool paused, const JobReply& reply);
  void OnDeleteReply(JobId job, const absl::Status& status);
  void OnAppendReply(const std::string& appender, const AppendReply& reply);
  void OnAck(const AckResults& ack);
  void OnResultsNotice(const ResultsNotice& notice);
  void OnJobNotice(const JobNotice& notice);

  // ---- Workers ----
  uint64_t OnReport(BatchRecord record);
  void OnSent(SessionId session, uint64_t number, const Buffer& body);
  // `value`: names the task whatever job it is in.
  void OnBegin(JobId job, Birth birth, TaskIndex index, uint64_t value, bool at_most_once);
  void OnExclusiveBegin(JobId job, TaskIndex index, uint64_t value);
  void OnExclusiveEnd(uint64_t value) { exclusive_.erase(value); }
  // At its deadline: it has to run again.
  void OnStopped(JobId job, Birth birth, TaskIndex index) {
    ++executions_[{job.value, birth, index}].failed;
  }
  // How often it has begun.
  uint32_t begun(JobId job, Birth birth, TaskIndex index) const;
  void OnDeath(const Death& death) { losses_.OnDeath(death); }
  void OnRunning(const Place& place, JobId job, Birth birth, TaskIndex index) {
    asks_.limits().OnRunning(place, SessionOf(place.worker, place.process), job, birth, index);
  }
  void OnEnd(const Place& place, JobId job, Birth birth, TaskIndex index, TaskState state);
  void OnProcessEnd(uint32_t worker, uint64_t process) {
    asks_.limits().OnProcessEnd(worker, process);
  }
  // What stands in the body, as the collector finds it there.
  FailedEntry FailureIn(const Buffer& body, const agent::Failed& failed) const;

  // At the end: whatever was acknowledged is there, and if `finished`, has come to its end.
  void AtEnd(bool finished);
  bool AllEnded() const;

 private:
  using TaskKey = std::tuple<uint64_t, Birth, TaskIndex>;
  void Check(const PutJob& put);
  void Check(const PutJobState& put);
  void Check(const PutInputs& put);
  void Check(const PutAppender& put);
  void Check(const PutResults& put);
  void Check(const PutRoster&) {}
  void Check(const PutFrontier& put);
  void Check(const DropRoster& put);
  void Check(const ReserveJobIds& put);
  void Check(const DropInputs& put) { bounds_.Check(put); }
  void Check(const DropResults& put) { bounds_.Check(put); }
  void Check(const PutJobOptions&) {}
  void Check(const DropJob&) {}
  void Check(const PutDrained&) {}
  void Check(const PutQueue&) {}
  void Check(const DropQueue&) {}
  void Check(const PutSchedule&) {}
  void Check(const DropSchedule&) {}
  void CheckNodes(const PutInputs& put, const JobRow& row);
  void CheckShared(const PutInputs& put, const JobRow& row);
  // What a transaction adds comes with the result of a task that adds it.
  void CheckAdded(const WriteBatch& batch);
  void CheckCounted(const WriteBatch& batch);
  void CheckNothingLost(const JobRow& row);
  void CheckEnd(const PutJobState& put, const JobRow& row);
  void CheckEntry(const PutResults& put, const JobRow& row, TaskIndex index, uint32_t position,
                  TaskState state);
  void CheckPoison(const JobRow& row);
  // A row that the master wrote by itself.
  void CheckOwn(const PutResults& put, const JobRow& row);
  // How the attempt failed that a batch reports.
  const FailedEntry& FailureOf(uint64_t uid, TaskIndex index) const;
  void CheckFailed(const PutResults& put, const JobRow& row, TaskIndex index);
  void CheckRetry(const PutResults& put, const JobRow& row, const RetryOutcome& retry);
  void CheckSpan(const AssignedSpan& span, SessionId session);
  void CheckFrontier(const AssignedSpan& span);
  void Require(bool holds, const char* what, uint64_t a = 0, uint64_t b = 0);

  World* world_;
  const SimStore* store_ = nullptr;
  uint64_t epoch_ = 0;
  std::set<Birth> births_;              // Durable ones.
  std::set<std::string> welcomed_;      // Workers that came in this life.
  std::map<std::string, JobId> acked_;  // By request.
  std::map<std::string, JobState> acked_states_;
  // Who may report an index in this life: the last lease given for it.
  absl::btree_map<std::pair<JobId, TaskIndex>, LeaseSeq> holder_;
  // (batch, index) whose lease was current when its frame was stepped.
  std::set<std::pair<uint64_t, TaskIndex>> current_;
  std::set<std::pair<uint64_t, TaskIndex>>
      retried_;  // (batch, index): durable as a failed attempt.
  std::vector<BatchRecord> batches_;
  std::map<std::pair<SessionId, uint64_t>, uint64_t> batch_of_;
  struct Executions {
    uint32_t begun = 0, failed = 0;
  };
  absl::btree_map<TaskKey, Executions> executions_;
  std::set<uint64_t> exclusive_;   // Values of exclusive tasks that run.
  std::set<uint64_t> begun_once_;  // Values of at-most-once tasks that have begun.
  std::set<JobId> known_ids_;      // To a worker or a client.
  std::set<JobId> ephemeral_;      // All there ever were.
  // Inputs of tasks that a submitted transaction holds, of jobs that accept new ones.
  std::map<JobId, std::map<TaskIndex, std::string>> nodes_;
  std::map<JobId, std::map<std::string, int64_t>> counters_;  // Of jobs that count.
  LossBook losses_;
  BoundsBook bounds_;
  AsksBook asks_;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_CHECKER_H_
