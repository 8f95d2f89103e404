// Finds a job wherever it is: with the scheduler while it runs, in a store once it has ended.
//
// Thread: any; `done` runs on the loop or the reader thread.

#ifndef REEVE_MASTER_SERVICE_JOB_FINDER_H_
#define REEVE_MASTER_SERVICE_JOB_FINDER_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "master/access/principal.h"
#include "master/runtime/master_loop.h"
#include "master/service/hub.h"
#include "master/store/reader_thread.h"

namespace reeve {

// What the service's parts share, and for whom a call works.
struct ServiceParts {
  MasterLoop* loop;
  ReaderThread* reader;
  Hub* hub;
  std::shared_ptr<const Principal> principal;  // Null: one who may see and control everything.
};

struct FoundJob {
  StoredJob job;      // `view` always; the rest for ended jobs only.
  bool live = false;  // With the scheduler.
  StoreKind store = StoreKind::kDurable;
};

// With `listener`: it is subscribed on the loop thread, so that it misses no notice after what is
// found; a job that has ended leaves it unsubscribed. Errors: NOT_FOUND JOB_NOT_FOUND, also for
// jobs that the principal may not see; those of MasterLoop::Query and of the stores.
void FindJob(const ServiceParts& parts, JobId job, std::shared_ptr<JobListener> listener,
             std::function<void(absl::StatusOr<FoundJob>)> done);

// With `selected` as the store has it, if it is one that tries tasks of another
// again and has not ended: the scheduler does not tell which tasks it has. Errors: as FindJob.
void AddSelected(const ServiceParts& parts, FoundJob found,
                 std::function<void(absl::StatusOr<FoundJob>)> done);

enum class Wish { kSee, kControl };
// Says OK, at once for those who may do it with every job.
// Errors: as FindJob; PERMISSION_DENIED NOT_PERMITTED  it sees the job and may not control it.
void CheckJob(const ServiceParts& parts, JobId job, Wish wish,
              std::function<void(absl::Status)> done);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_JOB_FINDER_H_
