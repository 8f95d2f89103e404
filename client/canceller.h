// Ends blocking calls from another thread: what Ctrl-C and `--timeout` do.
//
// Thread: all methods from any.

#ifndef REEVE_CLIENT_CANCELLER_H_
#define REEVE_CLIENT_CANCELLER_H_

#include <set>

#include "absl/time/time.h"
#include "base/doorbell.h"
#include "base/mutex.h"

namespace grpc {
class ClientContext;
}

namespace reeve {

class Canceller {
 public:
  // Ends the calls that are under way, at once, and those that begin later. Stays so.
  void Cancel();
  bool is_cancelled() const;

  // Sleeps. Returns: false, early, if cancelled.
  bool SleepFor(absl::Duration duration);
  // Readable once cancelled, for poll.
  int fd() const { return bell_.fd(); }

  // A call that is to be ended. Lifetime: `context` outlives it.
  class Call {
   public:
    Call(Canceller* canceller, grpc::ClientContext* context);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Canceller* const canceller_;
    grpc::ClientContext* const context_;
  };

 private:
  mutable Mutex mu_;
  CondVar changed_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  std::set<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mu_);
  Doorbell bell_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_CANCELLER_H_
