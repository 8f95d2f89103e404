// `reeve schedule …`: jobs that are made again and again, or later.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_SCHEDULES_H_
#define REEVE_CLIENT_COMMANDS_SCHEDULES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/commands/map.h"
#include "client/commands/session.h"

namespace reeve {

struct ScheduleOptions {
  std::string name;

  // ---- When: one of these ----
  std::string cron;
  std::string every;  // A duration.
  std::string at;     // See client/input/point_in_time.h.

  std::string zone;     // Of `cron` and `at`; empty: UTC, and the client's.
  std::string overlap;  // Names of the API, in any case; empty: the default.
  std::string catch_up;
  std::string jitter;   // A duration.
  uint32_t count = 0;   // So many jobs, then no more; 0: no end.
  bool paused = false;  // From the beginning.
  MapOptions tasks;     // The job, and its request id.
};

// One that is there. `owner`: for an admin; empty: the caller's own.
struct ScheduleName {
  std::string name, owner;
};

absl::StatusOr<int> RunScheduleCreate(Session& session, const ScheduleOptions& options);
absl::StatusOr<int> RunScheduleList(Session& session);
absl::StatusOr<int> RunScheduleGet(Session& session, const ScheduleName& schedule);
absl::StatusOr<int> RunSchedulePause(Session& session, const ScheduleName& schedule);
absl::StatusOr<int> RunScheduleResume(Session& session, const ScheduleName& schedule);
// Makes a job now and prints its id.
absl::StatusOr<int> RunScheduleRun(Session& session, const ScheduleName& schedule);
// Prints the next `count` fire times, in the schedule's zone.
absl::StatusOr<int> RunScheduleNext(Session& session, const ScheduleName& schedule, uint32_t count);
absl::StatusOr<int> RunScheduleDelete(Session& session, const ScheduleName& schedule);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_SCHEDULES_H_
