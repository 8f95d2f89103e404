#include "base/periodic_thread.h"

#include <utility>

#include "base/named_thread.h"

namespace reeve {

PeriodicThread::PeriodicThread(const char* name, absl::Duration pause, std::function<void()> work)
    : pause_(pause), thread_(NamedThread(name, [this, work = std::move(work)] {
        while (Pause()) work();
      })) {}

PeriodicThread::~PeriodicThread() {
  {
    MutexLock lock(&mu_);
    is_stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

// Returns: false if it is over. A spurious wake-up only makes the pause shorter.
bool PeriodicThread::Pause() {
  MutexLock lock(&mu_);
  if (!is_stopping_) changed_.WaitFor(&mu_, pause_);
  return !is_stopping_;
}

}  // namespace reeve
