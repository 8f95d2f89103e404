// Reads of single tasks: from the scheduler what has not ended, from the store what has.
//
// Thread: any; `done` runs on the loop or the reader thread.

#ifndef REEVE_MASTER_SERVICE_TASK_READS_H_
#define REEVE_MASTER_SERVICE_TASK_READS_H_

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "master/service/job_finder.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

// Errors: NOT_FOUND JOB_NOT_FOUND, TASK_NOT_FOUND.
void ReadTask(const ServiceParts& parts, JobId job, TaskIndex index,
              std::function<void(absl::StatusOr<v1::ExplainTaskResponse>)> done);

struct TaskPage {
  std::vector<v1::Task> tasks;
  TaskIndex next = 0;  // 0: that was all.
};
// Tasks from index `from` on, in one of `states` (empty: all), at most `limit`.
void ReadTasks(const ServiceParts& parts, JobId job, TaskIndex from, std::vector<TaskState> states,
               size_t limit, std::function<void(absl::StatusOr<TaskPage>)> done);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_TASK_READS_H_
