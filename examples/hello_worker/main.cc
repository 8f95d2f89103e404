// A worker of your own: one handler, `shout`.
//
//   bazel build //examples/hello_worker && bazel-bin/examples/hello_worker/hello_worker --state-dir
//   /tmp/hello reeve map --handler shout ::: hello world

#include <algorithm>
#include <cctype>

#include "worker/sdk/worker.h"

int main(int argc, char** argv) {
  reeve::Worker worker;
  worker.Handle("shout",
                [](reeve::TaskContext&, std::string_view input) -> absl::StatusOr<std::string> {
                  std::string loud(input);
                  std::transform(loud.begin(), loud.end(), loud.begin(),
                                 [](unsigned char c) { return std::toupper(c); });
                  return loud;
                });
  return worker.Main(argc, argv);
}
