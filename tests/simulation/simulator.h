// A whole cluster in one thread: the real scheduler, the real agents, everything around them
// simulated. One configuration, one history.

#ifndef REEVE_TESTS_SIMULATION_SIMULATOR_H_
#define REEVE_TESTS_SIMULATION_SIMULATOR_H_

#include <string>

#include "tests/simulation/world.h"

namespace reeve::sim {

struct Outcome {
  std::string broken;  // The first broken invariant; empty: none.
  uint64_t hash = 0;   // Of the history.
  uint64_t events = 0;
  Counters counters{};
};

// Runs a configuration to its end or to the first broken invariant.
// Dies: with the scheduler's own message, if the scheduler contradicts itself (see isolated.h).
Outcome Simulate(const SimConfig& config, bool trace = false);

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SIMULATOR_H_
