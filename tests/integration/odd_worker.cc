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

}  // namespace

int main(int argc, char** argv) {
  reeve::Worker worker;
  worker.Handle("meet", Meet);
  worker.Handle("risk", Risk);
  return worker.Main(argc, argv);
}
