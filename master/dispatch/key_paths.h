// Where the keys of tasks stand in the inputs of jobs that accept new ones: the collector makes the
// keys of inputs that results bring along, and knows nothing else of jobs.
//
// The loop puts a job in before anything of it goes to a worker, and takes it out when it ends.
//
// Thread: any.

#ifndef REEVE_MASTER_DISPATCH_KEY_PATHS_H_
#define REEVE_MASTER_DISPATCH_KEY_PATHS_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/ids.h"
#include "base/mutex.h"

namespace reeve {

class KeyPaths {
 public:
  void Put(JobId job, const std::string& path) {
    MutexLock lock(&mu_);
    paths_[job] = path;
  }
  void Remove(JobId job) {
    MutexLock lock(&mu_);
    paths_.erase(job);
  }
  // Empty: its tasks have no keys.
  std::string Of(JobId job) const {
    MutexLock lock(&mu_);
    const auto found = paths_.find(job);
    return found == paths_.end() ? std::string() : found->second;
  }

 private:
  mutable Mutex mu_;
  absl::flat_hash_map<JobId, std::string> paths_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reeve

#endif  // REEVE_MASTER_DISPATCH_KEY_PATHS_H_
