// Reads of the store, off the loop: one thread with its own read-only connection, closed before the
// writer's.
//
// Thread: Post from any; the work runs on the reader thread.

#ifndef REEVE_MASTER_STORE_READER_THREAD_H_
#define REEVE_MASTER_STORE_READER_THREAD_H_

#include <functional>
#include <memory>

#include "master/store/store.h"

namespace reeve {

class ReaderThread {
 public:
  // Readers of the durable and of the memory store.
  ReaderThread(std::unique_ptr<StoreReader> durable, std::unique_ptr<StoreReader> memory);
  ~ReaderThread();

  void Start();
  void Stop();

  using Work = std::function<void(StoreReader& reader)>;
  // Queues `work` on the reader of `store`. Loads for the loop go before reads for streams
  // (`urgent`). Returns: false if 100,000 wait already or it is stopping; `work` is not run then.
  bool Post(StoreKind store, Work work, bool urgent = false);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_READER_THREAD_H_
