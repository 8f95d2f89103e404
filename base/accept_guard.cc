#include "base/accept_guard.h"

#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>

#include "base/descriptor_limit.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr uint64_t kLeastDescriptors = 512;
constexpr uint64_t kKeptFromConnections = 8;  // One of so many.

std::atomic<int> most_descriptor{INT_MAX};
std::atomic<uint64_t> refused{0};

}  // namespace

void RefuseConnectionsFrom(int most) { most_descriptor.store(most); }

absl::Status MakeRoomForConnections() {
  const uint64_t limit = RaiseDescriptorLimit();
  RefuseConnectionsFrom(
      static_cast<int>(std::min<uint64_t>(INT_MAX, limit - limit / kKeptFromConnections)));
  if (limit >= kLeastDescriptors) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat("only ", limit, " open files are allowed, at least ",
                                              kLeastDescriptors, " are needed (ulimit -n)"));
}

uint64_t refused_connections() { return refused.load(); }

}  // namespace reeve

// Libraries find this one before libc's. Numbers are given out from the lowest free one, so a high
// one means that many are in use. The next connection is taken at once: to an edge-triggered poll,
// which gRPC's is, those that wait behind would be no news.
extern "C" int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  using Accept = int (*)(int, sockaddr*, socklen_t*, int);
  static const auto next = reinterpret_cast<Accept>(dlsym(RTLD_NEXT, "accept4"));
  const socklen_t room = length == nullptr ? 0 : *length;
  for (;;) {
    const int connection = next(fd, address, length, flags);
    if (connection < reeve::most_descriptor.load(std::memory_order_relaxed)) return connection;
    close(connection);
    reeve::refused.fetch_add(1, std::memory_order_relaxed);
    if (length != nullptr) *length = room;
    // libzmq's listeners block, and it asks only when somebody is there.
    pollfd waiting{fd, POLLIN, 0};
    if (poll(&waiting, 1, 0) <= 0) {
      errno = EAGAIN;
      return -1;
    }
  }
}
