#include "master/store/memory_store.h"

#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/input_batch.h"
#include "base/mutex.h"
#include "base/strings.h"

namespace reeve {
namespace {

struct MemoryJob {
  StoredJob stored;
  std::map<TaskIndex, Buffer> inputs;
  std::map<std::string, uint64_t> appenders;
  std::vector<StoredResults> results;  // By seq, without gaps.
  uint64_t dropped = 0;                // The bodies through this seq are gone.
  std::deque<StoredLog> logs;
  uint64_t bytes = 0;
};

struct Memory {
  MemoryStoreOptions options;
  mutable Mutex mu;
  std::map<JobId, MemoryJob> jobs ABSL_GUARDED_BY(mu);
  std::deque<JobId> ended ABSL_GUARDED_BY(mu);
  std::multiset<JobId> needed ABSL_GUARDED_BY(mu);  // By unfinished jobs, once for each.
  uint64_t bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t next_log ABSL_GUARDED_BY(mu) = 1;

  void Apply(const PutJob& put) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    MemoryJob& job = jobs[put.view.job];
    job.stored.view = put.view;
    job.stored.options = put.options;
    job.stored.array_count = put.array_count;
    job.stored.selected = put.selected;
    job.stored.view.priority = put.options.priority;
    job.stored.view.max_in_flight = put.options.max_in_flight;
    if (put.options.extras == nullptr) return;
    for (const JobDependency& dependency : put.options.extras->after) needed.insert(dependency.job);
  }
  void Apply(const PutJobState& put) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    MemoryJob& job = jobs[put.job];
    job.stored.view.state = put.state;
    job.stored.view.counts = put.counts;
    job.stored.view.end_time = put.end_time;
    job.stored.cancelled = put.cancelled;
    job.stored.view.paused = put.paused;
    job.stored.view.cause = put.ending.cause;
    if (!IsTerminal(put.state)) return;
    if (job.stored.options.extras != nullptr) {
      for (const JobDependency& dependency : job.stored.options.extras->after) {
        const auto one = needed.find(dependency.job);
        if (one != needed.end()) needed.erase(one);
      }
    }
    for (const auto& [first, inputs] : job.inputs) {
      job.bytes -= inputs.size();
      bytes -= inputs.size();
    }
    job.inputs.clear();
    ended.push_back(put.job);
  }
  void Apply(const PutInputs& put) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    MemoryJob& job = jobs[put.job];
    if (!put.appender.empty()) job.appenders[put.appender] = put.appender_offset;
    if (put.inputs == nullptr) return;
    job.inputs[put.run.first] = put.inputs->wire();
    job.bytes += put.inputs->wire().size();
    bytes += put.inputs->wire().size();
  }
  void Apply(const PutResults& put) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    MemoryJob& job = jobs[put.job];
    job.results.push_back({put.seq, put.runs, put.body});
    job.stored.last_seq = put.seq;
    job.bytes += put.body.size();
    bytes += put.body.size();
  }
  void Apply(const PutAppender& put) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    jobs[put.job].appenders[put.appender] = put.offset;
  }
  void Apply(const PutFrontier&) {}
  void Apply(const PutRoster&) {}
  void Apply(const DropRoster&) {}
  void Apply(const ReserveJobIds&) {}
  void Apply(const PutJobOptions& put) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    StoredJob& job = jobs[put.job].stored;
    job.options.priority = job.view.priority = put.priority;
    job.options.max_in_flight = job.view.max_in_flight = put.max_in_flight;
  }
  void Apply(const DropJob& drop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const auto job = jobs.find(drop.job);
    if (job == jobs.end() || needed.contains(drop.job)) return;
    bytes -= job->second.bytes;
    jobs.erase(job);
  }
  // Of the cluster, not of a job: the durable store has them.
  void Apply(const PutDrained&) {}
  void Apply(const PutQueue&) {}
  void Apply(const DropQueue&) {}
  void Apply(const PutSchedule&) {}
  void Apply(const DropSchedule&) {}
  void Apply(const DropInputs& drop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    MemoryJob& job = jobs[drop.job];
    const auto inputs = job.inputs.find(drop.first);
    if (inputs == job.inputs.end()) return;
    job.bytes -= inputs->second.size();
    bytes -= inputs->second.size();
    job.inputs.erase(inputs);
  }
  void Apply(const DropResults& drop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    MemoryJob& job = jobs[drop.job];
    for (; job.dropped < drop.through; ++job.dropped) {
      Buffer& body = job.results[job.dropped].body;
      job.bytes -= body.size();
      bytes -= body.size();
      body = {};
    }
  }

  void ForgetEnded(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    for (auto it = ended.begin(); it != ended.end();) {
      const auto oldest = jobs.find(*it);
      if (oldest != jobs.end()) {
        if (bytes <= options.max_bytes &&
            now - oldest->second.stored.view.end_time < options.keep_ended)
          return;
        if (needed.contains(*it)) {
          ++it;
          continue;
        }
        bytes -= oldest->second.bytes;
        jobs.erase(oldest);
      }
      it = ended.erase(it);
    }
  }
};

