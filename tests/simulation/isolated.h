// Runs configurations in a child process, because a broken invariant inside the scheduler ends the
// process, and shrinking and mutation tests must go on after it.

#ifndef REEVE_TESTS_SIMULATION_ISOLATED_H_
#define REEVE_TESTS_SIMULATION_ISOLATED_H_

#include <optional>

#include "tests/simulation/simulator.h"

namespace reeve::sim {

// As Simulate; a death of the process is a broken invariant, described by what it last wrote to
// standard error.
Outcome RunIsolated(const SimConfig& config);

struct BatchResult {
  uint64_t seeds = 0, events = 0;
  uint64_t hash = 0;  // Of all histories, in order.
  Counters counters{};
  // The first seed that broke something.
  std::optional<SimConfig> failed;
  Outcome outcome;
};

enum class Modes : uint8_t { kSafety, kLiveness, kBoth };

// Seeds first, first + 1, … `count` of them. With kBoth even seeds are safety runs, odd ones
// liveness runs. Stops at the first failure.
BatchResult RunSeeds(uint64_t first, uint64_t count, Modes modes);
SimConfig ConfigOf(uint64_t seed, Modes modes);

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_ISOLATED_H_
