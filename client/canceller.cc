#include "client/canceller.h"

#include <grpcpp/client_context.h>

#include "absl/time/clock.h"

namespace reeve {

void Canceller::Cancel() {
  MutexLock lock(&mu_);
  cancelled_ = true;
  for (grpc::ClientContext* call : calls_) call->TryCancel();
  changed_.NotifyAll();
  bell_.Ring();
}

bool Canceller::is_cancelled() const {
  MutexLock lock(&mu_);
  return cancelled_;
}

bool Canceller::SleepFor(absl::Duration duration) {
  const absl::Time until = absl::Now() + duration;
  MutexLock lock(&mu_);
  for (;;) {
    const absl::Duration left = until - absl::Now();
    if (cancelled_) return false;
    if (left <= absl::ZeroDuration()) return true;
    changed_.WaitFor(&mu_, left);
  }
}

Canceller::Call::Call(Canceller* canceller, grpc::ClientContext* context)
    : canceller_(canceller), context_(context) {
  MutexLock lock(&canceller_->mu_);
  canceller_->calls_.insert(context_);
  if (canceller_->cancelled_) context_->TryCancel();
}

Canceller::Call::~Call() {
  MutexLock lock(&canceller_->mu_);
  canceller_->calls_.erase(context_);
}

}  // namespace reeve
