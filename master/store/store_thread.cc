#include "master/store/store_thread.h"

#include <unistd.h>

#include <atomic>
#include <deque>
#include <iterator>
#include <map>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/named_thread.h"
#include "master/store/disk_room.h"

namespace reeve {
namespace {

constexpr uint64_t kTransactionBytes = 8u << 20;
constexpr uint64_t kLogBytes = 16u << 20;
constexpr absl::Duration kIdleAfter = absl::Seconds(1);
// Of a thread that is never idle.
constexpr absl::Duration kForgetEvery = absl::Seconds(5);
constexpr absl::Duration kRoomEvery = absl::Milliseconds(200);
constexpr int kExitStoreFault = 70;

}  // namespace

struct StoreThread::Impl {
  Store* store;
  DiskRoom* room;
  std::function<void(uint64_t)> on_committed;
  std::function<void(const absl::Status&)> on_failure;
  std::thread thread;
  Mutex mu;
  CondVar work;
  std::deque<WriteBatch> batches ABSL_GUARDED_BY(mu);
  std::deque<std::pair<JobId, std::vector<StoredLog>>> logs ABSL_GUARDED_BY(mu);
  uint64_t log_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t logs_dropped ABSL_GUARDED_BY(mu) = 0;
  bool stopping ABSL_GUARDED_BY(mu) = false;
  std::atomic<uint64_t> waiting_bytes{0};

