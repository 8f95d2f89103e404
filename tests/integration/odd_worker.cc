// A worker with handlers that misbehave, or that need each other.

#include <unistd.h>

#include <atomic>
#include <barrier>
#include <csignal>

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

}  // namespace

int main(int argc, char** argv) {
  reeve::Worker worker;
  worker.Handle("meet", Meet);
  worker.Handle("risk", Risk);
  worker.HandleAsync("wait", Wait);
  return worker.Main(argc, argv);
}
