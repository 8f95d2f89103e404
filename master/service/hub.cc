#include "master/service/hub.h"

#include <algorithm>
#include <utility>

namespace reeve {

void Hub::OnReply(Reply reply) {
  std::function<void(Reply)> done;
  {
    MutexLock lock(&mu_);
    const auto it = waiters_.find(reply.call);
    if (it == waiters_.end()) return;
    if (it->second.many) {
      done = it->second.done;
    } else {
      done = std::move(it->second.done);
      waiters_.erase(it);
    }
  }
  done(std::move(reply));
}

std::vector<std::shared_ptr<JobListener>> Hub::ListenersOf(JobId job) {
  MutexLock lock(&mu_);
  const auto it = listeners_.find(job);
  return it == listeners_.end() ? std::vector<std::shared_ptr<JobListener>>{} : it->second;
}

void Hub::OnResults(ResultsNotice notice) {
  for (const auto& listener : ListenersOf(notice.job)) listener->OnResults(notice);
}

void Hub::OnJob(JobNotice notice) {
  for (const auto& listener : ListenersOf(notice.view.job)) listener->OnJob(notice);
}

void Hub::OnLogs(JobId job, const std::vector<StoredLog>& logs) {
  for (const auto& listener : ListenersOf(job)) listener->OnLogs(logs);
}

CallId Hub::Expect(std::function<void(Reply)> done) {
  const CallId call = NewId();
  MutexLock lock(&mu_);
  waiters_[call] = {std::move(done), false};
  return call;
}

CallId Hub::ExpectMany(std::function<void(Reply)> each) {
  const CallId call = NewId();
  MutexLock lock(&mu_);
  waiters_[call] = {std::move(each), true};
  return call;
}

void Hub::Forget(CallId call) {
  std::function<void(Reply)> dropped;  // Destroyed outside the lock.
  MutexLock lock(&mu_);
  const auto it = waiters_.find(call);
  if (it == waiters_.end()) return;
  dropped = std::move(it->second.done);
  waiters_.erase(it);
}

void Hub::Subscribe(JobId job, std::shared_ptr<JobListener> listener) {
  MutexLock lock(&mu_);
  listeners_[job].push_back(std::move(listener));
}

void Hub::Unsubscribe(JobId job, const JobListener* listener) {
  std::shared_ptr<JobListener> dropped;  // Destroyed outside the lock.
  MutexLock lock(&mu_);
  const auto it = listeners_.find(job);
  if (it == listeners_.end()) return;
  auto& all = it->second;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& l) { return l.get() == listener; });
  if (found == all.end()) return;
  dropped = std::move(*found);
  all.erase(found);
  if (all.empty()) listeners_.erase(it);
}

}  // namespace reeve