absl::Status NoJob(JobId job) { return absl::NotFoundError(StrCat("job ", job.value)); }

class MemoryReader final : public StoreReader {
 public:
  explicit MemoryReader(std::shared_ptr<Memory> memory) : memory_(std::move(memory)) {}

  absl::StatusOr<StoredJob> ReadJob(JobId job) override {
    MutexLock lock(&memory_->mu);
    const auto it = memory_->jobs.find(job);
    if (it == memory_->jobs.end()) return NoJob(job);
    return it->second.stored;
  }

  absl::StatusOr<std::vector<StoredJob>> ListJobs(JobId before, absl::Span<const JobState> states,
                                                  size_t limit) override {
    MutexLock lock(&memory_->mu);
    std::vector<StoredJob> jobs;
    auto it = before ? memory_->jobs.lower_bound(before) : memory_->jobs.end();
    while (it != memory_->jobs.begin() && jobs.size() < limit) {
      const StoredJob& job = (--it)->second.stored;
      bool wanted = states.empty();
      for (const JobState state : states) wanted = wanted || state == job.view.state;
      if (wanted) jobs.push_back(job);
    }
    return jobs;
  }

  absl::StatusOr<std::vector<StoredResults>> ReadResults(JobId job, uint64_t after,
                                                         uint64_t max_bytes) override {
    return Results(job, after, SIZE_MAX, max_bytes, true);
  }
  absl::StatusOr<std::vector<StoredResults>> ReadResultRuns(JobId job, uint64_t after,
                                                            size_t limit) override {
    return Results(job, after, limit, UINT64_MAX, false);
  }
  absl::StatusOr<StoredResults> ReadResult(JobId job, uint64_t seq) override {
    auto rows = Results(job, seq - 1, 1, UINT64_MAX, true);
    if (!rows.ok()) return rows.status();
    if (rows->empty()) return absl::NotFoundError(StrCat("result ", seq));
    return std::move(rows->front());
  }

  absl::StatusOr<Buffer> ReadInputs(JobId job, TaskIndex first) override {
    MutexLock lock(&memory_->mu);
    const auto it = memory_->jobs.find(job);
    if (it == memory_->jobs.end()) return NoJob(job);
    const auto inputs = it->second.inputs.find(first);
    if (inputs == it->second.inputs.end())
      return absl::NotFoundError(StrCat("inputs of ", TaskName(job, first)));
    return inputs->second;
  }

  // Inputs go with the tasks that had them: those of an ended job are not kept.
  absl::StatusOr<std::vector<ChunkImage>> ReadChunks(JobId job) override {
    return absl::NotFoundError(StrCat("inputs of job ", job.value, ", which is EPHEMERAL"));
  }

