// The mutation score: every planted bug is found within fifteen hundred seeds.

#include "gtest/gtest.h"
#include "tests/simulation/mutations.h"

namespace reeve::sim {
namespace {

constexpr uint64_t kWithin = 1500;

TEST(MutationTest, EveryBugHasASwitch) {
  EXPECT_EQ(Mutations().size(), static_cast<size_t>(Bug::kCount) - 1);
}

TEST(MutationTest, WithoutABugTheSameBuildFindsNothing) {
  EXPECT_FALSE(Hunt({}, kWithin).failed.has_value());
}

class EveryMutation : public testing::TestWithParam<Mutation> {};

TEST_P(EveryMutation, IsFoundWithinFifteenHundredSeeds) {
  const BatchResult result = Hunt(GetParam(), kWithin);
  ASSERT_TRUE(result.failed.has_value()) << GetParam().name << " was not found";
  RecordProperty("seed", std::to_string(result.failed->seed));
  RecordProperty("broken", result.outcome.broken);
}

INSTANTIATE_TEST_SUITE_P(All, EveryMutation, testing::ValuesIn(Mutations()),
                         [](const testing::TestParamInfo<Mutation>& mutation) {
                           std::string name;
                           for (const char c : std::string(mutation.param.name))
                             name += c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace reeve::sim
