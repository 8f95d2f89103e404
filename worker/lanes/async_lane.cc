#include "worker/lanes/async_lane.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/interval_set.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/named_thread.h"
#include "base/strings.h"
#include "worker/async/event_loop.h"
#include "worker/async/processes.h"
#include "worker/http/http_client.h"
#include "worker/lanes/attempt_additions.h"
#include "worker/lanes/handler_outcome.h"
#include "worker/lanes/report_builder.h"
#include "worker/lanes/span_context.h"
#include "worker/supervisor/crash_notes.h"

namespace reeve {
namespace {

// A report is closed once it holds so many bytes.
constexpr size_t kReportBytes = 512u << 10;
// Tasks begun between two looks at what else there is to do.
constexpr size_t kBeginTogether = 64;

}  // namespace

struct AsyncLane::Impl {
  struct Work;

  // One attempt: what its handler sees, and the coroutine.
  struct Attempt final : SpanContext<AsyncContext> {
    Attempt(Impl* its_lane, std::shared_ptr<Work> its_work, TaskIndex index)
        : SpanContext(its_work->span, index, &additions, its_lane->services, &progress,
                      uint64_t{0}),
          lane(*its_lane),
          work(std::move(its_work)) {}

    absl::Time deadline() const override { return until; }
    bool cancelled() const override { return is_told_to_end; }
    uint64_t StartSleep(absl::Duration duration, std::function<void(bool)> done) override {
      const uint64_t number = next_sleep++;
      Sleeper& sleeper = sleepers[number];
      sleeper.done = std::move(done);
      sleeper.timer = lane.loop->CallAfter(duration, [this, number] { Wake(number); });
      return number;
    }
    void StopSleep(uint64_t number) override {
      const auto sleeper = sleepers.extract(number);
      if (!sleeper.empty()) lane.loop->ForgetCall(sleeper.mapped().timer);
    }
    void Wake(uint64_t number) {
      const auto sleeper = sleepers.extract(number);
      lane.loop->ForgetCall(sleeper.mapped().timer);
      sleeper.mapped().done(!is_told_to_end);
    }
    // Those that sleep now are woken; later ones sleep as long as they want, to end well.
    void TellToEnd() {
      is_told_to_end = true;
      const uint64_t end = next_sleep;
      while (!has_ended && !sleepers.empty() && sleepers.begin()->first < end)
        Wake(sleepers.begin()->first);
    }
    void Post(std::function<void()> call) override { lane.loop->Post(std::move(call)); }
    uint64_t CallAfter(absl::Duration duration, std::function<void()> call) override {
      return lane.loop->CallAfter(duration, std::move(call));
    }
    void ForgetCall(uint64_t number) override { lane.loop->ForgetCall(number); }
    uint64_t StartFetch(HttpRequest request, std::function<void(HttpAnswer)> done) override {
      if (lane.options.http != nullptr)
        return lane.options.http->Start(std::move(request), std::move(done));
      HttpAnswer answer;
      answer.error = "this worker makes no requests";
      return CallAfter(absl::ZeroDuration(), [done = std::move(done), answer] { done(answer); });
    }
    void StopFetch(uint64_t number) override {
      lane.options.http != nullptr ? lane.options.http->Stop(number) : ForgetCall(number);
    }
    uint64_t StartProcess(ProcessOrder order, std::function<void(ProcessEnd)> done) override {
      if (lane.options.processes != nullptr)
        return lane.options.processes->Start(order, std::move(done));
      ProcessEnd end;
      end.error = "this worker starts no processes";
      return CallAfter(absl::ZeroDuration(), [done = std::move(done), end] { done(end); });
    }
    void StopProcess(uint64_t number) override {
      lane.options.processes != nullptr ? lane.options.processes->Stop(number) : ForgetCall(number);
    }
    void Resume(std::coroutine_handle<> waiting) override {
      lane.Enter(*this, [waiting] { waiting.resume(); });
    }

    Impl& lane;
    const std::shared_ptr<Work> work;
    absl::Duration began;  // Set once, before others see it.
    absl::Time began_wall, until = absl::InfiniteFuture();
    struct Sleeper {
      uint64_t timer = 0;
      std::function<void(bool)> done;
    };
    std::map<uint64_t, Sleeper> sleepers;  // Loop only, as the next two. Outlive the coroutine.
    uint64_t next_sleep = 1;
    bool is_told_to_end = false;
    std::optional<Async<>> coroutine;
    absl::StatusOr<std::string> returned = absl::UnknownError("");
    AttemptAdditions additions;
    ProgressCell progress;
    uint64_t limit_timer = 0, soft_timer = 0;
    bool cancel_asked = false;  // Under mu.
    bool has_ended = false;     // Loop only.
  };

