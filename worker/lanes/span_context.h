// What the context of an attempt knows from its span; lanes add what is their own.
//
// Private to worker/lanes.
//
// Thread: as AttemptContext says.

#ifndef REEVE_WORKER_LANES_SPAN_CONTEXT_H_
#define REEVE_WORKER_LANES_SPAN_CONTEXT_H_

#include <map>
#include <string>
#include <string_view>

#include "worker/lanes/attempt_additions.h"
#include "worker/lanes/lane.h"
#include "worker/sdk/task_context.h"

namespace reeve {

// `Context`: TaskContext or AsyncContext.
template <typename Context>
class SpanContext : public Context {
 public:
  // `span` and `additions` outlive the context.
  SpanContext(const LaneSpan& span, TaskIndex index, AttemptAdditions* additions)
      : span_(span), index_(index), additions_(additions) {}

  JobId job() const final { return span_.job->job; }
  TaskIndex index() const final { return index_; }
  uint32_t attempt() const final { return span_.attempt; }
  std::string_view param(std::string_view name) const final {
    const auto it = span_.job->params.find(std::string(name));
    return it == span_.job->params.end() ? std::string_view() : std::string_view(it->second);
  }
  const std::map<std::string, std::string>& params() const final { return span_.job->params; }
  bool accepts_inputs() const final { return span_.job->accepts_inputs; }
  absl::Status AddInput(const InputKey& key, std::string_view input) final {
    return accepts_inputs() ? additions_->AddInput(key, input)
                            : AttemptContext::AddInput(key, input);
  }
  absl::Status Count(std::string_view counter, int64_t by) final {
    return additions_->Count(counter, by);
  }

 private:
  const LaneSpan& span_;
  const TaskIndex index_;
  AttemptAdditions* const additions_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_SPAN_CONTEXT_H_
