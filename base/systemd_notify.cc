#include "base/systemd_notify.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"

namespace reeve {
namespace {

// The value, which the environment has no longer.
std::string Take(const char* name) {
  const char* value = std::getenv(name);
  std::string taken = value == nullptr ? "" : value;
  unsetenv(name);
  return taken;
}

// Returns: the length of the address; 0: `name` is none.
socklen_t MakeAddress(std::string_view name, sockaddr_un* address) {
  if (name.size() < 2 || (name[0] != '/' && name[0] != '@')) return 0;
  if (name.size() >= sizeof address->sun_path) return 0;
  *address = {};
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, name.data(), name.size());
  if (name[0] == '@') address->sun_path[0] = '\0';
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
}

}  // namespace

SystemdNotify SystemdNotify::FromEnvironment() {
  std::string socket = Take("NOTIFY_SOCKET");
  const std::string microseconds = Take("WATCHDOG_USEC"), pid = Take("WATCHDOG_PID");
  int64_t wait = 0;
  int64_t meant = 0;
  const bool ours = pid.empty() || (absl::SimpleAtoi(pid, &meant) && meant == getpid());
  if (!ours || !absl::SimpleAtoi(microseconds, &wait) || wait < 0) wait = 0;
  return SystemdNotify(std::move(socket), absl::Microseconds(wait));
}

SystemdNotify::SystemdNotify(std::string socket, absl::Duration watchdog)
    : socket_(std::move(socket)), every_(watchdog / 4) {}

bool SystemdNotify::Send(std::string_view state) const {
  sockaddr_un address;
  const socklen_t length = MakeAddress(socket_, &address);
  if (length == 0) return false;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const ssize_t sent = sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                              reinterpret_cast<const sockaddr*>(&address), length);
  close(fd);
  return sent == static_cast<ssize_t>(state.size());
}

void SystemdNotify::Alive(absl::Duration monotonic) {
  if (every_ <= absl::ZeroDuration() || monotonic < next_) return;
  next_ = monotonic + every_;
  Send("WATCHDOG=1");
}

}  // namespace reeve
