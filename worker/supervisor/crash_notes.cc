#include "worker/supervisor/crash_notes.h"

#include <signal.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace reeve {
namespace {

constexpr size_t kSignalStackBytes = 64u << 10;

// Of the slot whose task this thread runs. Initial-exec, so that a signal handler may read it.
thread_local RunningNote* attached __attribute__((tls_model("initial-exec"))) = nullptr;

// A stack for the signal handler of this thread, unless it has one (a sanitizer sets its own).
class SignalStack {
 public:
  SignalStack() {
    stack_t there{};
    sigaltstack(nullptr, &there);
    if ((there.ss_flags & SS_DISABLE) == 0) return;
    memory_ = std::make_unique<char[]>(kSignalStackBytes);
    stack_t stack{};
    stack.ss_sp = memory_.get();
    stack.ss_size = kSignalStackBytes;
    sigaltstack(&stack, nullptr);
  }
  ~SignalStack() {
    if (memory_ == nullptr) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }

 private:
  std::unique_ptr<char[]> memory_;
};

}  // namespace

struct CrashNotes::Shared {
  std::atomic<uint32_t> kept_count{0};
  std::atomic<bool> kept_named{false};
  RunningNote* notes() { return reinterpret_cast<RunningNote*>(this + 1); }
  Task* kept(uint32_t slots) { return reinterpret_cast<Task*>(notes() + slots); }
  // Ending in 0, and whole before the first task is noted.
  char process[kMaxProcessId + 1] = {}, kept_process[kMaxProcessId + 1] = {};
  // So that the notes behind it are aligned.
  char padding[128 - sizeof(std::atomic<uint32_t>) - sizeof(std::atomic<bool>) - 3 -
               2 * (kMaxProcessId + 1)] = {};
};

void RunningNote::Attach() {
  static thread_local const SignalStack stack;
  attached = this;
}

void RunningNote::OnFault(int signal) {
  if (attached != nullptr && attached->task_.load() != 0) attached->task_.fetch_or(kCulprit);
  raise(signal);  // Its default now: the process ends as it would have.
}

CrashNotes::CrashNotes(uint32_t slots)
    : slots_(slots), bytes_(sizeof(Shared) + slots * (sizeof(RunningNote) + sizeof(Task))) {
  static_assert(sizeof(Shared) == 128);
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("reeve-worker: no memory for crash notes");
    std::abort();
  }
  shared_ = new (memory) Shared;
  for (uint32_t i = 0; i < slots; ++i) {
    new (shared_->notes() + i) RunningNote;
    new (shared_->kept(slots) + i) Task;
  }
}

CrashNotes::~CrashNotes() { munmap(shared_, bytes_); }

RunningNote* CrashNotes::slot(uint32_t index) { return shared_->notes() + index; }

void CrashNotes::SetProcess(std::string_view process_id) {
  process_id = process_id.substr(0, kMaxProcessId);
  std::memset(shared_->process, 0, sizeof shared_->process);
  std::memcpy(shared_->process, process_id.data(), process_id.size());
}

void CrashNotes::CatchFaults() {
  struct sigaction action {};
  action.sa_handler = RunningNote::OnFault;
  action.sa_flags = static_cast<int>(SA_ONSTACK | SA_RESETHAND | SA_NODEFER);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP})
    sigaction(signal, &action, nullptr);
}

void CrashNotes::Keep() {
  uint32_t count = 0;
  bool named = false;
  for (uint32_t i = 0; i < slots_; ++i) {
    const RunningNote& note = *slot(i);
    const uint64_t task = note.task_.load();
    if (task == 0 || named) continue;
    named = (task & RunningNote::kCulprit) != 0;
    if (named) count = 0;
    shared_->kept(slots_)[count++] = {JobId(note.job_.load()),
                                      {Epoch(note.birth_epoch_.load()), note.birth_counter_.load()},
                                      static_cast<TaskIndex>(task)};
  }
  Clear();
  if (count == 0) return;
  shared_->kept_count.store(count);
  shared_->kept_named.store(named);
  std::memcpy(shared_->kept_process, shared_->process, sizeof shared_->process);
}

void CrashNotes::Clear() {
  for (uint32_t i = 0; i < slots_; ++i) slot(i)->End();
  // A process that ended before it was given anything leaves what it was to tell.
  if (shared_->kept_count.load() == 0)
    std::memcpy(shared_->kept_process, shared_->process, sizeof shared_->process);
}

CrashNotes::Kept CrashNotes::kept() const {
  Kept kept;
  kept.named = shared_->kept_named.load();
  kept.process_id.assign(shared_->kept_process,
                         strnlen(shared_->kept_process, sizeof shared_->kept_process - 1));
  kept.tasks.assign(shared_->kept(slots_), shared_->kept(slots_) + shared_->kept_count.load());
  return kept;
}

void CrashNotes::Forget() {
  shared_->kept_count.store(0);
  shared_->kept_named.store(false);
}

}  // namespace reeve