  // A span in the lane.
  struct Work {
    LaneSpan span;
    const AsyncHandler* handler = nullptr;
    IntervalSet todo;                                        // Under mu: not begun.
    std::map<TaskIndex, std::unique_ptr<Attempt>> attempts;  // Under mu.
  };

  struct Ended {
    Attempt* attempt;
    ResultEntry entry;
    std::string output, message;
    LastWords words;
  };

  Options options;
  const HandlerRegistry* handlers;
  EventLoop* loop;
  LaneSink* sink;
  ContextServices services;
  RunningNote unheard;  // Where nobody listens.
  RunningNote* note = &unheard;
  std::thread thread;
  std::atomic<bool> has_stopped{false};

  mutable Mutex mu;
  std::deque<std::shared_ptr<Work>> queue ABSL_GUARDED_BY(mu);
  std::map<SpanKey, std::shared_ptr<Work>> works ABSL_GUARDED_BY(mu);
  uint32_t running ABSL_GUARDED_BY(mu) = 0;
  std::string worker_name ABSL_GUARDED_BY(mu);
  bool stopping ABSL_GUARDED_BY(mu) = false;

  // Since when a handler holds the thread, nanoseconds; 0: none does.
  std::atomic<int64_t> held_since{0};

  // Loop only.
  std::vector<Ended> ended;
  std::set<std::string> told_blocking;

