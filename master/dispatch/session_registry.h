// Which sessions said a valid Hello: the collector takes nothing from others.
//
// Thread: any.

#ifndef REEVE_MASTER_DISPATCH_SESSION_REGISTRY_H_
#define REEVE_MASTER_DISPATCH_SESSION_REGISTRY_H_

#include "absl/container/flat_hash_set.h"
#include "base/ids.h"
#include "base/mutex.h"

namespace reeve {

class SessionRegistry {
 public:
  void Add(SessionId session) {
    MutexLock lock(&mu_);
    sessions_.insert(session);
  }
  void Remove(SessionId session) {
    MutexLock lock(&mu_);
    sessions_.erase(session);
  }
  bool Contains(SessionId session) const {
    MutexLock lock(&mu_);
    return sessions_.contains(session);
  }

 private:
  mutable Mutex mu_;
  absl::flat_hash_set<SessionId> sessions_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reeve

#endif  // REEVE_MASTER_DISPATCH_SESSION_REGISTRY_H_
