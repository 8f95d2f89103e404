// A bounded queue of values from many threads to the one that owns it.
//
// Bounded in count and in bytes; what happens when it is full is the sender's choice: TryPush
// refuses, Push waits. The owner blocks in poll on a Doorbell that several inboxes may share, or in
// PopAll(wait).

#ifndef REEVE_BASE_INBOX_H_
#define REEVE_BASE_INBOX_H_

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/doorbell.h"
#include "base/mutex.h"

namespace reeve {

template <typename T>
class Inbox {
 public:
  struct Limits {
    size_t count = 65'536;
    size_t bytes = 64u << 20;
  };

  // `doorbell`: rung when the queue stops being empty; may be null; must outlive the inbox.
  Inbox(Limits limits, Doorbell* doorbell) : limits_(limits), doorbell_(doorbell) {}

  // Returns: false, and `value` untouched, if the queue is full or closed. One value always fits an
  // empty queue. Thread: any.
  bool TryPush(T&& value, size_t bytes = 0) {
    {
      MutexLock lock(&mu_);
      if (closed_ || Full(bytes)) return false;
      Insert(std::move(value), bytes);
    }
    Notify();
    return true;
  }

  // Waits for room. Returns: false if the queue was closed. Thread: any but the owner's.
  bool Push(T value, size_t bytes = 0) {
    {
      MutexLock lock(&mu_);
      while (!closed_ && Full(bytes)) room_.Wait(&mu_);
      if (closed_) return false;
      Insert(std::move(value), bytes);
    }
    Notify();
    return true;
  }

  // Takes values up to `max_count` and, but for the first, `max_bytes`. Thread: owner.
  std::vector<T> Pop(size_t max_count, size_t max_bytes = SIZE_MAX) {
    std::vector<T> out;
    MutexLock lock(&mu_);
    size_t taken = 0;
    while (!items_.empty() && out.size() < max_count) {
      const size_t bytes = items_.front().bytes;
      if (!out.empty() && taken + bytes > max_bytes) break;
      taken += bytes;
      out.push_back(std::move(items_.front().value));
      items_.pop_front();
    }
    bytes_ -= taken;
    if (!out.empty()) room_.NotifyAll();
    return out;
  }

  // As Pop, but waits until there is a value, the queue is closed, or `timeout` passed. Thread:
  // owner.
  std::vector<T> PopWait(size_t max_count, absl::Duration timeout) {
    {
      MutexLock lock(&mu_);
      if (items_.empty() && !closed_) filled_.WaitFor(&mu_, timeout);
    }
    return Pop(max_count);
  }

  // Nothing more goes in; what is in can still be taken. Thread: any.
  void Close() {
    {
      MutexLock lock(&mu_);
      closed_ = true;
    }
    room_.NotifyAll();
    filled_.NotifyAll();
  }

  bool empty() const {
    MutexLock lock(&mu_);
    return items_.empty();
  }
  bool closed() const {
    MutexLock lock(&mu_);
    return closed_;
  }
  size_t bytes() const {
    MutexLock lock(&mu_);
    return bytes_;
  }

 private:
  struct Item {
    T value;
    size_t bytes;
  };

  bool Full(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !items_.empty() && (items_.size() >= limits_.count || bytes_ + bytes > limits_.bytes);
  }
  void Insert(T&& value, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    items_.push_back({std::move(value), bytes});
    bytes_ += bytes;
  }
  void Notify() {
    // Ringing outside the lock: the owner must not wake only to wait for the lock.
    filled_.NotifyOne();
    if (doorbell_ != nullptr) doorbell_->Ring();
  }

  const Limits limits_;
  Doorbell* const doorbell_;
  mutable Mutex mu_;
  CondVar room_, filled_;
  std::deque<Item> items_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace reeve

#endif  // REEVE_BASE_INBOX_H_
