// Ctrl-C and `--timeout`: turns signals into calls on a thread of its own.
//
// Make it before the first gRPC channel: the signals are blocked for the calling thread and all
// that are made later.
//
// Thread: made and destroyed by one thread; the callbacks run on its own.

#ifndef REEVE_CLIENT_INTERRUPT_H_
#define REEVE_CLIENT_INTERRUPT_H_

#include <functional>
#include <optional>
#include <thread>

#include "absl/time/time.h"

namespace reeve {

class Interrupt {
 public:
  // Blocks the signals for the calling thread and those it makes; for when the connection has to be
  // made before the Interrupt.
  static void BlockSignals();

  // `on_signal` is called for the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at
  // once with 130. `on_timeout` is called once `timeout` has passed.
  explicit Interrupt(std::function<void()> on_signal,
                     std::optional<absl::Duration> timeout = std::nullopt,
                     std::function<void()> on_timeout = nullptr);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  void Watch();

  const std::function<void()> on_signal_;
  const std::function<void()> on_timeout_;
  const std::optional<absl::Time> deadline_;
  std::thread thread_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_INTERRUPT_H_
