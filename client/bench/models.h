// `reeve bench models`: the same work on each lane and in Python's own ways.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_BENCH_MODELS_H_
#define REEVE_CLIENT_BENCH_MODELS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct ModelsOptions {
  uint32_t runs = 3;
  std::vector<uint64_t> requests = {100, 1'000, 10'000};
  uint64_t sums = 200;
  double answer_after = 1;  // Seconds, of the server.
  std::vector<uint32_t> workers = {1, 2, 4};
  std::vector<std::string> plugins;  // Instead of those beside `reeve`.
  std::string python = "python3";
};

// Exit code 1 if a method failed or gave a wrong result; its row says why.
absl::StatusOr<int> RunBenchModels(Session& session, const ModelsOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_MODELS_H_