  void Loop();
  bool Idle(bool* more);
  bool Forget(bool* more);
  bool CommitLogs(std::deque<std::pair<JobId, std::vector<StoredLog>>> pieces);
  bool Commit(std::vector<WriteBatch> taken);
  absl::Status CommitOnceThereIsRoom(const std::vector<WriteBatch>& taken);
};

void StoreThread::Impl::Loop() {
  bool idle_done = false;
  absl::Duration idle_after = kIdleAfter;
  absl::Time forgot = absl::Now();
  for (;;) {
    std::vector<WriteBatch> taken;
    std::deque<std::pair<JobId, std::vector<StoredLog>>> pieces;
    bool timed_out = false;
    {
      MutexLock lock(&mu);
      while (batches.empty() && logs.empty() && !stopping && !timed_out) {
        if (idle_done) {
          work.Wait(&mu);
        } else {
          timed_out = !work.WaitFor(&mu, idle_after);
        }
      }
      if (batches.empty() && logs.empty() && stopping) return;
      uint64_t bytes = 0;
      while (!batches.empty() &&
             (taken.empty() || bytes + batches.front().bytes <= kTransactionBytes)) {
        bytes += batches.front().bytes;
        taken.push_back(std::move(batches.front()));
        batches.pop_front();
      }
      pieces.swap(logs);
      log_bytes = 0;
    }
    if (taken.empty() && pieces.empty()) {
      bool more = false;
      if (!Idle(&more)) return;
      idle_done = !more;
      idle_after = more ? absl::ZeroDuration() : kIdleAfter;
      forgot = absl::Now();
      continue;
    }
    idle_done = false;
    idle_after = kIdleAfter;
    if (absl::Now() - forgot >= kForgetEvery) {
      bool more = false;
      if (!Forget(&more)) return;
      forgot = absl::Now();
    }
    // First: whoever sees a job's end finds all that its commands wrote before it.
    if (!CommitLogs(std::move(pieces))) return;
    if (!taken.empty() && !Commit(std::move(taken))) return;
  }
}

// Returns, as the others do: false if the store is in doubt; that is told then.
bool StoreThread::Impl::Forget(bool* more) {
  const absl::StatusOr<bool> forgot = store->Forget();
  if (forgot.ok()) {
    *more = *forgot;
    return true;
  }
  on_failure(forgot.status());
  return false;
}

// `more`: there is more to forget.
bool StoreThread::Impl::Idle(bool* more) {
  if (!Forget(more)) return false;
  if (*more) return true;
  if (const absl::Status status = store->Idle(); !status.ok()) {
    on_failure(status);
    return false;
  }
  if (room != nullptr) room->KeepReserve();
  return true;
}

bool StoreThread::Impl::CommitLogs(std::deque<std::pair<JobId, std::vector<StoredLog>>> pieces) {
  std::map<JobId, std::vector<StoredLog>> of_jobs;
  for (auto& [job, logs_of_job] : pieces) {
    std::move(logs_of_job.begin(), logs_of_job.end(), std::back_inserter(of_jobs[job]));
  }
  for (const auto& [job, logs_of_job] : of_jobs) {
    const absl::Status status = store->CommitLogs(job, logs_of_job);
    if (status.ok()) continue;
    if (!absl::IsResourceExhausted(status)) {
      on_failure(status);
      return false;
    }
    REEVE_LOG_WARNING("output of a command was not kept job={} why={}", job.value,
                      status.ToString());
  }
  return true;
}

// A full disk is no doubt: the store says that nothing happened.
absl::Status StoreThread::Impl::CommitOnceThereIsRoom(const std::vector<WriteBatch>& taken) {
  for (bool told = false;; told = true) {
    const absl::Status status = store->Commit(taken);
    if (!absl::IsResourceExhausted(status) || room == nullptr) return status;
    if (room->GiveUpReserve()) continue;
    if (!told) REEVE_LOG_ERROR("the disk is full, commits wait for room why={}", status.ToString());
    MutexLock lock(&mu);
    if (stopping) return status;
    work.WaitFor(&mu, kRoomEvery);
  }
}

bool StoreThread::Impl::Commit(std::vector<WriteBatch> taken) {
  uint64_t bytes = 0;
  for (const WriteBatch& batch : taken) bytes += batch.bytes;
  Failpoint("store.commit.before");
  const absl::Status status = CommitOnceThereIsRoom(taken);
  Failpoint("store.commit.after");
  if (!status.ok()) {
    on_failure(status);
    return false;
  }
  waiting_bytes.fetch_sub(bytes);
  on_committed(taken.back().number);
  return true;
}

StoreThread::StoreThread(Store* store, DiskRoom* room, std::function<void(uint64_t)> on_committed,
                         std::function<void(const absl::Status&)> on_failure)
    : impl_(std::make_unique<Impl>()) {
  impl_->store = store;
  impl_->room = room;
  impl_->on_committed = std::move(on_committed);
  impl_->on_failure = std::move(on_failure);
  if (!impl_->on_failure) {
    impl_->on_failure = [](const absl::Status& status) {
      // Its outcome is unknown: go on from what the store says after a restart.
      REEVE_LOG_ERROR("the store failed, ending why={}", status.ToString());
      _exit(kExitStoreFault);
    };
  }
}

StoreThread::~StoreThread() { Stop(); }

void StoreThread::Start() {
  if (impl_->room != nullptr) impl_->room->KeepReserve();
  impl_->thread = NamedThread("store", [this] { impl_->Loop(); });
}

void StoreThread::Stop() {
  {
    MutexLock lock(&impl_->mu);
    impl_->stopping = true;
  }
  impl_->work.NotifyAll();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void StoreThread::Submit(WriteBatch batch) {
  impl_->waiting_bytes.fetch_add(batch.bytes);
  {
    MutexLock lock(&impl_->mu);
    impl_->batches.push_back(std::move(batch));
  }
  impl_->work.NotifyOne();
}

void StoreThread::SubmitLogs(JobId job, std::vector<StoredLog> logs) {
  uint64_t bytes = 0;
  for (const StoredLog& log : logs) bytes += log.content.size();
  {
    MutexLock lock(&impl_->mu);
    if (impl_->log_bytes + bytes > kLogBytes) {
      impl_->logs_dropped += logs.size();
      return;
    }
    impl_->log_bytes += bytes;
    impl_->logs.emplace_back(job, std::move(logs));
  }
  impl_->work.NotifyOne();
}

uint64_t StoreThread::waiting_bytes() const { return impl_->waiting_bytes.load(); }

}  // namespace reeve
