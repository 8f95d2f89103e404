// A thread that does the same thing again and again, with a pause between.
//
// Thread: made and destroyed by one; the work runs on a thread of its own, without a lock.

#ifndef REEVE_BASE_PERIODIC_THREAD_H_
#define REEVE_BASE_PERIODIC_THREAD_H_

#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "base/mutex.h"

namespace reeve {

class PeriodicThread {
 public:
  // Begins with a pause. `name`: as for NamedThread.
  PeriodicThread(const char* name, absl::Duration pause, std::function<void()> work);
  // Ends the pause, or waits for the work under way.
  ~PeriodicThread();
  PeriodicThread(const PeriodicThread&) = delete;
  PeriodicThread& operator=(const PeriodicThread&) = delete;

 private:
  bool Pause();

  const absl::Duration pause_;
  Mutex mu_;
  CondVar changed_;
  bool is_stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace reeve

#endif  // REEVE_BASE_PERIODIC_THREAD_H_
