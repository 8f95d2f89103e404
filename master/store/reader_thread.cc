#include "master/store/reader_thread.h"

#include <deque>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "base/named_thread.h"

namespace reeve {
namespace {
constexpr size_t kMaxWaiting = 100'000;
}  // namespace

struct ReaderThread::Impl {
  std::unique_ptr<StoreReader> readers[kStoreCount];
  std::thread thread;
  Mutex mu;
  CondVar filled;
  std::deque<std::pair<StoreKind, Work>> urgent ABSL_GUARDED_BY(mu), waiting ABSL_GUARDED_BY(mu);
  bool stopping ABSL_GUARDED_BY(mu) = false;

  bool Next(std::pair<StoreKind, Work>* next) {
    MutexLock lock(&mu);
    while (urgent.empty() && waiting.empty() && !stopping) filled.Wait(&mu);
    auto& queue = urgent.empty() ? waiting : urgent;
    if (queue.empty()) return false;
    *next = std::move(queue.front());
    queue.pop_front();
    return true;
  }

  void Loop() {
    std::pair<StoreKind, Work> next;
    while (Next(&next)) {
      next.second(*readers[static_cast<int>(next.first)]);
      next.second = nullptr;
    }
  }
};

ReaderThread::ReaderThread(std::unique_ptr<StoreReader> durable,
                           std::unique_ptr<StoreReader> memory)
    : impl_(std::make_unique<Impl>()) {
  impl_->readers[static_cast<int>(StoreKind::kDurable)] = std::move(durable);
  impl_->readers[static_cast<int>(StoreKind::kMemory)] = std::move(memory);
}

ReaderThread::~ReaderThread() { Stop(); }

void ReaderThread::Start() {
  impl_->thread = NamedThread("reader", [this] { impl_->Loop(); });
}

void ReaderThread::Stop() {
  {
    MutexLock lock(&impl_->mu);
    impl_->stopping = true;
  }
  impl_->filled.NotifyAll();
  if (impl_->thread.joinable()) impl_->thread.join();
}

bool ReaderThread::Post(StoreKind store, Work work, bool urgent) {
  {
    MutexLock lock(&impl_->mu);
    auto& queue = urgent ? impl_->urgent : impl_->waiting;
    if (impl_->stopping || queue.size() >= kMaxWaiting) return false;
    queue.emplace_back(store, std::move(work));
  }
  impl_->filled.NotifyOne();
  return true;
}

}  // namespace reeve
