// What a command writes: the first and last 512 KiB are kept, and what has not gone out yet as live
// output.
//
// Thread: none; the owner's.

#ifndef REEVE_WORKER_LANES_OUTPUT_CAPTURE_H_
#define REEVE_WORKER_LANES_OUTPUT_CAPTURE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace reeve {

class OutputCapture {
 public:
  static constexpr size_t kKeep = 512u << 10;  // At each end.
  static constexpr uint64_t kLive = 8u << 20;  // Goes out live at most.
  static constexpr size_t kLiveWaiting = 1u << 20;

  void Add(std::string_view bytes) {
    if (total_ < kLive) live_.append(bytes.substr(0, kLive - total_));
    total_ += bytes.size();
    const size_t to_head = std::min(bytes.size(), kKeep - head_.size());
    head_.append(bytes.substr(0, to_head));
    tail_.append(bytes.substr(to_head));
    // Trimmed seldom, so that each byte is moved about once.
    if (tail_.size() > 2 * kKeep) tail_.erase(0, tail_.size() - kKeep);
  }

  uint64_t total() const { return total_; }
  // More than the result's beginning holds: must go out live to be kept at all.
  bool overflows() const { return total_ > kKeep; }

  // Bytes that have not gone out live, and where they begin.
  bool has_live() const { return !live_.empty(); }
  uint64_t live_offset() const { return live_offset_; }
  bool went_live() const { return live_offset_ > 0; }
  std::string TakeLive() {
    live_offset_ += live_.size();
    return std::exchange(live_, {});
  }

  // For the result: all of it, or `keep` bytes of both ends with a mark between.
  std::string Text(size_t keep = kKeep) const {
    if (total_ <= 2 * keep) return head_ + tail_;
    std::string text = head_.substr(0, keep);
    text += "\n[... " + std::to_string(total_ - 2 * keep) + " bytes left out ...]\n";
    // The end lies in the tail, or begins in the head.
    const size_t of_head = keep - std::min(keep, tail_.size());
    text += std::string_view(head_).substr(head_.size() - of_head);
    text += std::string_view(tail_).substr(tail_.size() - (keep - of_head));
    return text;
  }

 private:
  uint64_t total_ = 0;
  std::string head_, tail_, live_;
  uint64_t live_offset_ = 0;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_OUTPUT_CAPTURE_H_
