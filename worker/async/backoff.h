// How long to wait before something is tried again.
//
// Thread: any.

#ifndef REEVE_WORKER_ASYNC_BACKOFF_H_
#define REEVE_WORKER_ASYNC_BACKOFF_H_

#include <cstdint>

#include "absl/time/time.h"
#include "worker/sdk/task_context.h"

namespace reeve {

// After `tries` (from 1) of them: `first`, twice as long each time up to `longest`, and of that
// half to all by chance. The chance is a hash of task and try: tasks that failed together do not
// come back together.
absl::Duration Backoff(absl::Duration first, absl::Duration longest, const AttemptContext& task,
                       uint32_t tries);

}  // namespace reeve

#endif  // REEVE_WORKER_ASYNC_BACKOFF_H_
