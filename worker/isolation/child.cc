#include "worker/isolation/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <map>
#include <optional>
#include <string>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/input_key.h"
#include "base/strings.h"
#include "reeve/isolation/v1/isolation.pb.h"
#include "worker/isolation/frames.h"
#include "worker/lanes/attempt_additions.h"
#include "worker/lanes/lane.h"
#include "worker/sdk/verdict.h"

namespace reeve {
namespace {

namespace pb = ::reeve::isolation::v1;

constexpr absl::Duration kProgressEvery = absl::Milliseconds(200);

// Set by SIGTERM, which is how the worker says that a task was cancelled. Never unset: such a child
// is not used again.
std::atomic<bool> is_cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void OnTerminate(int) { is_cancelled.store(true); }

class IsolatedContext final : public TaskContext {
 public:
  IsolatedContext(const pb::IsolatedTask& task, AttemptAdditions* additions, int fd)
      : task_(task), additions_(additions), fd_(fd) {
    for (const auto& [name, value] : task.params()) params_[name] = value;
  }

  JobId job() const override { return JobId(task_.job_id()); }
  TaskIndex index() const override { return task_.index(); }
  uint32_t attempt() const override { return task_.attempt(); }
  std::string_view param(std::string_view name) const override {
    const auto it = params_.find(std::string(name));
    return it == params_.end() ? std::string_view() : std::string_view(it->second);
  }
  const std::map<std::string, std::string>& params() const override { return params_; }
  absl::Time deadline() const override {
    return task_.deadline_unix_us() == 0 ? absl::InfiniteFuture()
                                         : absl::FromUnixMicros(task_.deadline_unix_us());
  }
  bool accepts_inputs() const override { return task_.accepts_inputs(); }
  absl::Status AddInput(const InputKey& key, std::string_view input) override {
    return accepts_inputs() ? additions_->AddInput(key, input)
                            : AttemptContext::AddInput(key, input);
  }
  absl::Status Count(std::string_view counter, int64_t by) override {
    return additions_->Count(counter, by);
  }
  void Log(std::string_view line) override {
    pb::IsolatedOutcome said;
    said.set_logs(true);
    said.set_line(std::string(Beginning(line, kMaxFailureBytes)));
    Say(std::move(said));
  }
  // Told a few times a second: each is a message between processes.
  void Progress(double done, std::string_view note) override {
    const absl::Time now = absl::Now();
    if (now < next_progress_) return;
    next_progress_ = now + kProgressEvery;
    pb::IsolatedOutcome said;
    said.set_progresses(true);
    said.set_done(done);
    said.set_note(std::string(Beginning(note, kMaxProgressNoteBytes)));
    Say(std::move(said));
  }
  std::string_view details() const override { return task_.details(); }
  absl::Status KeepDetails(std::string_view details) override {
    if (absl::Status s = CheckDetails(details); !s.ok()) return s;
    pb::IsolatedOutcome said;
    said.set_keeps_details(true);
    said.set_details(std::string(details));
    Say(std::move(said));
    return absl::OkStatus();
  }
  std::optional<std::string_view> predecessor_result(std::string_view name,
                                                     TaskIndex index) const override {
    const auto [it, is_new] = results_.try_emplace({std::string(name), index});
    if (is_new) it->second = AskForResult(name, index);
    return it->second;
  }
  absl::StatusOr<std::string> ScratchFolder() override {
    if (!scratch_.empty()) return scratch_;
    pb::IsolatedOutcome asked;
    asked.set_wants_scratch(true);
    Say(std::move(asked));
    std::string frame;
    pb::IsolatedScratch answer;
    if (!ReceiveFrame(fd_, &frame) || !answer.ParseFromString(frame))
      return absl::InternalError("the worker is gone");
    if (!answer.error().empty()) return absl::InternalError(answer.error());
    return scratch_ = answer.path();
  }
  bool cancelled() const override { return is_cancelled.load(std::memory_order_relaxed); }
  // The worker does not say why it told the task to end.
  bool discarded() const override { return false; }
  bool Sleep(absl::Duration duration) override {
    // SIGTERM is blocked outside of the wait, so that one that comes just before it is not missed.
    sigset_t terminate, before;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &terminate, &before);
    const absl::Time until = absl::Now() + duration;
    for (absl::Time now = absl::Now(); now < until && !cancelled(); now = absl::Now()) {
      const timespec left = absl::ToTimespec(std::min(until - now, absl::Hours(1)));
      pselect(0, nullptr, nullptr, nullptr, &left, &before);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return !cancelled();
  }

