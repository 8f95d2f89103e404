// A worker whose handler `meet` returns only once four tasks are in it together.

#include <barrier>

#include "worker/sdk/worker.h"

int main(int argc, char** argv) {
  static std::barrier meeting(4);
  reeve::Worker worker;
  worker.Handle("meet", [](reeve::TaskContext&, std::string_view) -> absl::StatusOr<std::string> {
    meeting.arrive_and_wait();
    return std::string("met");
  });
  return worker.Main(argc, argv);
}
