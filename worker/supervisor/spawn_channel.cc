#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "worker/supervisor/spawn_protocol.h"
#include "worker/supervisor/supervisor.h"

namespace reeve {
namespace {

// Sends all of `bytes`, the descriptors with the first of them. Waits while the socket is full: the
// supervisor always reads.
bool SendAll(int fd, std::string_view bytes, const int* fds, int fd_count) {
  bool first = true;
  while (!bytes.empty()) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(kSpawnDescriptors * sizeof(int))] = {};
    if (first && fd_count > 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
      std::memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      poll(&wait, 1, 1000);
      continue;
    }
    if (sent < 0) return false;
    first = false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

SpawnChannel::~SpawnChannel() { close(fd_); }

absl::Status SpawnChannel::Spawn(const SpawnRequest& request) {
  const std::string bytes = EncodeSpawn(request);
  if (bytes.size() > kMaxSpawnMessage)
    return absl::InvalidArgumentError("the command is too large");
  const int fds[kSpawnDescriptors] = {
      request.standard_input, request.standard_output, request.standard_error,
      request.progress >= 0 ? request.progress : request.standard_input};
  if (!SendAll(fd_, bytes, fds, kSpawnDescriptors))
    return absl::UnavailableError("the supervisor is gone");
  return absl::OkStatus();
}

void SpawnChannel::Kill(uint64_t id, int signal) {
  SendAll(fd_, EncodeKill(id, signal), nullptr, 0);
}

void SpawnChannel::SetExclusiveDeadline(absl::Duration until) {
  SendAll(fd_, EncodeDeadline(until), nullptr, 0);
}

bool SpawnChannel::Receive(std::vector<SpawnEvent>* events) {
  bool open = true;
  for (;;) {
    char buffer[16 << 10];
    const ssize_t n = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      open = n < 0 && errno == EAGAIN;
      break;
    }
    incoming_.append(buffer, static_cast<size_t>(n));
    if (static_cast<size_t>(n) < sizeof buffer) break;
  }
  SpawnMessage type;
  std::string body;
  while (TakeRecord(&incoming_, &type, &body)) {
    SpawnEvent event;
    if (type != SpawnMessage::kEvent || !DecodeEvent(body, &event)) continue;
    events->push_back(event);
  }
  return open;
}

}  // namespace reeve
