// Coroutines for handlers of the async lane: thousands of tasks that wait, on one thread.
//
//   worker.HandleAsync("probe", [](reeve::AsyncContext& task, std::string input) ->
//   reeve::Async<std::string> {
//     co_await task.Sleep(absl::Seconds(1));
//     co_return input;
//   });
//
// A coroutine starts when it is awaited. All of a worker's run on one thread, so they need no
// locks, and must not block it: a handler that computes or blocks for long belongs to the thread
// lane. A blocked lane is noticed and logged.
//
// Cancellation and time limits reach every await: a coroutine that must end is not resumed but
// destroyed where it waits, with its locals, and what it waited for is stopped. There is nothing to
// check, and nothing after the await runs. Only a soft time limit is the handler's own affair: it
// wakes what sleeps, `cancelled()` tells of it, and what is returned until the time limit counts.
//
// GCC 12 miscompiles some coroutines that take aggregates by value or capture in a lambda that is
// gone when they run: pass strings and plain classes, and keep what a lambda captures alive
// (HandleAsync does). Nor should a coroutine begin with a loop whose condition awaits: await into a
// variable.
//
// Thread: the async lane's.

#ifndef REEVE_WORKER_SDK_ASYNC_H_
#define REEVE_WORKER_SDK_ASYNC_H_

#include <algorithm>
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/sdk/awaitables.h"
#include "worker/sdk/task_context.h"

namespace reeve {

namespace async_internal {

// Goes on with whoever awaits a coroutine when that has ended.
struct ContinueAwaiter {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
    return ended.promise().continuation;
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::suspend_always initial_suspend() const noexcept { return {}; }
  ContinueAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { error = std::current_exception(); }

  std::coroutine_handle<> continuation = std::noop_coroutine();
  std::exception_ptr error;
};

template <typename T>
struct ValuePromise : PromiseBase {
  template <typename U>
  void return_value(U&& returned) {
    value.emplace(std::forward<U>(returned));
  }
  T Take() {
    if (error) std::rethrow_exception(error);
    return std::move(*value);
  }

  std::optional<T> value;
};

template <>
struct ValuePromise<void> : PromiseBase {
  void return_void() const noexcept {}
  void Take() {
    if (error) std::rethrow_exception(error);
  }
};

}  // namespace async_internal

// A coroutine that gives a T, or nothing. Awaited once; an exception comes out of the await.
template <typename T = void>
class [[nodiscard]] Async {
 public:
  struct promise_type : async_internal::ValuePromise<T> {
    Async get_return_object() {
      return Async(std::coroutine_handle<promise_type>::from_promise(*this));
    }
  };

