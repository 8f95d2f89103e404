// What contexts of handlers on the lanes of this process have in common; lanes add what is their
// own.
//
// Private to worker/lanes.
//
// Thread: as AttemptContext says.

#ifndef REEVE_WORKER_LANES_SPAN_CONTEXT_H_
#define REEVE_WORKER_LANES_SPAN_CONTEXT_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "worker/lanes/attempt_additions.h"
#include "worker/lanes/lane.h"
#include "worker/lanes/scratch_folders.h"
#include "worker/sdk/task_context.h"

namespace reeve {

// What attempts of a slot, one after the other, say of how far they are, and leave. Thread: any.
class ProgressCell {
 public:
  void Set(uint64_t attempt, double done, std::string_view note);
  void KeepDetails(uint64_t attempt, std::string_view details);
  // Untold if the last to speak was another attempt. `before`: the details that it leaves if it has
  // left none of its own.
  AttemptProgress Get(uint64_t attempt, const std::string& before) const;

 private:
  void Begin(uint64_t attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  uint64_t attempt_ ABSL_GUARDED_BY(mu_) = UINT64_MAX;
  AttemptProgress progress_ ABSL_GUARDED_BY(mu_);  // Details aside.
  std::optional<std::string> details_ ABSL_GUARDED_BY(mu_);
};

// What the contexts of a lane need of the worker.
struct ContextServices {
  LaneSink* sink = nullptr;
  ScratchFolders* scratch = nullptr;  // Null: none are given.
};

// The part that no template needs. `span` and `additions`, `services` and `progress` outlive it.
class SpanAttempt {
 public:
  // `number`: of the attempt, among those of the cell.
  SpanAttempt(const LaneSpan& span, TaskIndex index, AttemptAdditions* additions,
              const ContextServices& services, ProgressCell* progress, uint64_t number)
      : span_(span),
        index_(index),
        additions_(additions),
        services_(services),
        progress_(*progress),
        number_(number) {}
  SpanAttempt(const SpanAttempt&) = delete;
  SpanAttempt& operator=(const SpanAttempt&) = delete;
  ~SpanAttempt() {
    if (scratch_.has_value()) GiveScratchBack();
  }

  const LaneSpan& span() const { return span_; }
  TaskIndex index() const { return index_; }
  AttemptAdditions& additions() const { return *additions_; }
  void Log(std::string_view line);
  void Progress(double done, std::string_view note) { progress_.Set(number_, done, note); }
  absl::Status KeepDetails(std::string_view details);
  absl::StatusOr<std::string> ScratchFolder();

 private:
  void GiveScratchBack();

  const LaneSpan& span_;
  const TaskIndex index_;
  AttemptAdditions* const additions_;
  const ContextServices& services_;
  ProgressCell& progress_;
  const uint64_t number_;
  uint64_t logged_bytes_ = 0;
  std::optional<ScratchFolders::Folder> scratch_;
};

// `Context`: TaskContext or AsyncContext.
template <typename Context>
class SpanContext : public Context {
 public:
  template <typename... Args>
  explicit SpanContext(Args&&... args) : attempt_(std::forward<Args>(args)...) {}

  JobId job() const final { return attempt_.span().job->job; }
  TaskIndex index() const final { return attempt_.index(); }
  uint32_t attempt() const final { return attempt_.span().attempt; }
  std::string_view param(std::string_view name) const final {
    const auto it = params().find(std::string(name));
    return it == params().end() ? std::string_view() : std::string_view(it->second);
  }
  const std::map<std::string, std::string>& params() const final {
    return attempt_.span().job->params;
  }
  bool accepts_inputs() const final { return attempt_.span().job->accepts_inputs; }
  absl::Status AddInput(const InputKey& key, std::string_view input) final {
    return accepts_inputs() ? attempt_.additions().AddInput(key, input)
                            : AttemptContext::AddInput(key, input);
  }
  absl::Status Count(std::string_view counter, int64_t by) final {
    return attempt_.additions().Count(counter, by);
  }
  void Log(std::string_view line) final { attempt_.Log(line); }
  void Progress(double done, std::string_view note) final { attempt_.Progress(done, note); }
  std::string_view details() const final { return attempt_.span().details; }
  absl::Status KeepDetails(std::string_view details) final { return attempt_.KeepDetails(details); }
  std::optional<std::string_view> predecessor_result(std::string_view name,
                                                     TaskIndex index) const final {
    return FindResult(*attempt_.span().job, name, index);
  }
  absl::StatusOr<std::string> ScratchFolder() final { return attempt_.ScratchFolder(); }

 private:
  SpanAttempt attempt_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_SPAN_CONTEXT_H_
