// The simulation by hand.
//
//   simulation --seeds 100000 --first 1       many seeds; stops at the first that breaks something
//   simulation --seed 4711 --trace            one history, event by event
//   simulation --seed 4711 --shrink           the smallest configuration that breaks the same
//   simulation --mode safety|liveness|both    default: both
//   simulation --bug no-fencing …             with a bug planted (base/bug.h)
//   simulation --mutations                    plants every bug in turn: the mutation score

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/simulation/isolated.h"
#include "tests/simulation/mutations.h"
#include "tests/simulation/shrink.h"

namespace reeve::sim {
namespace {

constexpr uint64_t kSeedsAtOnce = 1000;

struct Flags {
  uint64_t seeds = 1000, first = 1;
  std::optional<uint64_t> seed;
  bool trace = false, shrink = false, mutations = false;
  Modes modes = Modes::kBoth;
};

void Explain(const SimConfig& config, const std::string& broken, bool shrink) {
  const Outcome again = RunIsolated(config);
  std::printf("seed %" PRIu64 " breaks: %s\ntrace hash %016" PRIx64 "\n%s", config.seed,
              broken.c_str(), again.hash, Describe(config).c_str());
  if (!shrink) return;
  const SimConfig smaller = Shrink(config, broken);
  std::printf("shrunk:\n%s", Describe(smaller).c_str());
}

void PrintCounters(const Counters& counters) {
  for (int i = 0; i < kSeenCount; ++i)
    std::printf("  %-24s %10" PRIu64 "\n", kSeenNames[static_cast<size_t>(i)], counters[i]);
}

int RunMany(const Flags& flags) {
  uint64_t seeds = 0, events = 0, hash = 0;
  Counters counters{};
  while (seeds < flags.seeds) {
    const BatchResult result =
        RunSeeds(flags.first + seeds, std::min(kSeedsAtOnce, flags.seeds - seeds), flags.modes);
    seeds += result.seeds;
    events += result.events;
    hash = Mix(hash, result.hash);
    for (int i = 0; i < kSeenCount; ++i) counters[i] += result.counters[i];
    if (result.failed.has_value()) {
      Explain(*result.failed, result.outcome.broken, flags.shrink);
      return 1;
    }
  }
  std::printf("%" PRIu64 " seeds, %" PRIu64 " events, no invariant broken, hash %016" PRIx64 "\n",
              seeds, events, hash);
  PrintCounters(counters);
  return 0;
}

int RunOne(const Flags& flags) {
  const SimConfig config = ConfigOf(*flags.seed, flags.modes);
  if (flags.trace) {
    std::printf("%s", Describe(config).c_str());
    const Outcome outcome = Simulate(config, true);
    std::printf("%s\ntrace hash %016" PRIx64 "\n",
                outcome.broken.empty() ? "nothing is broken" : outcome.broken.c_str(),
                outcome.hash);
    return outcome.broken.empty() ? 0 : 1;
  }
  const Outcome outcome = RunIsolated(config);
  if (!outcome.broken.empty()) {
    Explain(config, outcome.broken, flags.shrink);
    return 1;
  }
  std::printf("seed %" PRIu64 ": nothing is broken, %" PRIu64 " events, trace hash %016" PRIx64
              "\n",
              config.seed, outcome.events, outcome.hash);
  return 0;
}

int RunMutations(const Flags& flags) {
  int missed = 0;
  for (const Mutation& mutation : Mutations()) {
    const BatchResult result = Hunt(mutation, flags.seeds);
    if (result.failed.has_value()) {
      std::printf("%-30s seed %6" PRIu64 "  %s\n", mutation.name, result.failed->seed,
                  result.outcome.broken.c_str());
    } else {
      ++missed;
      std::printf("%-30s not found in %" PRIu64 " seeds\n", mutation.name, flags.seeds);
    }
  }
  const size_t all = Mutations().size();
  std::printf("%zu of %zu bugs found\n", all - static_cast<size_t>(missed), all);
  return missed == 0 ? 0 : 1;
}

int Usage() {
  std::fprintf(stderr,
               "usage: simulation [--seeds N] [--first K] [--seed S] [--trace] [--shrink] "
               "[--mode safety|liveness|both] [--bug NAME] [--mutations]\n");
  return 2;
}

int Main(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (name == "--trace") {
      flags.trace = true;
    } else if (name == "--shrink") {
      flags.shrink = true;
    } else if (name == "--mutations") {
      flags.mutations = true;
    } else if (value == nullptr) {
      return Usage();
    } else if (name == "--seeds") {
      flags.seeds = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--first") {
      flags.first = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--seed") {
      flags.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--bug") {
      const std::optional<Mutation> mutation = FindMutation(argv[++i]);
      if (!mutation.has_value()) return Usage();
      planted_bug = mutation->bug;
    } else if (name == "--mode") {
      const std::string mode = argv[++i];
      flags.modes = mode == "safety"     ? Modes::kSafety
                    : mode == "liveness" ? Modes::kLiveness
                                         : Modes::kBoth;
    } else {
      return Usage();
    }
  }
  if (flags.mutations) return RunMutations(flags);
  return flags.seed.has_value() ? RunOne(flags) : RunMany(flags);
}

}  // namespace
}  // namespace reeve::sim

int main(int argc, char** argv) { return reeve::sim::Main(argc, argv); }
