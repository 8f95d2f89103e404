#include "base/connection_watch.h"

// The kernel's header: glibc's tcp_info ends before the bytes received.
#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <utility>

namespace reeve {
namespace {

// Connections beyond are not watched: far above what a master takes.
constexpr int kMostDescriptors = 1 << 16;

std::array<std::atomic<uint32_t>, kMostDescriptors> messages_from;

std::vector<int> OpenDescriptors() {
  std::vector<int> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), &closedir);
  if (folder == nullptr) return found;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] != '.') found.push_back(std::atoi(entry->d_name));
  }
  return found;
}

}  // namespace

void NoteMessageFrom(int fd) {
  if (fd >= 0 && fd < kMostDescriptors) messages_from[fd].fetch_add(1, std::memory_order_relaxed);
}

ConnectionWatch::ConnectionWatch(std::vector<uint16_t> ports, uint64_t most_bytes)
    : ports_(std::move(ports)), most_bytes_(most_bytes) {}

bool ConnectionWatch::IsWatched(int fd) const {
  if (fd >= kMostDescriptors) return false;
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) != 0) return false;
  uint16_t port = 0;
  if (local.ss_family == AF_INET) port = reinterpret_cast<sockaddr_in&>(local).sin_port;
  if (local.ss_family == AF_INET6) port = reinterpret_cast<sockaddr_in6&>(local).sin6_port;
  return std::find(ports_.begin(), ports_.end(), ntohs(port)) != ports_.end();
}

bool ConnectionWatch::IsEndless(int fd) {
  struct stat status;
  tcp_info info{};
  socklen_t length = sizeof info;
  if (fstat(fd, &status) != 0) return false;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  const uint32_t messages = messages_from[fd].load(std::memory_order_relaxed);
  Connection& known = connections_[fd];
  // Of one that is new here nobody knows how much of it came in messages.
  if (known.inode != status.st_ino || known.messages != messages)
    known = {status.st_ino, messages, info.tcpi_bytes_received};
  return info.tcpi_bytes_received > known.bytes + most_bytes_;
}

size_t ConnectionWatch::EndEndless() {
  size_t ended = 0;
  for (const int fd : OpenDescriptors()) {
    if (!IsWatched(fd)) {
      connections_.erase(fd);
    } else if (IsEndless(fd)) {
      shutdown(fd, SHUT_RDWR);
      ++ended;
    }
  }
  return ended;
}

}  // namespace reeve
