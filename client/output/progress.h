// How far a job is: a line on a terminal, or one line each 10 s elsewhere.
//
// Thread: the counters from any; draws on a thread of its own between construction and destruction.

#ifndef REEVE_CLIENT_OUTPUT_PROGRESS_H_
#define REEVE_CLIENT_OUTPUT_PROGRESS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "client/output/console.h"

namespace reeve {

struct ProgressCounts {
  uint64_t done = 0;
  uint64_t failed = 0;
  std::optional<uint64_t> running;
  uint64_t total = 0;
  bool total_is_final = false;
};

// `1,234/10,000+ done, 2 failed, 16 running, 830/s, 11 s left`; no time left while the total may
// grow.
std::string FormatProgress(const ProgressCounts& counts, absl::Duration elapsed);

class Progress {
 public:
  // `running`: tells how many tasks run now; called about once a second while a line is shown, may
  // take its time, may be null.
  Progress(Console* console, std::function<std::optional<uint64_t>()> running);
  ~Progress();

  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> total{0};
  std::atomic<bool> total_is_final{false};

 private:
  void Draw();
  ProgressCounts Snapshot() const;

  Console* const console_;
  const std::function<std::optional<uint64_t>()> ask_running_;
  const absl::Time start_;
  std::optional<uint64_t> running_;  // The drawing thread's.
  Mutex mu_;
  CondVar stopping_;
  bool is_stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_OUTPUT_PROGRESS_H_
