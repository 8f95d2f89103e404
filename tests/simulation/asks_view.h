// Jobs and queues as the scheduler has decided them, from what it hands out to be written: what a
// check of an assignment must go by, as assignments may overtake their commit.

#ifndef REEVE_TESTS_SIMULATION_ASKS_VIEW_H_
#define REEVE_TESTS_SIMULATION_ASKS_VIEW_H_

#include <map>
#include <string>
#include <vector>

#include "tests/simulation/sim_store.h"

namespace reeve::sim {

struct AskedJob {
  JobId id;
  JobOptions options;
  std::string request;
  JobState state = JobState::kActive;
  bool paused = false;
  Ending ending;
  uint64_t plan = 0;
  int64_t since = 0;            // When it came, or this life began.
  uint32_t most_in_flight = 0;  // The highest limit it ever had; 0: none.
  std::vector<ChunkImage> chunks;
  IntervalSet selected;  // Of a retry job.

  const JobExtras* extras() const { return options.extras.get(); }
  std::string queue() const { return options.queue.empty() ? "default" : options.queue; }
  uint32_t total() const { return chunks.empty() ? 0 : chunks.back().run.end(); }
  const ChunkImage* ChunkOf(TaskIndex index) const;
  // 0: it has none.
  uint64_t KeyOf(TaskIndex index) const;
  bool Has(TaskIndex index) const { return selected.empty() || selected.Contains(index); }
};

struct AskedQueue {
  QueueSettings settings;
  uint32_t most_in_flight = 0;  // The highest limit since it had jobs; 0: none.
};

class AsksView {
 public:
  AsksView(World* world, const SimStore* const* store) : world_(world), store_(store) {}

  // A new life begins with what is durable.
  void OnLife();
  void Apply(const Write& write);

  const AskedJob* Find(JobId job) const;
  // By id; those that have ended, too.
  const std::map<JobId, AskedJob>& jobs() const { return jobs_; }
  const AskedQueue* FindQueue(const std::string& name) const;
  size_t queues() const { return queues_.size(); }  // That are set up.
  // The wall clock as the scheduler reckons due times: as if nobody had set it in this life.
  absl::Time Steady() const;

 private:
  void Apply(const PutJob& put);
  void Apply(const PutJobState& put);
  void Apply(const PutJobOptions& put);
  void Apply(const PutInputs& put);
  void Apply(const PutQueue& put);
  void Apply(const DropJob& put) { jobs_.erase(put.job); }
  void Apply(const DropQueue& put) { queues_.erase(put.name); }
  template <typename T>
  void Apply(const T&) {}

  World* world_;
  const SimStore* const* store_;
  std::map<JobId, AskedJob> jobs_;
  std::map<std::string, AskedQueue> queues_;
  int64_t born_offset_ = 0;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_ASKS_VIEW_H_
