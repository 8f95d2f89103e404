#include "worker/lanes/thread_lane.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/interval_set.h"
#include "base/mutex.h"
#include "base/named_thread.h"
#include "base/strings.h"
#include "worker/lanes/attempt_additions.h"
#include "worker/lanes/handler_outcome.h"
#include "worker/lanes/report_builder.h"
#include "worker/lanes/span_context.h"
#include "worker/supervisor/crash_notes.h"

namespace reeve {
namespace {

// Work a thread claims at once.
constexpr double kClaimNs = 1e6;
constexpr double kSmallestClaimNs = 2e5;
// A report is closed once it holds so many bytes.
constexpr size_t kReportBytes = 512u << 10;
// Claims this large are timed as a whole: reading the clock costs as much as a small task.
constexpr uint32_t kTimedTogether = 64;
constexpr uint32_t kMaxClaim = 32'768;
// Jobs whose costs are known; then all are measured anew.
constexpr size_t kMostMemories = 1'024;
// A cancelled task that ignores its token is given up after this.
constexpr absl::Duration kCancelPatience = absl::Seconds(10);
constexpr absl::Duration kWatchEvery = absl::Milliseconds(20);

int64_t MonotonicNs() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
}

uint64_t Word(uint32_t next, uint32_t end) { return uint64_t{next} << 32 | end; }
uint32_t NextOf(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
uint32_t EndOf(uint64_t word) { return static_cast<uint32_t>(word); }

}  // namespace

struct ThreadLane::Impl {
  // A span in the lane.
  struct Work {
    LaneSpan span;
    const ThreadHandler* handler = nullptr;
    IntervalSet todo;         // Not claimed.
    uint32_t claimed_by = 0;  // Slots that have a claim of it.
  };

  // What the slot runs right now. `serial` is odd while a task runs; whoever moves it from odd to
  // even decides its outcome.
  struct Slot {
    alignas(64) std::atomic<uint64_t> claim{0};
    std::atomic<uint64_t> serial{0};
    std::atomic<uint32_t> index{0};
    std::atomic<int64_t> began_ns{0};
    std::atomic<bool> cancelled{false};
    std::atomic<uint64_t> told_to_end{0};  // The serial whose soft time limit has passed.
    std::atomic<bool> stuck{false};
    int64_t give_up_ns = 0;      // Under mu; 0: not cancelled.
    uint64_t cancel_serial = 0;  // Under mu.
    std::shared_ptr<Work> work;  // Under mu.
    RunningNote unheard;         // Where nobody listens.
    RunningNote* note = &unheard;
    Mutex sleep_mu;
    CondVar sleep;
    ProgressCell progress;  // By serial.
    std::thread thread;
  };

  const HandlerRegistry* handlers;
  LaneSink* sink;
  ContextServices services;
  std::vector<std::unique_ptr<Slot>> slots;
  mutable Mutex mu;
  CondVar filled, watch;
  std::deque<std::shared_ptr<Work>> queue ABSL_GUARDED_BY(mu);
  std::map<SpanKey, std::shared_ptr<Work>> works ABSL_GUARDED_BY(mu);
  std::string worker_name ABSL_GUARDED_BY(mu);
  uint32_t watched ABSL_GUARDED_BY(mu) = 0;  // Works with a time limit, and cancels under way.
  bool stopping ABSL_GUARDED_BY(mu) = false;
  std::thread watcher;
  std::atomic<uint32_t> alive{0};

  // What the newest claim of a job showed. Jobs take turns, so one is not enough.
  struct Memory {
    double cost_ns = 0;  // 0: nothing yet.
    uint32_t last_claim = 0;
  };
  std::map<JobId, Memory> memories ABSL_GUARDED_BY(mu);

