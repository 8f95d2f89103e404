// Which sessions said a valid Hello, and by whose connection: the collector takes nothing from
// others.
//
// Thread: any.

#ifndef REEVE_MASTER_DISPATCH_SESSION_REGISTRY_H_
#define REEVE_MASTER_DISPATCH_SESSION_REGISTRY_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/ids.h"
#include "base/mutex.h"

namespace reeve {

class SessionRegistry {
 public:
  // `user`: as the gate named it.
  void Add(SessionId session, const std::string& user) {
    MutexLock lock(&mu_);
    sessions_[session] = user;
  }
  void Remove(SessionId session) {
    MutexLock lock(&mu_);
    sessions_.erase(session);
  }
  bool Contains(SessionId session, const std::string& user) const {
    MutexLock lock(&mu_);
    const auto it = sessions_.find(session);
    return it != sessions_.end() && it->second == user;
  }

 private:
  mutable Mutex mu_;
  absl::flat_hash_map<SessionId, std::string> sessions_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reeve

#endif  // REEVE_MASTER_DISPATCH_SESSION_REGISTRY_H_
