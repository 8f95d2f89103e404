// What systemd is told of a service of Type=notify: sd_notify(3) without its library.
//
//   SystemdNotify systemd = SystemdNotify::FromEnvironment();
//   systemd.Send("READY=1\nSTATUS=serves 127.0.0.1:7520");
//
// Without NOTIFY_SOCKET nothing is sent, so callers need not ask. A message that cannot be sent is
// lost: systemd then takes the service as not ready, which is what it would think of silence.
// Thread: Send any; Alive one thread at a time.

#ifndef REEVE_BASE_SYSTEMD_NOTIFY_H_
#define REEVE_BASE_SYSTEMD_NOTIFY_H_

#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace reeve {

class SystemdNotify {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment:
  // children, and commands that others wrote, have no say in the state of the service.
  // REQUIRES: no other threads yet.
  static SystemdNotify FromEnvironment();

  // `socket`: a path, or @ and an abstract name; empty: nobody listens. `watchdog`: how long
  // systemd waits for a sign of life; zero: for ever.
  explicit SystemdNotify(std::string socket, absl::Duration watchdog = absl::ZeroDuration());

  // Assignments, one a line. Returns: whether it was handed over; never waits.
  bool Send(std::string_view state) const;

  // To be called by the loop that does the work, as often as it likes: sends WATCHDOG=1 four times
  // in the time that systemd waits.
  void Alive(absl::Duration monotonic);

 private:
  std::string socket_;
  absl::Duration every_;
  absl::Duration next_ = -absl::InfiniteDuration();
};

}  // namespace reeve

#endif  // REEVE_BASE_SYSTEMD_NOTIFY_H_
