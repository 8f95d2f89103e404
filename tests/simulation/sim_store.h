// The durable store in memory: takes write batches, commits whatever is queued when the last commit
// ends, and gives the next life of the master its Image.
//
// A commit takes time; it may fail (the master dies, whether or not it was committed), and its
// answer may be lost with the master.

#ifndef REEVE_TESTS_SIMULATION_SIM_STORE_H_
#define REEVE_TESTS_SIMULATION_SIM_STORE_H_

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/input_batch.h"
#include "base/interval_set.h"
#include "tests/simulation/world.h"

namespace reeve::sim {

struct TaskRow {
  TaskState state = TaskState::kUnspecified;  // kUnspecified: not terminal.
  uint32_t failures = 0;                      // Recorded ones that did not end it.
  uint32_t suspicions = 0, crashes = 0;
};

struct JobRow {
  PutJob put;
  IntervalSet selected;  // Of a retry job: the tasks that it has.
  JobState state = JobState::kUnspecified;
  uint32_t frontier = 0;
  std::vector<ChunkImage> chunks;
  std::vector<InputsRef> inputs;  // Of each chunk.
  std::map<std::string, uint64_t> appenders;
  std::vector<ResultRun> results;
  std::vector<RetryOutcome> retries;
  uint64_t last_seq = 0;
  std::vector<InputKey> keys;
  TaskCounts counts;
  std::vector<TaskRow> tasks;
  std::vector<Run> cancelled;
  bool paused = false;
  Ending ending;
  // EPHEMERAL: what has been given back.
  std::set<TaskIndex> dropped_inputs;  // First indexes of chunks.
  uint64_t dropped_results = 0;        // Through this seq.
  std::vector<uint64_t> result_bytes;  // Of each seq.

  bool ephemeral() const { return put.options.ephemeral; }
  uint64_t kept_result_bytes() const;
  uint32_t total() const { return static_cast<uint32_t>(tasks.size()); }
  // Whether the index is a task of it.
  bool Has(TaskIndex index) const { return put.selected.empty() || selected.Contains(index); }
  const ChunkImage* ChunkOf(TaskIndex index) const;
};

// Sees every write just before it is applied.
class StoreWatcher {
 public:
  virtual ~StoreWatcher() = default;
  virtual void OnApply(const Write& write) = 0;
};

class SimStore {
 public:
  SimStore(World* world, StoreWatcher* watcher) : world_(world), watcher_(watcher) {}

  // ---- For the master of the current life ----
  Image Load();
  void Submit(WriteBatch batch);
  // The memory store: committed at once, gone with the master.
  void CommitMemory(const WriteBatch& batch) { Apply(batch); }
  InputsRef Inputs(JobId job, TaskIndex first) const;

  // kCommitDone. Returns: false if the commit failed and the master must stop.
  bool OnCommitDone(uint64_t* committed);
  // The master is dead. `applied`: the transaction under way is committed all the same.
  void OnMasterDied(bool applied);
  // The master that hears of it is back after `back`.
  void FailNext(bool applied, int64_t back) {
    fail_next_ = true;
    fail_applies_ = applied;
    fail_back_ = back;
  }
  bool fail_applies() const { return fail_applies_; }
  int64_t fail_back() const { return fail_back_; }
  void Slow(int64_t extra, int64_t until) {
    slow_extra_ = extra;
    slow_until_ = until;
  }
  void Heal() {
    fail_next_ = false;
    slow_until_ = 0;
  }

  // ---- What is durable ----
  const JobRow* Find(JobId job) const;
  const std::map<JobId, JobRow>& jobs() const { return jobs_; }
  // Durably, or with the memory store of this life.
  bool IsDeleted(JobId job) const { return deleted_.contains(job); }
  JobId JobOf(const std::string& request) const;
  const std::map<std::string, QueueSettings>& queues() const { return queues_; }
  // By name: all have the same owner.
  const std::map<std::string, PutSchedule>& schedules() const { return schedules_; }
  bool HadSchedule(const std::string& name) const { return had_schedules_.contains(name); }
  const std::set<std::string>& drained() const { return drained_; }
  bool InRoster(const std::string& worker_id) const { return roster_.contains(worker_id); }
  // 0: it is not in the roster.
  WorkerNumber NumberOf(const std::string& worker_id) const;
  uint64_t committed() const { return committed_; }
  uint64_t life() const { return epoch_; }
  JobId ids_below() const { return JobId(job_ids_below_); }
  // Submitted and not committed, oldest first.
  const std::deque<WriteBatch>& pending() const { return pending_; }

 private:
  void Begin();
  void Apply(const WriteBatch& batch);
  void Apply(const PutJob& put);
  void Apply(const PutJobState& put);
  void Apply(const PutInputs& put);
  void Apply(const PutAppender& put) { jobs_[put.job].appenders[put.appender] = put.offset; }
  void Apply(const PutResults& put);
  void Apply(const PutFrontier& put) { jobs_[put.job].frontier = put.frontier; }
  void Apply(const PutRoster& put) { roster_[put.worker_id] = put.number; }
  void Apply(const DropRoster& put) { roster_.erase(put.worker_id); }
  void Apply(const ReserveJobIds& put) { job_ids_below_ = put.below.value; }
  void Apply(const DropInputs& put) { jobs_[put.job].dropped_inputs.insert(put.first); }
  void Apply(const DropResults& put) { jobs_[put.job].dropped_results = put.through; }
  void Apply(const PutJobOptions& put);
  void Apply(const DropJob& drop);
  void Apply(const PutDrained& put);
  void Apply(const PutQueue& put) { queues_[put.settings.name] = put.settings; }
  void Apply(const DropQueue& drop) { queues_.erase(drop.name); }
  void Apply(const PutSchedule& put);
  void Apply(const DropSchedule& drop) { schedules_.erase(drop.name); }
  void LoadJob(const JobRow& row, Image* image) const;
  // Both stores are told to drop a job that is in one of them; here all are in one map.
  bool IsElsewhere(StoreKind store, const Write& write) const;

  World* world_;
  StoreWatcher* watcher_;
  std::map<JobId, JobRow> jobs_;
  std::map<std::string, JobId> requests_;
  std::map<std::string, WorkerNumber> roster_;
  std::map<std::string, QueueSettings> queues_;
  std::map<std::string, PutSchedule> schedules_;
  std::set<std::string> drained_, had_schedules_;
  std::set<JobId> deleted_;
  uint64_t epoch_ = 0, job_ids_below_ = 1;
  std::deque<WriteBatch> pending_;
  size_t under_way_ = 0;  // The first so many of `pending_` are being committed.
  uint64_t committed_ = 0;
  bool fail_next_ = false, fail_applies_ = false;
  int64_t fail_back_ = 0;
  int64_t slow_extra_ = 0, slow_until_ = 0;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SIM_STORE_H_
