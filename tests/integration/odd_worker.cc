// A worker with handlers that misbehave, or that need each other.

#include <unistd.h>

#include <atomic>
#include <barrier>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/input_key.h"
#include "worker/sdk/worker.h"

namespace {

std::barrier meeting(4);

// Returns only once four tasks are in it together.
absl::StatusOr<std::string> Meet(reeve::TaskContext&, std::string_view) {
  meeting.arrive_and_wait();
  return std::string("met");
}

// The input `poison` takes the process down with a fault, `vanish` without one; `spin` never
// returns, `pid` tells where it runs; others take a moment.
absl::StatusOr<std::string> Risk(reeve::TaskContext& task, std::string_view input) {
  if (input == "poison") std::raise(SIGSEGV);
  if (input == "vanish") std::raise(SIGKILL);
  if (input == "spin") {
    for (std::atomic<uint64_t> turns = 0;; ++turns) {
    }
  }
  if (input == "pid") return std::to_string(getpid());
  task.Sleep(absl::Milliseconds(20));
  return std::string(input);
}

// Waits for the milliseconds its input says; `block` waits without giving the thread back.
reeve::Async<std::string> Wait(reeve::AsyncContext& task, std::string input) {
  if (input == "block") usleep(200'000);
  if (input == "poison") std::raise(SIGSEGV);
  co_await task.Sleep(absl::Milliseconds(atoi(input.c_str())));
  co_return input;
}

// Decimal numbers below the job's parameter `nodes` are nodes of a graph; each leads to four
// others, two of which make all of them reachable from 0. The key of a node is its number in 16
// digits.
absl::StatusOr<std::string> Expand(reeve::TaskContext& task, std::string_view input) {
  const uint64_t nodes = std::stoull(std::string(task.param("nodes")));
  const uint64_t node = std::stoull(std::string(input));
  if (!task.param("slowly").empty()) task.Sleep(absl::Milliseconds(4));
  for (const uint64_t next : {2 * node + 1, 2 * node + 2, node / 2, node * node + 7}) {
    const std::string name = std::to_string(next % nodes);
    const std::string key = std::string(16 - name.size(), '0') + name;
    if (absl::Status s = task.AddInput(reeve::KeyFromBytes(key), name); !s.ok()) return s;
  }
  return std::string(input);
}

// Counts itself and the digits of its input, then fails the first attempts of every third input.
absl::StatusOr<std::string> Tally(reeve::TaskContext& task, std::string_view input) {
  if (absl::Status s = task.Count("tasks"); !s.ok()) return s;
  if (absl::Status s = task.Count("digits", static_cast<int64_t>(input.size())); !s.ok()) return s;
  if (!task.param("slowly").empty()) task.Sleep(absl::Milliseconds(2));
  if (task.attempt() == 1 && task.index() % 3 == 0) return absl::UnavailableError("once more");
  return std::string(input);
}

reeve::Async<std::string> TallyAsync(reeve::AsyncContext& task, std::string) {
  co_await task.Sleep(absl::Milliseconds(1));
  if (!task.Count("tasks").ok()) throw std::runtime_error("cannot count");
  const absl::Status bad = task.Count("no name");
  co_return std::string(bad.message());
}

// Says what it may, leaves a file in its scratch folder, and waits for the file its input names.
absl::Status Narrate(reeve::AttemptContext& task, const std::string& input) {
  task.Log("first line of " + std::to_string(task.index()));
  task.Progress(0.25, "a quarter");
  const auto folder = task.ScratchFolder();
  if (!folder.ok()) return folder.status();
  if (*folder != *task.ScratchFolder()) return absl::InternalError("another folder");
  if (!std::filesystem::is_empty(*folder)) return absl::InternalError("the folder is not empty");
  std::ofstream(*folder + "/left") << "behind";
  std::ofstream(input + ".folder") << *folder;
  return absl::OkStatus();
}

absl::StatusOr<std::string> NarrateInThread(reeve::TaskContext& task, std::string_view input) {
  const std::string name(input);
  if (absl::Status s = Narrate(task, name); !s.ok()) return s;
  while (!std::filesystem::exists(name) && task.Sleep(absl::Milliseconds(20)))
    task.Progress(0.5, "half");
  task.Log("last line");
  return std::string("done");
}

reeve::Async<std::string> NarrateAsync(reeve::AsyncContext& task, std::string input) {
  if (absl::Status s = Narrate(task, input); !s.ok()) throw std::runtime_error(s.ToString());
  while (!std::filesystem::exists(input)) {
    co_await task.Sleep(absl::Milliseconds(20));
    task.Progress(0.5, "half");
  }
  task.Log("last line");
  co_return std::string("done");
}

// What an attempt of `say` comes to: `permanent`, `again` for the first three attempts that the
// file its second word names has counted, `details` for the first attempt, which leaves some.
absl::StatusOr<std::string> Say(reeve::AttemptContext& task, const std::string& input) {
  if (input == "permanent") return reeve::Permanent(absl::InternalError("never"));
  if (input.rfind("again ", 0) == 0) {
    const std::string file = input.substr(6);
    std::ofstream(file, std::ios::app) << "x";
    const auto attempts = std::filesystem::file_size(file);
    if (attempts < 4) return reeve::AgainAfter(absl::Milliseconds(10), "later");
    return std::to_string(attempts);
  }
  if (input == "details" && task.attempt() == 1) {
    if (absl::Status s = task.KeepDetails("at 7"); !s.ok()) return s;
    return absl::InternalError("once more");
  }
  if (input == "details") return std::string(task.details());
  return std::string(task.predecessor_result("first", 1).value_or("none"));
}

absl::StatusOr<std::string> SayInThread(reeve::TaskContext& task, std::string_view input) {
  return Say(task, std::string(input));
}

reeve::Async<absl::StatusOr<std::string>> SayAsync(reeve::AsyncContext& task, std::string input) {
  co_return Say(task, input);
}

// Works until it is told to end.
absl::StatusOr<std::string> Endless(reeve::TaskContext& task, std::string_view) {
  while (task.Sleep(absl::Seconds(1))) {
  }
  return std::string("ended well");
}

reeve::Async<std::string> EndlessAsync(reeve::AsyncContext& task, std::string) {
  for (bool goes_on = true; goes_on;) goes_on = co_await task.Sleep(absl::Seconds(1));
  co_return std::string("ended well");
}

}  // namespace

int main(int argc, char** argv) {
  reeve::Worker worker;
  worker.Handle("meet", Meet);
  worker.Handle("risk", Risk);
  worker.HandleAsync("wait", Wait);
  worker.Handle("expand", Expand);
  worker.Handle("tally", Tally);
  worker.Handle("narrate", NarrateInThread);
  worker.Handle("narrate-isolated", NarrateInThread, {.isolation = reeve::Isolation::kProcess});
  worker.HandleAsync("narrate-async", NarrateAsync);
  worker.HandleAsync("tally-async", TallyAsync);
  worker.Handle("say", SayInThread);
  worker.Handle("say-isolated", SayInThread, {.isolation = reeve::Isolation::kProcess});
  worker.HandleAsync("say-async", SayAsync);
  worker.Handle("endless", Endless);
  worker.Handle("endless-isolated", Endless, {.isolation = reeve::Isolation::kProcess});
  worker.HandleAsync("endless-async", EndlessAsync);
  return worker.Main(argc, argv);
}