  Async(Async&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Async& operator=(Async&& other) noexcept {
    if (this != &other) {
      Destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Async() { Destroy(); }

  // Runs until it waits or ends. For the one that has nobody to await it.
  void Start() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  std::coroutine_handle<> handle() const { return handle_; }

  auto operator co_await() && {
    struct Awaiter {
      std::coroutine_handle<promise_type> awaited;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> by) const noexcept {
        awaited.promise().continuation = by;
        return awaited;
      }
      T await_resume() const { return awaited.promise().Take(); }
    };
    return Awaiter{handle_};
  }

 private:
  explicit Async(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  void Destroy() {
    if (handle_) handle_.destroy();
    handle_ = nullptr;
  }

  std::coroutine_handle<promise_type> handle_;
};

class AsyncContext;

// Waits for something that calls back. Made by AsyncContext::Await.
template <typename T>
class Awaited {
 public:
  using Done = std::function<void(T)>;
  // Begins, and calls the function it gets once, on the lane's thread, not before it has returned.
  // Returns: what stops it, called only if it did not call back.
  using Begin = std::function<std::function<void()>(Done)>;

  Awaited(AsyncContext* task, Begin begin) : task_(*task), begin_(std::move(begin)) {}
  Awaited(const Awaited&) = delete;
  Awaited& operator=(const Awaited&) = delete;
  ~Awaited() {
    if (stop_) stop_();
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting);
  T await_resume() { return std::move(*value_); }

 private:
  AsyncContext& task_;
  Begin begin_;
  std::function<void()> stop_;
  std::optional<T> value_;
};

// What a handler of the async lane may know and wait for.
class AsyncContext : public AttemptContext {
 public:
  // Goes on after `duration`, or when the soft time limit passes meanwhile. Gives false once it has
  // passed.
  Awaited<bool> Sleep(absl::Duration duration) {
    return Awaited<bool>(this, [this, duration](Awaited<bool>::Done done) {
      const uint64_t number = StartSleep(duration, std::move(done));
      return std::function<void()>([this, number] { StopSleep(number); });
    });
  }

  // An HTTP request, once; within the connections that the worker allows in all and to a host. The
  // answer says itself whether there is one: its `error`.
  Awaited<HttpAnswer> Fetch(HttpRequest request) {
    return Awaited<HttpAnswer>(
        this, [this, request = std::move(request)](Awaited<HttpAnswer>::Done done) mutable {
          const uint64_t number = StartFetch(std::move(request), std::move(done));
          return std::function<void()>([this, number] { StopFetch(number); });
        });
  }

  // A child process, until it has ended. It is the leader of a process group, which is killed when
  // the leader has ended, or the task must end meanwhile. Starting one takes about half a
  // millisecond of the lane's thread.
  Awaited<ProcessEnd> RunProcess(ProcessOrder order) {
    return Awaited<ProcessEnd>(
        this, [this, order = std::move(order)](Awaited<ProcessEnd>::Done done) mutable {
          const uint64_t number = StartProcess(std::move(order), std::move(done));
          return std::function<void()>([this, number] { StopProcess(number); });
        });
  }

  // Waits for anything that calls back on the lane's thread (see Post).
  template <typename T>
  Awaited<T> Await(typename Awaited<T>::Begin begin) {
    return Awaited<T>(this, std::move(begin));
  }

  // Calls `call` on the lane's thread, soon. Thread: any.
  virtual void Post(std::function<void()> call) = 0;
  // Calls `call` on the lane's thread after `duration`. Returns: a number for ForgetCall.
  virtual uint64_t CallAfter(absl::Duration duration, std::function<void()> call) = 0;
  // Nothing happens if it was called.
  virtual void ForgetCall(uint64_t number) = 0;
  // What Sleep, Fetch and RunProcess wait for. `done` is called once, later; not after it was
  // stopped.
  virtual uint64_t StartSleep(absl::Duration duration, std::function<void(bool)> done) = 0;
  virtual void StopSleep(uint64_t number) = 0;
  virtual uint64_t StartFetch(HttpRequest request, std::function<void(HttpAnswer)> done) = 0;
  virtual void StopFetch(uint64_t number) = 0;
  virtual uint64_t StartProcess(ProcessOrder order, std::function<void(ProcessEnd)> done) = 0;
  virtual void StopProcess(uint64_t number) = 0;
  // Goes on with a coroutine of this task. For awaitables.
  virtual void Resume(std::coroutine_handle<> waiting) = 0;
};

template <typename T>
void Awaited<T>::await_suspend(std::coroutine_handle<> waiting) {
  stop_ = begin_([this, waiting](T value) {
    value_.emplace(std::move(value));
    stop_ = nullptr;
    task_.Resume(waiting);  // May destroy this.
  });
}

namespace async_internal {

// What the runners of one WhenAll share; lives in its coroutine.
template <typename T>
struct Gathering {
  std::vector<Async<T>> tasks;
  std::vector<std::optional<T>> values;
  size_t next = 0;
  size_t running = 0;
  std::exception_ptr error;
  std::coroutine_handle<> parent = std::noop_coroutine();
};

// Awaits one task after the other; several of them share the tasks.
template <typename T>
Async<> RunSome(Gathering<T>* all) {
  while (all->next < all->tasks.size()) {
    const size_t mine = all->next++;
    try {
      all->values[mine].emplace(co_await std::move(all->tasks[mine]));
    } catch (...) {
      if (!all->error) all->error = std::current_exception();
    }
  }
}

// The last runner to end goes on with the one who waits for all.
template <typename T>
Async<> Runner(Gathering<T>* all) {
  co_await RunSome(all);
  struct Leave {
    Gathering<T>* all;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
      return --all->running == 0 ? all->parent : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  co_await Leave{all};
}

}  // namespace async_internal

// Runs `tasks`, at most `at_once` of them at the same time, and gives their values in order. When
// one throws, the others are run to their end, and the first exception comes out.
template <typename T>
Async<std::vector<T>> WhenAll(std::vector<Async<T>> tasks, size_t at_once) {
  async_internal::Gathering<T> all;
  all.values.resize(tasks.size());
  all.tasks = std::move(tasks);
  std::vector<Async<>> runners;
  for (size_t i = 0; i < std::min(at_once, all.tasks.size()); ++i)
    runners.push_back(async_internal::Runner(&all));
  struct Join {
    async_internal::Gathering<T>* all;
    std::vector<Async<>>* runners;
    bool await_ready() const noexcept { return runners->empty(); }
    bool await_suspend(std::coroutine_handle<> waiting) const {
      all->running = runners->size() + 1;  // One for this loop: nobody goes on before it has ended.
      for (Async<>& runner : *runners) runner.Start();
      all->parent = waiting;
      return --all->running > 0;
    }
    void await_resume() const noexcept {}
  };
  co_await Join{&all, &runners};
  if (all.error) std::rethrow_exception(all.error);
  std::vector<T> values;
  for (std::optional<T>& value : all.values) values.push_back(std::move(*value));
  co_return values;
}

// Returns the result (at most 3 MiB), or an error as a ThreadHandler does. An exception counts as
// an error.
using AsyncHandler =
    std::function<Async<absl::StatusOr<std::string>>(AsyncContext& task, std::string input)>;

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_ASYNC_H_
