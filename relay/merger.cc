#include "relay/merger.h"

#include <algorithm>
#include <utility>

namespace reeve {

bool Merger::Add(absl::Duration now, RelayedPart& part) {
  if (!parts_.empty() && bytes_ + part.bytes() > options_.full_bytes) {
    is_full_ = true;
    return false;
  }
  const bool follows = now - last_came_ <= options_.moment;
  if (follows && part.connection != last_connection_) mixed_until_ = now + options_.moment;
  last_connection_ = part.connection;
  last_came_ = now;
  bytes_ += part.bytes();
  parts_.push_back(std::move(part));
  is_full_ = bytes_ >= options_.full_bytes || parts_.size() >= options_.full_count;
  return true;
}

absl::Duration Merger::Due() const {
  if (parts_.empty()) return absl::InfiniteDuration();
  if (is_full_) return -absl::InfiniteDuration();
  return std::min(mixed_until_, last_taken_ + options_.moment);
}

std::vector<RelayedPart> Merger::Take(absl::Duration now) {
  last_taken_ = now;
  bytes_ = 0;
  is_full_ = false;
  return std::exchange(parts_, {});
}

}  // namespace reeve
