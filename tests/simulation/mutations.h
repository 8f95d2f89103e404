// The simulation's own test: bugs planted one at a time, each of which it must find.

#ifndef REEVE_TESTS_SIMULATION_MUTATIONS_H_
#define REEVE_TESTS_SIMULATION_MUTATIONS_H_

#include <optional>
#include <string_view>
#include <vector>

#include "base/bug.h"
#include "tests/simulation/isolated.h"

namespace reeve::sim {

struct Mutation {
  Bug bug = Bug::kNone;
  const char* name = "";
};
const std::vector<Mutation>& Mutations();
// Returns: nullopt if there is no bug of this name.
std::optional<Mutation> FindMutation(std::string_view name);

// Runs seeds 1 to `limit` with the bug planted, until one breaks something.
BatchResult Hunt(const Mutation& mutation, uint64_t limit);

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_MUTATIONS_H_
