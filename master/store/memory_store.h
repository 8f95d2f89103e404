// The store of EPHEMERAL jobs: gone with the master.
//
// Bounded by the scheduler while jobs run; ended jobs are kept for ten minutes, or until the bytes
// are needed.
//
// Thread: the loop commits, readers read; one lock.

#ifndef REEVE_MASTER_STORE_MEMORY_STORE_H_
#define REEVE_MASTER_STORE_MEMORY_STORE_H_

#include <memory>

#include "absl/time/time.h"
#include "master/store/store.h"

namespace reeve {

struct MemoryStoreOptions {
  // Ended jobs beyond this many bytes are forgotten, oldest first.
  uint64_t max_bytes = 256u << 20;
  absl::Duration keep_ended = absl::Minutes(10);
};

std::unique_ptr<Store> NewMemoryStore(const MemoryStoreOptions& options);

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_MEMORY_STORE_H_
