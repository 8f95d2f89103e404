#include "base/interval_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace reeve {
namespace {

TEST(IntervalSet, NeighboursMergeIntoOneRun) {
  IntervalSet set;
  EXPECT_EQ(set.Add({0, 10}), 10u);
  EXPECT_EQ(set.Add({20, 10}), 10u);
  EXPECT_EQ(set.Add({10, 10}), 10u);
  EXPECT_EQ(set.Runs(), (std::vector<reeve::Run>{{0, 30}}));
  EXPECT_EQ(set.size(), 30u);
}

TEST(IntervalSet, AddCountsOnlyWhatIsNew) {
  IntervalSet set(reeve::Run{5, 5});
  EXPECT_EQ(set.Add({0, 20}), 15u);
  EXPECT_EQ(set.Add({0, 20}), 0u);
  EXPECT_EQ(set.size(), 20u);
}

TEST(IntervalSet, RemoveSplitsARun) {
  IntervalSet set(reeve::Run{0, 100});
  EXPECT_EQ(set.Remove({40, 20}), 20u);
  EXPECT_EQ(set.Runs(), (std::vector<reeve::Run>{{0, 40}, {60, 40}}));
  EXPECT_EQ(set.Missing({30, 40}), (std::vector<reeve::Run>{{40, 20}}));
  EXPECT_EQ(set.Intersection({30, 40}), (std::vector<reeve::Run>{{30, 10}, {60, 10}}));
}

TEST(IntervalSet, FirstRunStartsInTheMiddleAndIsCutAtTheLimit) {
  IntervalSet set(reeve::Run{10, 100});
  EXPECT_EQ(set.FirstRun(50, 7), (reeve::Run{50, 7}));
  EXPECT_EQ(set.FirstRun(0, 1000), (reeve::Run{10, 100}));
  EXPECT_FALSE(set.FirstRun(110).has_value());
}

// The oracle is a std::set of single indexes.
TEST(IntervalSet, BehavesAsASetOfIndexes) {
  std::mt19937 random(7);
  IntervalSet set;
  std::set<TaskIndex> oracle;
  for (int step = 0; step < 20'000; ++step) {
    const reeve::Run run{static_cast<TaskIndex>(random() % 300),
                         static_cast<uint32_t>(random() % 40)};
    uint32_t changed = 0;
    if (random() % 2 == 0) {
      for (TaskIndex i = run.first; i < run.end(); ++i) changed += oracle.insert(i).second;
      ASSERT_EQ(set.Add(run), changed);
    } else {
      for (TaskIndex i = run.first; i < run.end(); ++i)
        changed += static_cast<uint32_t>(oracle.erase(i));
      ASSERT_EQ(set.Remove(run), changed);
    }
    ASSERT_EQ(set.size(), oracle.size());
    const auto at = static_cast<TaskIndex>(random() % 300);
    ASSERT_EQ(set.Contains(at), oracle.contains(at));
    uint32_t inside = 0;
    for (const reeve::Run& part : set.Intersection(run)) inside += part.count;
    uint32_t missing = 0;
    for (const reeve::Run& part : set.Missing(run)) missing += part.count;
    ASSERT_EQ(inside + missing, run.count);
    ASSERT_EQ(set.ContainsAll(run), missing == 0);
    ASSERT_EQ(set.Intersects(run), inside > 0);
  }
}

}  // namespace
}  // namespace reeve
