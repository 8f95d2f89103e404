// What a store remembers, as the scheduler needs it to go on: chunk metadata and summaries, never
// payloads.
//
// Read once at start (Store::Load), consumed by the Scheduler's constructor.

#ifndef REEVE_MASTER_SCHEDULER_IMAGE_H_
#define REEVE_MASTER_SCHEDULER_IMAGE_H_

#include <map>
#include <string>
#include <vector>

#include "master/scheduler/effects.h"

namespace reeve {

struct ChunkImage {
  Run run;
  Birth birth;
  uint64_t bytes = 0;
  PositionsRef positions;  // As in PutInputs, and what follows.
  std::vector<uint64_t> task_keys;
  JobId source;
};

// A job that has not ended. Ended ones stay in the store and are answered from there.
struct JobImage {
  PutJob job;
  JobState state = JobState::kUnspecified;
  uint32_t frontier = 0;
  std::vector<ChunkImage> chunks;  // Ascending, without gaps; one without bytes for an array.
  std::map<std::string, uint64_t> appenders;  // Committed offsets.
  std::vector<ResultRun> results;             // Terminal runs of all result rows, in order of seq.
  std::vector<RetryOutcome>
      retries;  // In order of seq; the last for an index stands, unless it is terminal.
  uint64_t last_seq = 0;
  // Of a job that accepts inputs: the keys of its tasks, and the last recorded counts of what was
  // dropped.
  std::vector<InputKey> keys;
  uint64_t duplicate_inputs = 0, dropped_inputs = 0;
  std::map<std::string, int64_t> counters;
  bool paused = false;
  Ending ending;
  // Those of its extras->after that have ended, as the store has them.
  std::vector<EndedJob> ended;
};

struct ScheduleImage {
  std::string owner, name;
  Buffer record;
  ScheduleProgress progress;
  std::string request_id;
  uint64_t content_hash = 0;
  // Not in the store: made of `record` by the service before the scheduler begins.
  ScheduleSettings settings;
};

struct RosterImage {
  std::string worker_id;
  WorkerNumber number;
};

struct RequestImage {
  std::string request_id;
  uint64_t content_hash = 0;
  JobId job;
  absl::Time create_time;
};

struct Image {
  Epoch epoch;                 // Of this life: already one higher than the last, and durable.
  JobId next_job;              // Lowest id never reserved.
  std::vector<JobImage> jobs;  // Ascending by id.
  std::vector<RosterImage> roster;
  std::vector<std::string> drained;  // worker_ids that are drained to stay.
  std::vector<QueueSettings> queues;
  std::vector<ScheduleImage> schedules;
  std::vector<RequestImage> requests;  // Of the last 24 h; newest 1 M.
};

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_IMAGE_H_
