#include "worker/isolation/frames.h"

#include <errno.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

namespace reeve {
namespace {

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool ReceiveAll(int fd, char* to, size_t size) {
  while (size > 0) {
    const ssize_t received = recv(fd, to, size, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) return false;
    to += received;
    size -= static_cast<size_t>(received);
  }
  return true;
}

}  // namespace

bool SendFrame(int fd, std::string_view bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  std::string frame(sizeof size, '\0');
  std::memcpy(frame.data(), &size, sizeof size);
  frame += bytes;  // One system call, and one wake-up of the other side.
  return SendAll(fd, frame);
}

bool ReceiveFrame(int fd, std::string* bytes) {
  uint32_t size = 0;
  char head[sizeof size];
  if (!ReceiveAll(fd, head, sizeof head)) return false;
  std::memcpy(&size, head, sizeof size);
  if (size > kMaxFrameBytes) return false;
  bytes->resize(size);
  return ReceiveAll(fd, bytes->data(), size);
}

}  // namespace reeve
