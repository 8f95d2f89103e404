// Keeps a process that listens with ZeroMQ within its memory, whatever its peers do.
//
// A message without end grows inside libzmq: its connection is cut. If memory grows all the same,
// the process ends: what it holds is kept elsewhere (the store, workers), and that is better than
// what the kernel would choose to kill.
//
// Thread: any; the watch has its own until the process ends.

#ifndef REEVE_BASE_MEMORY_WATCH_H_
#define REEVE_BASE_MEMORY_WATCH_H_

#include <cstdint>
#include <vector>

namespace reeve {

// Of this process, now.
uint64_t ResidentBytes();

// Ends the process with `exit_code` once it has more resident memory than `most_bytes`. `ports`:
// where its ZeroMQ sockets listen.
void WatchMemory(uint64_t most_bytes, std::vector<uint16_t> ports, int exit_code);

}  // namespace reeve

#endif  // REEVE_BASE_MEMORY_WATCH_H_
