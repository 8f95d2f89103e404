// One thread that calls functions: posted ones, timed ones, and those that wait for descriptors.
// Boost.Asio, kept out of headers.
//
// Thread: the loop's, but for Post and Stop.

#ifndef REEVE_WORKER_ASYNC_EVENT_LOOP_H_
#define REEVE_WORKER_ASYNC_EVENT_LOOP_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace reeve {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls what comes until Stop. `settle` is called whenever a share of it was called, before the
  // loop waits.
  void Run(const std::function<void()>& settle);
  // Run returns after the calls under way. Thread: any.
  void Stop();
  // Calls `call` on the loop's thread. Thread: any.
  void Post(std::function<void()> call);

  // Calls `call` once, after `duration`. Returns: a number for ForgetCall, never 0.
  uint64_t CallAfter(absl::Duration duration, std::function<void()> call);
  // Nothing happens if it was called, or is 0.
  void ForgetCall(uint64_t number);

  // Calls `on_ready(readable, writable)` whenever `fd` is, as far as that is wanted; errors count
  // as both. Replaces what was wanted of `fd`, and keeps the first `on_ready`; neither: forgets it.
  // It must be forgotten before it is closed.
  void Watch(int fd, bool readable, bool writable,
             std::function<void(bool readable, bool writable)> on_ready);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_ASYNC_EVENT_LOOP_H_
