// Where results wait to be acknowledged: in memory up to a bound, then in a file without a name.
//
// The file dies with the process, as the results do: a worker that is gone has lost its leases, and
// its tasks run again. So nothing is synced. A result that the file does not take (full, or the
// disk is) stays in memory; the agent takes no more work once its own bound is reached.
//
// Thread: any; buffers may outlive the spool.

#ifndef REEVE_WORKER_RUNTIME_SPOOL_H_
#define REEVE_WORKER_RUNTIME_SPOOL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/buffer.h"

namespace reeve {

struct SpoolOptions {
  std::string folder;                       // Of the file, made when it is first needed.
  uint64_t memory_bytes = 64u << 20;        // Kept in memory.
  uint64_t file_bytes = uint64_t{1} << 30;  // Most in the file.
};

class Spool {
 public:
  explicit Spool(SpoolOptions options);

  // Takes a result over. Its room is free again once the last copy of the buffer is gone.
  Buffer Keep(std::string bytes);

  uint64_t memory_bytes() const;
  uint64_t file_bytes() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_RUNTIME_SPOOL_H_
