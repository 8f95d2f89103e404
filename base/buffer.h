// Immutable bytes with a shared owner: how payloads travel beside the core without being copied.
//
// A Buffer is a view plus whatever keeps the viewed memory alive (a string, a ZeroMQ message, a
// mapped chunk). The pure core carries Buffers and never looks inside.
//
// Thread: the bytes are never changed, so Buffers may be copied and read anywhere.

#ifndef REEVE_BASE_BUFFER_H_
#define REEVE_BASE_BUFFER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace reeve {

class Buffer {
 public:
  Buffer() = default;

  // Takes `bytes` over. Cost: one allocation, no copy.
  explicit Buffer(std::string bytes) {
    auto held = std::make_shared<const std::string>(std::move(bytes));
    view_ = *held;
    owner_ = std::move(held);
  }

  // `view` lies in memory that lives as long as `owner`.
  Buffer(std::shared_ptr<const void> owner, std::string_view view)
      : owner_(std::move(owner)), view_(view) {}

  std::string_view view() const { return view_; }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }

  // A part of this buffer, with the same owner. REQUIRES: offset + count <= size().
  Buffer Slice(size_t offset, size_t count) const {
    return Buffer(owner_, view_.substr(offset, count));
  }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace reeve

#endif  // REEVE_BASE_BUFFER_H_
