#include "client/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace reeve {
namespace {

// Tells the watching thread to end.
constexpr int kStop = SIGUSR2;

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, kStop}) sigaddset(&set, signal);
  return set;
}

std::optional<absl::Time> After(std::optional<absl::Duration> timeout) {
  if (!timeout.has_value()) return std::nullopt;
  return absl::Now() + *timeout;
}

}  // namespace

Interrupt::Interrupt(std::function<void()> on_signal, std::optional<absl::Duration> timeout,
                     std::function<void()> on_timeout)
    : on_signal_(std::move(on_signal)),
      on_timeout_(std::move(on_timeout)),
      deadline_(After(timeout)) {
  BlockSignals();
  thread_ = std::thread([this] { Watch(); });
}

void Interrupt::BlockSignals() {
  const sigset_t set = Watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Interrupt::~Interrupt() {
  pthread_kill(thread_.native_handle(), kStop);
  thread_.join();
}

void Interrupt::Watch() {
  const sigset_t set = Watched();
  bool timed_out = false, interrupted = false;
  for (;;) {
    int signal;
    if (deadline_.has_value() && !timed_out) {
      const timespec left =
          absl::ToTimespec(std::max(*deadline_ - absl::Now(), absl::ZeroDuration()));
      signal = sigtimedwait(&set, nullptr, &left);
    } else {
      signal = sigwaitinfo(&set, nullptr);
    }
    if (signal == kStop) return;
    if (signal < 0) {
      if (!deadline_.has_value() || timed_out || absl::Now() < *deadline_) continue;
      timed_out = true;
      on_timeout_();
      continue;
    }
    if (interrupted) _exit(130);
    interrupted = true;
    on_signal_();
  }
}

}  // namespace reeve