  void Loop(Slot& slot);
  bool Claim(Slot& slot, Memory* memory, std::shared_ptr<Work>* work);
  uint32_t ClaimSize(const Work& work, const Memory& memory) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool Steal(Slot& thief) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Unclaim(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Release(Slot& slot, const Memory& memory);
  void EndIfDone(const std::shared_ptr<Work>& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void RunClaim(Slot& slot, Work& work, Memory* memory);
  bool RunOne(Slot& slot, const Work& work, TaskIndex index, ResultEntry* entry,
              std::string* output, std::string* message, AttemptAdditions* additions,
              LastWords* words);
  void Watch();
  void GiveUp(Slot& slot, uint64_t serial, TaskState state, Reason reason,
              std::vector<LaneReport>* reports) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  std::vector<LaneReport> GiveUpOnLate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  std::vector<Run> Drop(Work& work, Run run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

namespace {

class SlotContext final : public SpanContext<TaskContext> {
 public:
  SlotContext(const LaneSpan& span, TaskIndex index, AttemptAdditions* additions,
              const ContextServices& services, ProgressCell* progress, uint64_t serial,
              absl::Time deadline, const std::atomic<bool>& cancelled,
              const std::atomic<uint64_t>& told_to_end, Mutex& mu, CondVar& sleep)
      : SpanContext(span, index, additions, services, progress, serial),
        serial_(serial),
        deadline_(deadline),
        cancelled_(cancelled),
        told_to_end_(told_to_end),
        mu_(mu),
        sleep_(sleep) {}

  absl::Time deadline() const override { return deadline_; }
  bool cancelled() const override {
    return discarded() || told_to_end_.load(std::memory_order_relaxed) == serial_;
  }
  bool discarded() const override { return cancelled_.load(std::memory_order_relaxed); }
  bool Sleep(absl::Duration duration) override {
    const int64_t until = MonotonicNs() + absl::ToInt64Nanoseconds(duration);
    MutexLock lock(&mu_);
    for (int64_t now = MonotonicNs(); now < until && !cancelled(); now = MonotonicNs()) {
      sleep_.WaitFor(&mu_, absl::Nanoseconds(until - now));
    }
    return !cancelled();
  }

 private:
  const uint64_t serial_;
  const absl::Time deadline_;
  const std::atomic<bool>& cancelled_;
  const std::atomic<uint64_t>& told_to_end_;
  Mutex& mu_;
  CondVar& sleep_;
};

// An exception is an error.
absl::StatusOr<std::string> Call(const ThreadHandler& handler, TaskContext& task,
                                 std::string_view input) {
  try {
    return handler(task, input);
  } catch (const std::exception& error) {
    return absl::InternalError(StrCat("the handler threw: ", error.what()));
  } catch (...) {
    return absl::InternalError("the handler threw something that is no std::exception");
  }
}

}  // namespace

// ---- Claims ----

// Puts what is left of the slot's claim back.
void ThreadLane::Impl::Unclaim(Slot& slot) {
  uint64_t word = slot.claim.load();
  while (NextOf(word) < EndOf(word) &&
         !slot.claim.compare_exchange_weak(word, Word(NextOf(word), NextOf(word)))) {
  }
  if (NextOf(word) < EndOf(word)) slot.work->todo.Add({NextOf(word), EndOf(word) - NextOf(word)});
}

// Takes the upper half of the largest claim of another slot that is busy with a task.
bool ThreadLane::Impl::Steal(Slot& thief) {
  Slot* victim = nullptr;
  uint32_t most = 0;
  for (const auto& slot : slots) {
    const uint64_t word = slot->claim.load();
    if (slot.get() == &thief || slot->work == nullptr || NextOf(word) >= EndOf(word)) continue;
    if (EndOf(word) - NextOf(word) > most) {
      most = EndOf(word) - NextOf(word);
      victim = slot.get();
    }
  }
  if (victim == nullptr) return false;
  uint64_t word = victim->claim.load();
  for (;;) {
    const uint32_t next = NextOf(word), end = EndOf(word);
    if (next >= end) return false;
    const uint32_t from = next + (end - next) / 2;
    if (!victim->claim.compare_exchange_weak(word, Word(next, from))) continue;
    thief.work = victim->work;
    ++thief.work->claimed_by;
    thief.claim.store(Word(from, end));
    return true;
  }
}

uint32_t ThreadLane::Impl::ClaimSize(const Work& work, const Memory& memory) const {
  if (memory.cost_ns == 0 || work.span.job->is_limited()) return 1;
  const double fitting = kClaimNs / memory.cost_ns;
  const auto want = static_cast<uint32_t>(
      std::clamp<double>(fitting, 1, std::min(kMaxClaim, memory.last_claim * 4)));
  // A fair share of what is left, unless that would be too little to be worth a report of its own.
  const auto fair = static_cast<uint32_t>(work.todo.size() / slots.size()) + 1;
  const auto worthwhile =
      static_cast<uint32_t>(std::min<double>(kSmallestClaimNs / memory.cost_ns, kMaxClaim));
  return std::min(want, std::max(fair, worthwhile));
}

bool ThreadLane::Impl::Claim(Slot& slot, Memory* memory, std::shared_ptr<Work>* out) {
  MutexLock lock(&mu);
  for (;;) {
    if (stopping) return false;
    slot.cancelled.store(false);  // Meant for the claim before.
    while (!queue.empty() && queue.front()->todo.empty()) queue.pop_front();
    const bool claims = !queue.empty();
    if (!claims && !Steal(slot)) {
      filled.Wait(&mu);
      continue;
    }
    const std::shared_ptr<Work> work = claims ? queue.front() : slot.work;
    const auto known = memories.find(work->span.job->job);
    *memory = known == memories.end() ? Memory{} : known->second;
    if (claims) {
      const Run run = *work->todo.FirstRun(0, ClaimSize(*work, *memory));
      work->todo.Remove(run);
      ++work->claimed_by;
      slot.work = work;
      slot.claim.store(Word(run.first, run.end()));
    }
    *out = work;
    return true;
  }
}

void ThreadLane::Impl::EndIfDone(const std::shared_ptr<Work>& work) {
  if (!work->todo.empty() || work->claimed_by > 0) return;
  if (works.erase(work->span.key) > 0 && work->span.job->is_limited()) --watched;
}

void ThreadLane::Impl::Release(Slot& slot, const Memory& memory) {
  MutexLock lock(&mu);
  if (slot.give_up_ns != 0) {
    slot.give_up_ns = 0;
    --watched;
  }
  if (slot.work == nullptr) return;
  if (memories.size() >= kMostMemories) memories.clear();
  memories[slot.work->span.job->job] = memory;
  --slot.work->claimed_by;
  EndIfDone(slot.work);
  slot.work.reset();
}

// ---- Running ----

bool ThreadLane::Impl::RunOne(Slot& slot, const Work& work, TaskIndex index, ResultEntry* entry,
                              std::string* output, std::string* message,
                              AttemptAdditions* additions, LastWords* words) {
  char digits[24];
  const std::string_view input = InputOf(work.span, index, digits);
  const absl::Duration limit = work.span.job->time_limit;
  const absl::Time deadline =
      limit == absl::InfiniteDuration() ? absl::InfiniteFuture() : absl::Now() + limit;
  slot.index.store(index, std::memory_order_relaxed);
  const uint64_t serial = slot.serial.fetch_add(1) + 1;
  SlotContext context(work.span, index, additions, services, &slot.progress, serial, deadline,
                      slot.cancelled, slot.told_to_end, slot.sleep_mu, slot.sleep);
  slot.note->Begin(index);
  entry->index = index;
  entry->attempt = work.span.attempt;
  entry->state = TaskState::kSucceeded;
  entry->reason = Reason::kNone;
  if (work.handler == nullptr) {
    entry->state = TaskState::kFailed;
    entry->reason = Reason::kNoSuchHandler;
    *message = StrCat("the worker offers no handler `", work.span.job->handler, "`");
  } else {
    TakeReturned(Call(*work.handler, context, input), *additions, entry, output, message, words);
  }
  slot.note->End();
  if (slot.cancelled.load(std::memory_order_relaxed)) {
    entry->state = TaskState::kCancelled;
    entry->reason = Reason::kNone;
    output->clear();
    *words = {};
  }
  if (entry->state != TaskState::kSucceeded)
    words->details = slot.progress.Get(serial, work.span.details).details;
  uint64_t running = serial;
  return slot.serial.compare_exchange_strong(running, serial + 1);
}

void ThreadLane::Impl::RunClaim(Slot& slot, Work& work, Memory* memory) {
  const uint64_t first_word = slot.claim.load();
  const uint32_t size = EndOf(first_word) - NextOf(first_word);
  const bool together = size >= kTimedTogether;
  slot.note->SetSpan(work.span.job->job, work.span.birth);
  const int64_t claim_began = MonotonicNs();
  const int64_t wall_offset_us = absl::GetCurrentTimeNanos() / 1000 - claim_began / 1000;
  int64_t busy_ns = 0;
  uint32_t done = 0;
  ReportBuilder builder(work.span.key);
  AttemptAdditions additions;
  LastWords words;
  std::string output, message, name;
  {
    MutexLock lock(&mu);
    name = worker_name;
  }
  int64_t report_began = claim_began;
  const auto flush = [&](int64_t now) {
    if (builder.empty()) return;
    LaneReport report = builder.Finish(name);
    report.run_time = absl::Nanoseconds(now - report_began);  // Also what is below a microsecond.
    sink->OnReport(std::move(report));
    report_began = now;
  };
  uint64_t word = slot.claim.load();
  int64_t now = claim_began;
  while (NextOf(word) < EndOf(word)) {
    if (!slot.claim.compare_exchange_weak(word, Word(NextOf(word) + 1, EndOf(word)))) continue;
    const TaskIndex index = NextOf(word);
    ResultEntry entry;
    const int64_t began = now;
    slot.began_ns.store(began, std::memory_order_relaxed);
    output.clear();
    message.clear();
    const bool counts = RunOne(slot, work, index, &entry, &output, &message, &additions, &words);
    if (!together) now = MonotonicNs();
    ++done;
    if (counts) {
      entry.start_us = (together ? claim_began : began) / 1000 + wall_offset_us;
      entry.run_us = static_cast<uint32_t>(
          std::min<int64_t>(UINT32_MAX, together ? static_cast<int64_t>(memory->cost_ns / 1000)
                                                 : (now - began) / 1000));
      entry.output = output;
      entry.message = message;
      builder.Add(entry, &additions, &words);
      // Slow tasks are told one by one: somebody waits for them.
      if (builder.bytes() > kReportBytes ||
          (!together && now - report_began > static_cast<int64_t>(kClaimNs)))
        flush(now);
    } else {
      // Given up meanwhile: somebody else reported it.
      slot.stuck.store(false);
      additions.Clear();
      words = {};
      now = MonotonicNs();
      report_began = now;
    }
    if (slot.cancelled.load(std::memory_order_relaxed)) {
      MutexLock lock(&mu);
      slot.cancelled.store(false);
      if (slot.give_up_ns != 0) --watched;
      slot.give_up_ns = 0;
    }
    word = slot.claim.load();
  }
  now = MonotonicNs();
  busy_ns = now - claim_began;
  flush(now);
  memory->cost_ns = std::max(1.0, static_cast<double>(busy_ns) / std::max(1u, done));
  memory->last_claim = std::max(1u, size);
}

void ThreadLane::Impl::Loop(Slot& slot) {
  slot.note->Attach();
  Memory memory;
  std::shared_ptr<Work> work;
  while (Claim(slot, &memory, &work)) {
    RunClaim(slot, *work, &memory);
    Release(slot, memory);
    work.reset();
  }
  alive.fetch_sub(1);
}

// ---- Limits and cancels ----

void ThreadLane::Impl::GiveUp(Slot& slot, uint64_t serial, TaskState state, Reason reason,
                              std::vector<LaneReport>* reports) {
  const TaskIndex index = slot.index.load();
  uint64_t running = serial;
  // Marked first: once the outcome is decided here, the thread may clear the mark at any time.
  slot.stuck.store(true);
  if (!slot.serial.compare_exchange_strong(running, serial + 1)) {
    slot.stuck.store(false);
    return;
  }
  {
    MutexLock lock(&slot.sleep_mu);
    slot.cancelled.store(true);
  }
  slot.sleep.NotifyAll();
  const std::shared_ptr<Work> work = slot.work;
  Unclaim(slot);
  ResultEntry entry;
  entry.index = index;
  entry.state = state;
  entry.reason = reason;
  entry.attempt = work->span.attempt;
  const int64_t ran_ns = MonotonicNs() - slot.began_ns.load();
  entry.start_us = absl::GetCurrentTimeNanos() / 1000 - ran_ns / 1000;
  entry.run_us = static_cast<uint32_t>(std::min<int64_t>(UINT32_MAX, ran_ns / 1000));
  const std::string message =
      reason == Reason::kTimeout ? "the time limit passed" : "cancelled; the handler did not stop";
  entry.message = message;
  LastWords words;
  words.details = slot.progress.Get(serial, work->span.details).details;
  ReportBuilder builder(work->span.key);
  builder.Add(entry, &words);
  reports->push_back(builder.Finish(worker_name));
  if (!work->todo.empty()) {
    queue.push_front(work);
    filled.NotifyAll();
  }
}

std::vector<LaneReport> ThreadLane::Impl::GiveUpOnLate() {
  std::vector<LaneReport> reports;
  const int64_t now = MonotonicNs();
  for (const auto& slot : slots) {
    const uint64_t serial = slot->serial.load();
    if (serial % 2 == 0 || slot->work == nullptr) continue;
    const absl::Duration limit = slot->work->span.job->time_limit;
    if (limit != absl::InfiniteDuration() &&
        now - slot->began_ns.load() > absl::ToInt64Nanoseconds(limit)) {
      GiveUp(*slot, serial, TaskState::kFailed, Reason::kTimeout, &reports);
    } else if (slot->give_up_ns != 0 && serial == slot->cancel_serial && now > slot->give_up_ns) {
      GiveUp(*slot, serial, TaskState::kCancelled, Reason::kNone, &reports);
    } else if (const absl::Duration soft = slot->work->span.job->soft_time_limit;
               soft != absl::InfiniteDuration() && slot->told_to_end.load() != serial &&
               now - slot->began_ns.load() > absl::ToInt64Nanoseconds(soft)) {
      {
        MutexLock sleep_lock(&slot->sleep_mu);
        slot->told_to_end.store(serial);
      }
      slot->sleep.NotifyAll();
    }
  }
  return reports;
}

void ThreadLane::Impl::Watch() {
  for (;;) {
    std::vector<LaneReport> reports;
    {
      MutexLock lock(&mu);
      while (!stopping && watched == 0) watch.Wait(&mu);
      if (stopping) return;
      watch.WaitFor(&mu, kWatchEvery);
      if (stopping) return;
      reports = GiveUpOnLate();
    }
    // Not under mu: the sink may wait for the worker's loop, which waits for mu.
    for (LaneReport& report : reports) sink->OnReport(std::move(report));
  }
}

// ---- The lane ----

ThreadLane::ThreadLane(uint32_t slots, const HandlerRegistry* handlers, LaneSink* sink,
                       CrashNotes* notes, ScratchFolders* scratch)
    : impl_(std::make_shared<Impl>()) {
  impl_->handlers = handlers;
  impl_->sink = sink;
  impl_->services = {sink, scratch};
  for (uint32_t i = 0; i < slots; ++i) {
    impl_->slots.push_back(std::make_unique<Impl::Slot>());
    if (notes != nullptr) impl_->slots.back()->note = notes->slot(i);
  }
  impl_->alive.store(slots);
  for (auto& slot : impl_->slots) {
    // A thread that never returns keeps what it uses.
    slot->thread = NamedThread("slot", [impl = impl_, s = slot.get()] { impl->Loop(*s); });
  }
  impl_->watcher = NamedThread("slot-watch", [impl = impl_] { impl->Watch(); });
}

ThreadLane::~ThreadLane() { Stop(absl::ZeroDuration()); }

void ThreadLane::Start(LaneSpan span) {
  auto work = std::make_shared<Impl::Work>();
  work->handler = impl_->handlers->Find(span.job->handler);
  work->todo.Add(span.run);
  const bool limited = span.job->is_limited();
  const bool many = span.run.count > 1;
  work->span = std::move(span);
  {
    MutexLock lock(&impl_->mu);
    if (limited) ++impl_->watched;
    impl_->works[work->span.key] = work;
    Enqueue(&impl_->queue, std::move(work));
  }
  if (many) {
    impl_->filled.NotifyAll();
  } else {
    impl_->filled.NotifyOne();
  }
  if (limited) impl_->watch.NotifyAll();
}

std::vector<Run> ThreadLane::Impl::Drop(Work& work, Run run) {
  for (const auto& slot : slots) {
    if (slot->work.get() == &work) Unclaim(*slot);
  }
  return work.todo.TakeOut(run);
}

std::vector<Run> ThreadLane::Cut(SpanKey key, TaskIndex from) {
  MutexLock lock(&impl_->mu);
  const auto it = impl_->works.find(key);
  if (it == impl_->works.end()) return {};
  const std::shared_ptr<Impl::Work> work = it->second;
  const TaskIndex end = work->span.run.end();
  std::vector<Run> cut;
  if (from < end) cut = impl_->Drop(*work, {from, end - from});
  if (!work->todo.empty()) {
    impl_->queue.push_front(work);
    impl_->filled.NotifyAll();
  }
  impl_->EndIfDone(work);
  return cut;
}

std::vector<Run> ThreadLane::Cancel(SpanKey key, Run run) {
  MutexLock lock(&impl_->mu);
  const auto it = impl_->works.find(key);
  if (it == impl_->works.end()) return {};
  const std::shared_ptr<Impl::Work> work = it->second;
  const std::vector<Run> dropped = impl_->Drop(*work, run);
  for (const auto& slot : impl_->slots) {
    const uint64_t serial = slot->serial.load();
    const TaskIndex index = slot->index.load();
    if (slot->work != work || serial % 2 == 0 || index < run.first || index >= run.end()) continue;
    if (slot->give_up_ns == 0) ++impl_->watched;
    slot->give_up_ns = MonotonicNs() + absl::ToInt64Nanoseconds(kCancelPatience);
    slot->cancel_serial = serial;
    {
      MutexLock sleep_lock(&slot->sleep_mu);
      slot->cancelled.store(true);
    }
    slot->sleep.NotifyAll();
    impl_->watch.NotifyAll();
  }
  if (!work->todo.empty()) {
    impl_->queue.push_front(work);
    impl_->filled.NotifyAll();
  }
  impl_->EndIfDone(work);
  return dropped;
}

void ThreadLane::SetWorkerName(std::string name) {
  MutexLock lock(&impl_->mu);
  impl_->worker_name = std::move(name);
}

uint32_t ThreadLane::slots() const { return static_cast<uint32_t>(impl_->slots.size()); }

uint32_t ThreadLane::stuck() const {
  uint32_t stuck = 0;
  for (const auto& slot : impl_->slots) stuck += slot->stuck.load() ? 1 : 0;
  return stuck;
}

std::vector<RunningAttempt> ThreadLane::Running(absl::Duration at_least, size_t limit) const {
  std::vector<RunningAttempt> running;
  const int64_t now = MonotonicNs();
  MutexLock lock(&impl_->mu);
  for (const auto& slot : impl_->slots) {
    const uint64_t serial = slot->serial.load();
    if (serial % 2 == 0 || slot->work == nullptr) continue;
    const absl::Duration ran = absl::Nanoseconds(now - slot->began_ns.load());
    if (ran < at_least) continue;
    running.push_back({slot->work->span.job->job, slot->index.load(), ran,
                       slot->progress.Get(serial, slot->work->span.details)});
  }
  return Longest(std::move(running), limit);
}

void ThreadLane::Stop(absl::Duration grace) {
  {
    MutexLock lock(&impl_->mu);
    if (impl_->stopping) return;
    impl_->stopping = true;
    for (auto& [key, work] : impl_->works) impl_->Drop(*work, work->span.run);
    for (const auto& slot : impl_->slots) {
      MutexLock sleep_lock(&slot->sleep_mu);
      slot->cancelled.store(true);
    }
  }
  impl_->filled.NotifyAll();
  impl_->watch.NotifyAll();
  for (const auto& slot : impl_->slots) slot->sleep.NotifyAll();
  impl_->watcher.join();
  const int64_t until = MonotonicNs() + absl::ToInt64Nanoseconds(grace);
  while (impl_->alive.load() > 0 && MonotonicNs() < until) absl::SleepFor(absl::Milliseconds(1));
  const bool all_ended = impl_->alive.load() == 0;
  for (const auto& slot : impl_->slots) {
    // A thread that does not end is left to the end of the process.
    if (all_ended || grace == absl::ZeroDuration()) {
      slot->thread.join();
    } else {
      slot->thread.detach();
    }
  }
}

}  // namespace reeve