  absl::StatusOr<uint64_t> ReadAppender(JobId job, const std::string& appender) override {
    MutexLock lock(&memory_->mu);
    const auto it = memory_->jobs.find(job);
    if (it == memory_->jobs.end()) return NoJob(job);
    const auto offset = it->second.appenders.find(appender);
    if (offset == it->second.appenders.end())
      return absl::NotFoundError(StrCat("appender ", appender));
    return offset->second;
  }

  absl::StatusOr<std::vector<StoredLog>> ReadLogs(JobId job, std::optional<TaskIndex> index,
                                                  uint64_t after, uint64_t max_bytes) override {
    MutexLock lock(&memory_->mu);
    const auto it = memory_->jobs.find(job);
    if (it == memory_->jobs.end()) return NoJob(job);
    std::vector<StoredLog> logs;
    uint64_t bytes = 0;
    for (const StoredLog& log : it->second.logs) {
      if (log.row <= after || (index.has_value() && log.index != *index)) continue;
      logs.push_back(log);
      bytes += log.content.size();
      if (bytes >= max_bytes) break;
    }
    return logs;
  }

 private:
  absl::StatusOr<std::vector<StoredResults>> Results(JobId job, uint64_t after, size_t limit,
                                                     uint64_t max_bytes, bool with_bytes) {
    MutexLock lock(&memory_->mu);
    const auto it = memory_->jobs.find(job);
    if (it == memory_->jobs.end()) return NoJob(job);
    if (with_bytes && after < it->second.dropped)
      return absl::NotFoundError(StrCat("results through ", it->second.dropped, " are gone"));
    const std::vector<StoredResults>& all = it->second.results;
    std::vector<StoredResults> rows;
    uint64_t bytes = 0;
    for (size_t i = after; i < all.size() && rows.size() < limit && bytes < max_bytes; ++i) {
      rows.push_back(all[i]);
      bytes += all[i].body.size();
      if (!with_bytes) rows.back().body = {};
    }
    return rows;
  }

  std::shared_ptr<Memory> memory_;
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(const MemoryStoreOptions& options) { memory_->options = options; }

  absl::StatusOr<Image> Load() override {
    Image image;
    image.epoch = Epoch(1);
    image.next_job = JobId(1);
    return image;
  }

  absl::Status Commit(absl::Span<const WriteBatch> batches) override {
    MutexLock lock(&memory_->mu);
    absl::Time latest = absl::InfinitePast();
    for (const WriteBatch& batch : batches) {
      for (const Write& write : batch.writes) {
        std::visit([this](const auto& put)
                       ABSL_EXCLUSIVE_LOCKS_REQUIRED(memory_->mu) { memory_->Apply(put); },
                   write);
        if (const auto* put = std::get_if<PutJob>(&write))
          latest = std::max(latest, put->view.create_time);
      }
    }
    memory_->ForgetEnded(latest);
    return absl::OkStatus();
  }

  absl::Status CommitLogs(JobId job, absl::Span<const StoredLog> logs) override {
    MutexLock lock(&memory_->mu);
    const auto it = memory_->jobs.find(job);
    if (it == memory_->jobs.end()) return NoJob(job);
    for (StoredLog log : logs) {
      log.row = memory_->next_log++;
      it->second.bytes += log.content.size();
      memory_->bytes += log.content.size();
      it->second.logs.push_back(std::move(log));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Forget() override { return false; }  // Commit does.
  absl::Status Idle() override { return absl::OkStatus(); }

  absl::StatusOr<std::unique_ptr<StoreReader>> NewReader() override {
    return std::unique_ptr<StoreReader>(std::make_unique<MemoryReader>(memory_));
  }

 private:
  const std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore(const MemoryStoreOptions& options) {
  return std::make_unique<MemoryStore>(options);
}

}  // namespace reeve
