// Where the loop's replies and notices find the calls and streams that wait for them.
//
// Thread: the loop calls the ApiEdge side, gRPC threads the rest. Listeners run outside the lock,
// on the loop thread, and must not block.

#ifndef REEVE_MASTER_SERVICE_HUB_H_
#define REEVE_MASTER_SERVICE_HUB_H_

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "master/runtime/master_loop.h"
#include "master/store/store.h"

namespace reeve {

// Something that follows a job.
class JobListener {
 public:
  virtual ~JobListener() = default;
  virtual void OnResults(const ResultsNotice&) {}
  virtual void OnJob(const JobNotice&) {}
  virtual void OnLogs(const std::vector<StoredLog>&) {}
};

class Hub final : public ApiEdge {
 public:
  void OnReply(Reply reply) override;
  void OnResults(ResultsNotice notice) override;
  void OnJob(JobNotice notice) override;
  // Output of running commands, as it comes in.
  void OnLogs(JobId job, const std::vector<StoredLog>& logs);

  // A call id whose one reply goes to `done`.
  CallId Expect(std::function<void(Reply)> done);
  // A stream id whose replies all go to `each`, until Forget.
  CallId ExpectMany(std::function<void(Reply)> each);
  void Forget(CallId call);
  // An id of its own for what nothing is expected for.
  CallId NewId() { return CallId(next_call_.fetch_add(1)); }

  void Subscribe(JobId job, std::shared_ptr<JobListener> listener);
  void Unsubscribe(JobId job, const JobListener* listener);

 private:
  struct Waiter {
    std::function<void(Reply)> done;
    bool many = false;
  };
  std::vector<std::shared_ptr<JobListener>> ListenersOf(JobId job);

  std::atomic<uint64_t> next_call_{1};
  Mutex mu_;
  absl::flat_hash_map<CallId, Waiter> waiters_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<JobId, std::vector<std::shared_ptr<JobListener>>> listeners_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_HUB_H_