  template <typename Call>
  void Enter(Attempt& attempt, const Call& call);
  bool BeginSome();
  std::vector<Attempt*> TakeSome() ABSL_LOCKS_EXCLUDED(mu);
  void Begin(Attempt& attempt);
  Async<> Drive(Attempt* attempt, std::string input);
  void OnReturned(Attempt& attempt);
  void Destroy(Attempt& attempt, TaskState state, Reason reason, std::string message);
  void End(Attempt& attempt, Ended outcome);
  void CancelAsked(std::shared_ptr<Work> work) ABSL_LOCKS_EXCLUDED(mu);
  void Settle() ABSL_LOCKS_EXCLUDED(mu);
  void Report(std::vector<Ended> together, const std::string& name);
  void EndIfDone(const std::shared_ptr<Work>& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

// ---- Running coroutines ----

// Everything of a handler runs in here: it is noted, timed, and looked at afterwards.
template <typename Call>
void AsyncLane::Impl::Enter(Attempt& attempt, const Call& call) {
  const int64_t began = absl::ToInt64Nanoseconds(Monotonic());
  held_since.store(began, std::memory_order_relaxed);
  note->SetSpan(attempt.job(), attempt.work->span.birth);
  note->Begin(attempt.index());
  call();
  note->End();
  held_since.store(0, std::memory_order_relaxed);
  const absl::Duration held = Monotonic() - absl::Nanoseconds(began);
  const std::string& handler = attempt.work->span.job->handler;
  if (held > options.log_blocked_after && told_blocking.insert(handler).second) {
    REEVE_LOG_WARNING(
        "a handler of the async lane blocked it, move it to the thread lane handler={} task={}/{} "
        "ms={}",
        handler, attempt.job().value, attempt.index(), absl::ToInt64Milliseconds(held));
  }
  if (!attempt.has_ended && attempt.coroutine.has_value() && attempt.coroutine->done())
    OnReturned(attempt);
}

Async<> AsyncLane::Impl::Drive(Attempt* attempt, std::string input) {
  try {
    attempt->returned = co_await (*attempt->work->handler)(*attempt, std::move(input));
  } catch (const std::exception& error) {
    attempt->returned = absl::InternalError(StrCat("the handler threw: ", error.what()));
  } catch (...) {
    attempt->returned =
        absl::InternalError("the handler threw something that is no std::exception");
  }
}

std::vector<AsyncLane::Impl::Attempt*> AsyncLane::Impl::TakeSome() {
  std::vector<Attempt*> taken;
  MutexLock lock(&mu);
  while (!stopping && running < options.slots && taken.size() < kBeginTogether && !queue.empty()) {
    const std::shared_ptr<Work> work = queue.front();
    const std::optional<Run> next = work->todo.FirstRun(0, 1);
    if (!next.has_value()) {
      queue.pop_front();
      continue;
    }
    work->todo.Remove(*next);
    auto attempt = std::make_unique<Attempt>(this, work, next->first);
    attempt->began = Monotonic();
    taken.push_back(attempt.get());
    work->attempts[next->first] = std::move(attempt);
    ++running;
  }
  return taken;
}

// Returns: false if there was none, or no slot.
bool AsyncLane::Impl::BeginSome() {
  const std::vector<Attempt*> taken = TakeSome();
  for (Attempt* attempt : taken) Begin(*attempt);
  return !taken.empty();
}

void AsyncLane::Impl::Begin(Attempt& attempt) {
  const LaneSpan& span = attempt.work->span;
  attempt.began_wall = absl::Now();
  if (attempt.work->handler == nullptr) {
    return Destroy(attempt, TaskState::kFailed, Reason::kNoSuchHandler,
                   StrCat("the worker offers no handler `", span.job->handler, "`"));
  }
  if (const absl::Duration limit = span.job->time_limit; limit != absl::InfiniteDuration()) {
    attempt.until = attempt.began_wall + limit;
    attempt.limit_timer = loop->CallAfter(limit, [this, &attempt] {
      attempt.limit_timer = 0;
      Destroy(attempt, TaskState::kFailed, Reason::kTimeout, "the time limit passed");
    });
  }
  if (const absl::Duration soft = span.job->soft_time_limit; soft != absl::InfiniteDuration())
    attempt.soft_timer = loop->CallAfter(soft, [&attempt] { attempt.TellToEnd(); });
  char digits[24];
  attempt.coroutine = Drive(&attempt, std::string(InputOf(span, attempt.index(), digits)));
  Enter(attempt, [&attempt] { attempt.coroutine->Start(); });
}

void AsyncLane::Impl::OnReturned(Attempt& attempt) {
  Ended outcome;
  TakeReturned(std::move(attempt.returned), attempt.additions, &outcome.entry, &outcome.output,
               &outcome.message, &outcome.words);
  End(attempt, std::move(outcome));
}

// Ends an attempt whose coroutine waits, or was never begun. REQUIRES: no coroutine runs.
void AsyncLane::Impl::Destroy(Attempt& attempt, TaskState state, Reason reason,
                              std::string message) {
  if (attempt.has_ended) return;
  Enter(attempt, [&attempt] { attempt.coroutine.reset(); });  // Destructors are the handler's, too.
  Ended outcome;
  outcome.entry.state = state;
  outcome.entry.reason = reason;
  outcome.message = std::move(message);
  End(attempt, std::move(outcome));
}

void AsyncLane::Impl::End(Attempt& attempt, Ended outcome) {
  attempt.has_ended = true;
  loop->ForgetCall(attempt.limit_timer);
  loop->ForgetCall(attempt.soft_timer);
  if (outcome.entry.state != TaskState::kSucceeded)
    outcome.words.details = attempt.progress.Get(0, attempt.work->span.details).details;
  outcome.attempt = &attempt;
  outcome.entry.index = attempt.index();
  outcome.entry.attempt = attempt.work->span.attempt;
  outcome.entry.start_us = absl::ToUnixMicros(attempt.began_wall);
  outcome.entry.run_us = static_cast<uint32_t>(
      std::min<int64_t>(UINT32_MAX, absl::ToInt64Microseconds(Monotonic() - attempt.began)));
  ended.push_back(std::move(outcome));
}

// Looks at one span alone: a cancelled job may have thousands.
void AsyncLane::Impl::CancelAsked(std::shared_ptr<Work> work) {
  std::vector<Attempt*> asked;
  {
    MutexLock lock(&mu);
    for (const auto& [index, attempt] : work->attempts) {
      if (attempt->cancel_asked) asked.push_back(attempt.get());
    }
  }
  for (Attempt* attempt : asked) Destroy(*attempt, TaskState::kCancelled, Reason::kNone, "");
}

// ---- Reporting ----

void AsyncLane::Impl::EndIfDone(const std::shared_ptr<Work>& work) {
  if (work->todo.empty() && work->attempts.empty()) works.erase(work->span.key);
}

// Of one span, ascending. Not under mu: the sink may wait for the worker's loop, which waits for
// mu.
void AsyncLane::Impl::Report(std::vector<Ended> together, const std::string& name) {
  ReportBuilder builder(together.front().attempt->work->span.key);
  for (Ended& one : together) {
    one.entry.output = one.output;
    one.entry.message = one.message;
    AttemptAdditions& additions = one.attempt->additions;
    if (!builder.empty() && builder.bytes() + one.output.size() + additions.cost() > kReportBytes)
      sink->OnReport(builder.Finish(name));
    builder.Add(one.entry, &additions, &one.words);
  }
  sink->OnReport(builder.Finish(name));
}

// What ended in this share is told together, and makes room for others.
void AsyncLane::Impl::Settle() {
  while (BeginSome() || !ended.empty()) {
    std::map<Work*, std::vector<Ended>> by_work;
    for (Ended& one : std::exchange(ended, {})) {
      Work* work = one.attempt->work.get();
      by_work[work].push_back(std::move(one));
    }
    std::string name;
    {
      MutexLock lock(&mu);
      name = worker_name;
    }
    for (auto& [work, together] : by_work) {
      std::sort(together.begin(), together.end(),
                [](const Ended& a, const Ended& b) { return a.entry.index < b.entry.index; });
      std::vector<Attempt*> attempts;
      for (const Ended& one : together) attempts.push_back(one.attempt);
      const std::shared_ptr<Work> kept = attempts.front()->work;
      Report(std::move(together), name);
      std::vector<std::unique_ptr<Attempt>> gone;  // Destroyed outside of the lock.
      MutexLock lock(&mu);
      for (Attempt* attempt : attempts) {
        const auto it = kept->attempts.find(attempt->index());
        gone.push_back(std::move(it->second));
        kept->attempts.erase(it);
        --running;
      }
      EndIfDone(kept);
    }
  }
}

// ---- The lane ----

AsyncLane::AsyncLane(const Options& options, const HandlerRegistry* handlers, EventLoop* loop,
                     LaneSink* sink)
    : impl_(std::make_shared<Impl>()) {
  impl_->options = options;
  impl_->handlers = handlers;
  impl_->loop = loop;
  impl_->sink = sink;
  impl_->services = {sink, options.scratch};
  if (options.note != nullptr) impl_->note = options.note;
  impl_->thread = NamedThread("async-lane", [impl = impl_] {
    impl->note->Attach();
    impl->loop->Run([&impl] { impl->Settle(); });
    impl->has_stopped.store(true);
    impl->has_stopped.notify_all();
  });
}

AsyncLane::~AsyncLane() { Stop(absl::Seconds(1)); }

void AsyncLane::Start(LaneSpan span) {
  auto work = std::make_shared<Impl::Work>();
  work->handler = impl_->handlers->FindAsync(span.job->handler);
  work->todo.Add(span.run);
  work->span = std::move(span);
  {
    MutexLock lock(&impl_->mu);
    impl_->works[work->span.key] = work;
    Enqueue(&impl_->queue, std::move(work));
  }
  impl_->loop->Post([] {});  // Settles.
}

std::vector<Run> AsyncLane::Cut(SpanKey key, TaskIndex from) {
  MutexLock lock(&impl_->mu);
  const auto it = impl_->works.find(key);
  if (it == impl_->works.end()) return {};
  const std::shared_ptr<Impl::Work> work = it->second;
  const TaskIndex end = work->span.run.end();
  if (from >= end) return {};
  const std::vector<Run> cut = work->todo.TakeOut({from, end - from});
  impl_->EndIfDone(work);
  return cut;
}

std::vector<Run> AsyncLane::Cancel(SpanKey key, Run run) {
  std::vector<Run> dropped;
  std::shared_ptr<Impl::Work> work;
  {
    MutexLock lock(&impl_->mu);
    const auto it = impl_->works.find(key);
    if (it == impl_->works.end()) return {};
    work = it->second;
    dropped = work->todo.TakeOut(run);
    for (auto& [index, attempt] : work->attempts) {
      if (index >= run.first && index < run.end()) attempt->cancel_asked = true;
    }
    impl_->EndIfDone(work);
  }
  impl_->loop->Post([impl = impl_.get(), work] { impl->CancelAsked(work); });
  return dropped;
}

void AsyncLane::SetWorkerName(std::string name) {
  MutexLock lock(&impl_->mu);
  impl_->worker_name = std::move(name);
}

uint32_t AsyncLane::slots() const { return impl_->options.slots; }

uint32_t AsyncLane::stuck() const {
  const int64_t since = impl_->held_since.load(std::memory_order_relaxed);
  const bool is_stuck =
      since != 0 && Monotonic() - absl::Nanoseconds(since) > impl_->options.stuck_after;
  return is_stuck ? impl_->options.slots : 0;
}

std::vector<RunningAttempt> AsyncLane::Running(absl::Duration at_least, size_t limit) const {
  std::vector<RunningAttempt> running;
  const absl::Duration now = Monotonic();
  {
    MutexLock lock(&impl_->mu);
    for (const auto& [key, work] : impl_->works) {
      for (const auto& [index, attempt] : work->attempts) {
        if (now - attempt->began >= at_least)
          running.push_back({attempt->job(), index, now - attempt->began,
                             attempt->progress.Get(0, work->span.details)});
      }
    }
  }
  return Longest(std::move(running), limit);
}

void AsyncLane::Stop(absl::Duration grace) {
  {
    MutexLock lock(&impl_->mu);
    if (impl_->stopping) return;
    impl_->stopping = true;
    for (auto& [key, work] : impl_->works) {
      for (auto& [index, attempt] : work->attempts) attempt->cancel_asked = true;
      impl_->loop->Post([impl = impl_.get(), work = work] { impl->CancelAsked(work); });
    }
  }
  impl_->loop->Stop();
  const absl::Time until = absl::Now() + grace;
  while (!impl_->has_stopped.load() && absl::Now() < until) absl::SleepFor(absl::Milliseconds(1));
  if (impl_->has_stopped.load()) {
    impl_->thread.join();
  } else {
    impl_->thread.detach();  // A handler that does not give the thread back.
  }
}

}  // namespace reeve
