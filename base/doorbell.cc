#include "base/doorbell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace reeve {

Doorbell::Doorbell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) {
    perror("reeve: eventfd");
    _exit(70);
  }
}

Doorbell::~Doorbell() { close(fd_); }

void Doorbell::Ring() {
  const uint64_t one = 1;
  // Can only fail with EAGAIN at 2^64 - 2 unanswered rings, and then it rings anyway.
  [[maybe_unused]] const auto n = write(fd_, &one, sizeof one);
}

void Doorbell::Answer() {
  uint64_t count;
  [[maybe_unused]] const auto n = read(fd_, &count, sizeof count);
}

}  // namespace reeve
