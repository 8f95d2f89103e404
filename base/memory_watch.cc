#include "base/memory_watch.h"

#include <unistd.h>

#include <fstream>
#include <utility>

#include "absl/time/clock.h"
#include "base/connection_watch.h"
#include "base/log.h"
#include "base/named_thread.h"

namespace reeve {
namespace {

// Below this nobody looks who sends without end.
constexpr uint64_t kModestBytes = 128 << 20;
// What a connection may bring without a message: a worker sends again what is not acknowledged, 16
// MiB at most, also while nobody receives.
constexpr uint64_t kEndlessBytes = 64 << 20;

}  // namespace

uint64_t ResidentBytes() {
  uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void WatchMemory(uint64_t most_bytes, std::vector<uint16_t> ports, int exit_code) {
  NamedThread("memory-watch", [most_bytes, exit_code,
                               watch = ConnectionWatch(std::move(ports), kEndlessBytes)]() mutable {
    for (;;) {
      const uint64_t resident = ResidentBytes();
      if (resident > most_bytes) {
        REEVE_LOG_ERROR("memory is above its bound, ending resident_bytes={} most_bytes={}",
                        resident, most_bytes);
        _exit(exit_code);
      }
      if (const size_t ended = resident > kModestBytes ? watch.EndEndless() : 0; ended > 0)
        REEVE_LOG_ERROR("connections cut that sent without end count={}", ended);
      absl::SleepFor(absl::Milliseconds(50));
    }
  }).detach();
}

}  // namespace reeve
