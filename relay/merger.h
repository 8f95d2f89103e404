// Which messages of workers go on together, and when.
//
// What waits is one frame for the master. It goes at once unless others are likely to follow: when
// several workers are sending, a frame goes at most every `moment`, or when it is full. So a worker
// alone is never kept waiting, and no message waits longer than a moment for company.
//
// Pure. Thread: none.

#ifndef REEVE_RELAY_MERGER_H_
#define REEVE_RELAY_MERGER_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "relay/relayed.h"

namespace reeve {

struct MergerOptions {
  absl::Duration moment = absl::Milliseconds(2);
  // A frame takes no more messages once it holds so much.
  size_t full_bytes = 1u << 20;
  size_t full_count = 256;
};

class Merger {
 public:
  explicit Merger(MergerOptions options) : options_(options) {}

  // REQUIRES: !is_full(). Returns: false, and the part is as it was, if it must go in a frame after
  // this one; then the merger is full.
  bool Add(absl::Duration now, RelayedPart& part);

  bool empty() const { return parts_.empty(); }
  // Takes no more until Take.
  bool is_full() const { return is_full_; }
  size_t bytes() const { return bytes_; }

  // When what waits is to go: at once if that is not after `now`. Infinite while empty.
  absl::Duration Due() const;
  // What goes now, in the order it came.
  std::vector<RelayedPart> Take(absl::Duration now);

 private:
  const MergerOptions options_;
  std::vector<RelayedPart> parts_;
  size_t bytes_ = 0;
  bool is_full_ = false;
  // Whom the last message came from and when, and until when several are held to be sending.
  std::string last_connection_;
  absl::Duration last_came_ = -absl::InfiniteDuration();
  absl::Duration mixed_until_ = -absl::InfiniteDuration();
  absl::Duration last_taken_ = -absl::InfiniteDuration();
};

}  // namespace reeve

#endif  // REEVE_RELAY_MERGER_H_
