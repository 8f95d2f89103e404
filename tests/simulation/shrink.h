// Makes a failing configuration smaller as long as it fails: fewer faults (ddmin), then fewer jobs,
// tasks, workers, then no loss, no duplicates, no reordering, short delays.

#ifndef REEVE_TESTS_SIMULATION_SHRINK_H_
#define REEVE_TESTS_SIMULATION_SHRINK_H_

#include "tests/simulation/config.h"

namespace reeve::sim {

// REQUIRES: `config` fails. Returns: a configuration that fails too, with an invariant that begins
// alike. Cost: some hundred runs, each in a process of its own.
SimConfig Shrink(SimConfig config, const std::string& broken);

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SHRINK_H_
