// How long and how often a call is repeated while the master cannot be reached.
//
// Thread: one.

#ifndef REEVE_CLIENT_RETRY_WINDOW_H_
#define REEVE_CLIENT_RETRY_WINDOW_H_

#include <algorithm>
#include <optional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace reeve {

class RetryWindow {
 public:
  // `window`: counted from the first of failures in a row.
  explicit RetryWindow(absl::Duration window) : window_(window) {}

  void Succeeded() { since_.reset(); }
  void Widen(absl::Duration window) { window_ = std::max(window_, window); }
  absl::Duration window() const { return window_; }

  // It failed. Returns: the pause before the next try, which grows; nothing if the window is over.
  std::optional<absl::Duration> OnFailure() {
    if (!since_.has_value()) {
      since_ = absl::Now();
      delay_ = kFirstDelay;
    }
    if (absl::Now() - *since_ >= window_) return std::nullopt;
    const absl::Duration delay = delay_;
    delay_ = std::min(delay_ * 2, kLongestDelay);
    return delay;
  }

 private:
  static constexpr absl::Duration kFirstDelay = absl::Milliseconds(50);
  static constexpr absl::Duration kLongestDelay = absl::Seconds(1);

  absl::Duration window_;
  std::optional<absl::Time> since_;
  absl::Duration delay_ = kFirstDelay;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_RETRY_WINDOW_H_
