// Twenty thousand seeds; what they must have seen; and that a seed means one history.

#include "gtest/gtest.h"
#include "tests/simulation/isolated.h"

namespace reeve::sim {
namespace {

constexpr uint64_t kSeeds = 20'000;

TEST(SimulationTest, NoInvariantBreaksInTwentyThousandSeedsAndEveryBranchIsSeen) {
  const BatchResult result = RunSeeds(1, kSeeds, Modes::kBoth);
  ASSERT_FALSE(result.failed.has_value())
      << result.outcome.broken << "\n"
      << Describe(*result.failed) << "repeat with: simulation --seed " << result.failed->seed
      << " --trace";
  EXPECT_EQ(result.seeds, kSeeds);
  for (int i = 0; i < kSeenCount; ++i)
    EXPECT_GT(result.counters[i], 0u) << "never seen: " << kSeenNames[static_cast<size_t>(i)];
}

TEST(SimulationTest, ASeedMeansOneHistory) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const SimConfig config = ConfigOf(seed, Modes::kBoth);
    EXPECT_EQ(Simulate(config).hash, Simulate(config).hash) << "seed " << seed;
    EXPECT_NE(Simulate(config).hash, Simulate(ConfigOf(seed + 50, Modes::kBoth)).hash);
  }
}

}  // namespace
}  // namespace reeve::sim