 private:
  std::optional<std::string> AskForResult(std::string_view name, TaskIndex index) const {
    pb::IsolatedOutcome asked;
    asked.set_wants_result(true);
    asked.set_predecessor(std::string(name));
    asked.set_result_index(index);
    Say(std::move(asked));
    std::string frame;
    pb::IsolatedResult answer;
    if (!ReceiveFrame(fd_, &frame) || !answer.ParseFromString(frame) || !answer.found())
      return std::nullopt;
    return std::move(*answer.mutable_result());
  }
  void Say(pb::IsolatedOutcome said) const {
    said.set_goes_on(true);
    (void)SendFrame(fd_, said.SerializeAsString());  // A worker that is gone ends this process.
  }

  const pb::IsolatedTask& task_;
  AttemptAdditions* const additions_;
  const int fd_;
  std::map<std::string, std::string> params_;
  std::string scratch_;
  // Asked for so far.
  mutable std::map<std::pair<std::string, TaskIndex>, std::optional<std::string>> results_;
  absl::Time next_progress_ = absl::InfinitePast();
};

uint64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long pages = 0;
  if (std::fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
  std::fclose(file);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

absl::StatusOr<std::string> RunTask(const HandlerRegistry& handlers, const pb::IsolatedTask& task,
                                    AttemptAdditions* additions, int fd) {
  const ThreadHandler* handler = handlers.Find(task.handler());
  if (handler == nullptr) {
    return absl::NotFoundError(
        StrCat("the worker's process offers no handler `", task.handler(), "`"));
  }
  IsolatedContext context(task, additions, fd);
  try {
    return (*handler)(context, task.input());
  } catch (const std::exception& error) {
    return absl::InternalError(StrCat("the handler threw: ", error.what()));
  } catch (...) {
    return absl::InternalError("the handler threw something that is no std::exception");
  }
}

// What a lane would refuse is not sent: it may be larger than a frame.
absl::StatusOr<std::string> Bounded(absl::StatusOr<std::string> returned) {
  if (!returned.ok() || returned->size() <= kMaxPayloadBytes) return returned;
  return MakeError(absl::StatusCode::kOutOfRange, "RESULT_TOO_LARGE",
                   StrCat("the result has ", returned->size(), " bytes, at most ", kMaxPayloadBytes,
                          " are kept"));
}

pb::IsolatedOutcome OutcomeOf(absl::StatusOr<std::string> returned,
                              const AttemptAdditions& additions) {
  pb::IsolatedOutcome outcome;
  if (returned.ok()) {
    additions.ForEachInput([&outcome](const InputKey& key, std::string_view input) {
      outcome.add_new_inputs(std::string(input));
      outcome.add_new_keys(EncodeKeys({key}));
    });
    outcome.mutable_counts()->insert(additions.counts().begin(), additions.counts().end());
    outcome.set_output(*std::move(returned));
  } else {
    outcome.set_code(static_cast<uint32_t>(returned.status().code()));
    outcome.set_message(
        std::string(Beginning(ToStd(returned.status().message()), kMaxFailureBytes)));
    outcome.set_reason(ErrorReason(returned.status()));
    outcome.set_permanent(IsPermanent(returned.status()));
    if (const auto wait = AgainWait(returned.status()); wait.has_value())
      outcome.set_again_after_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(*wait)) + 1);
  }
  outcome.set_resident_bytes(ResidentBytes());
  return outcome;
}

}  // namespace

int ServeIsolated(const HandlerRegistry& handlers, int fd) {
  // The worker's thread that started this process lives as long as the worker does.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction action {};
  action.sa_handler = OnTerminate;
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::string frame;
  while (ReceiveFrame(fd, &frame)) {
    pb::IsolatedTask task;
    if (!task.ParseFromString(frame)) return 70;
    AttemptAdditions additions;
    absl::StatusOr<std::string> returned = Bounded(RunTask(handlers, task, &additions, fd));
    if (!SendFrame(fd, OutcomeOf(std::move(returned), additions).SerializeAsString())) break;
  }
  return 0;
}

}  // namespace reeve
