// Group commit: one thread that commits whatever is queued as soon as the last commit ends. No
// timer.
//
// Thread: Submit and SubmitLogs from any; the callback runs on the store thread.

#ifndef REEVE_MASTER_STORE_STORE_THREAD_H_
#define REEVE_MASTER_STORE_STORE_THREAD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "master/store/store.h"

namespace reeve {

class DiskRoom;

class StoreThread {
 public:
  // `room`: of the store's disk, or null; outlives the thread. A commit for which the disk has no
  // room gives up the reserve, and is then tried again until there is room. `on_committed(number)`:
  // every batch up to `number` is durable. `on_failure`: a commit failed; the default logs and
  // exits 70.
  StoreThread(Store* store, DiskRoom* room, std::function<void(uint64_t number)> on_committed,
              std::function<void(const absl::Status&)> on_failure = {});
  ~StoreThread();

  void Start();
  // Commits what is queued, then ends.
  void Stop();

  // Queues a batch. Never refuses: the loop looks at waiting_bytes() and stops taking work in. At
  // most 8 MiB go into one transaction unless one batch alone is larger.
  void Submit(WriteBatch batch);
  // Queues log pieces; drops them (and counts) when 16 MiB of them wait.
  void SubmitLogs(JobId job, std::vector<StoredLog> logs);

  // Payload bytes submitted and not committed.
  uint64_t waiting_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_STORE_THREAD_H_
