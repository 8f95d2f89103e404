// Keys of tasks: limits and rates for each, and turns between them.

#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

JobExtras Keyed(uint32_t max_in_flight, Rate rate = {}) {
  JobExtras extras;
  extras.keyed = true;
  extras.key_max_in_flight = max_in_flight;
  extras.key_rate = rate;
  return extras;
}

TEST(KeysTest, AtMostSoManyTasksOfAKeyAreAtWorkers) {
  Harness h;
  h.Join(1, 16);
  const std::vector<uint64_t> keys = {7, 7, 7, 7, 8, 9, 9, 9};
  h.CreateKeyed(keys, Keyed(2));
  std::map<uint64_t, int> held;
  std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  for (const AssignedSpan& span : spans) {
    for (TaskIndex i = span.run.first; i < span.run.end(); ++i) ++held[keys[i]];
  }
  EXPECT_EQ(held, (std::map<uint64_t, int>{{7, 2}, {8, 1}, {9, 2}}));
  for (const AssignedSpan& span : spans) h.Finish(1, span);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 3u);
}

TEST(KeysTest, KeysTakeTurns) {
  Harness h;
  std::vector<uint64_t> keys(1'000, 1);
  keys.insert(keys.end(), 10, 2);
  h.Join(1, 1);
  h.CreateKeyed(keys, Keyed(0));
  std::map<uint64_t, int> ran;
  for (int i = 0; i < 22; ++i) {
    const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
    for (const AssignedSpan& span : spans) {
      ran[keys[span.run.first]] += static_cast<int>(span.run.count);
      h.Finish(1, span, {}, absl::Seconds(1));
    }
  }
  EXPECT_EQ(ran[2], 10);
}

TEST(KeysTest, StartsOfEachKeyPassAtItsRate) {
  Harness h;
  h.Join(1, 64);
  const std::vector<uint64_t> keys = [] {
    std::vector<uint64_t> keys;
    for (uint64_t i = 0; i < 3'000; ++i) keys.push_back(i % 3);
    return keys;
  }();
  h.CreateKeyed(keys, Keyed(0, Rate{50, absl::Seconds(1), 2}));
  std::map<uint64_t, std::vector<absl::Duration>> starts;
  for (int ms = 0; ms < 10'000; ++ms) {
    for (const AssignedSpan& span : h.TakeAssigned(1)) {
      EXPECT_TRUE(span.front);
      for (TaskIndex i = span.run.first; i < span.run.end(); ++i)
        starts[keys[i]].push_back(h.clock_);
      h.Finish(1, span);
    }
    h.Live(absl::Milliseconds(1));
  }
  ASSERT_EQ(starts.size(), 3u);
  for (const auto& [key, times] : starts) {
    EXPECT_GE(times.size(), 495u);
    for (size_t i = 52; i < times.size(); ++i)
      EXPECT_GE(times[i] - times[i - 52], absl::Seconds(1)) << key << " at " << i;
  }
}

TEST(KeysTest, ATaskThatIsTriedAgainCountsOnceForItsKey) {
  Harness h;
  h.Join(1, 16);
  h.CreateKeyed({5, 5, 5}, Keyed(1));
  std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  ASSERT_EQ(Count(spans), 1u);
  h.Finish(1, spans[0], {{0, TaskState::kFailed, Reason::kHandlerError}});
  spans = h.TakeAssigned(1);
  ASSERT_EQ(Count(spans), 1u);
  EXPECT_EQ(spans[0].run.first, 1u);
  h.Finish(1, spans[0]);
  h.RunAll();
  h.Live(absl::Seconds(2));
  ASSERT_EQ(h.loads.size(), 1u);  // It had left memory with the last of its chunk.
  InputBatchBuilder inputs;
  for (int i = 0; i < 3; ++i) inputs.Add("x");
  h.Step(InputsLoaded{JobId(1), 0, *InputBatch::Parse(Buffer(inputs.Finish()))});
  h.RunAll();
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kSucceeded);
}

TEST(KeysTest, AfterARestartKeysAreKnownAndWaitForWorkersToSpeak) {
  JobImage stored = StoredArray(4, 4);
  stored.job.array_count = 0;
  JobExtras extras = Keyed(1);
  stored.job.options.extras = std::make_shared<const JobExtras>(extras);
  stored.chunks[0].task_keys = {1, 1, 2, 2};
  stored.frontier = 2;
  Image image = Restarted(std::move(stored));
  Harness h(std::move(image));
  h.Join(2, 8);
  EXPECT_EQ(Count(h.TakeAssigned(2)), 0u);  // worker1 may have the first two.
  h.Join(1, 8);
  h.Step(InputsLoaded{JobId(7), 0, nullptr});
  EXPECT_FALSE(h.loads.empty());
}

// No other task of it was ready, so no key was, and that was taken for its limit.
TEST(KeysTest, TheLastTaskOfAKeyedJobMayRunAloneWithinItsLimit) {
  JobImage stored = StoredArray(1, 1);
  JobExtras extras;
  extras.keyed = true;
  extras.key_max_in_flight = 1;
  stored.job.options.extras = std::make_shared<const JobExtras>(extras);
  stored.job.options.max_in_flight = 1;
  const absl::Time due = absl::FromUnixSeconds(1'000'000);
  stored.retries.push_back({{0, 1}, Reason::kNone, 0, 3, 0, due, {}, 7});
  Harness h(Restarted(std::move(stored)));
  h.Join(1, 2);
  h.Live(absl::Seconds(1));
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_TRUE(spans[0].solo);
}

// What one life let pass, and what the next did, were more than the rate together.
TEST(KeysTest, ARateGoesOnOverARestart) {
  JobImage stored = StoredArray(10, 0);
  JobExtras extras;
  extras.keyed = true;
  extras.key_rate = Rate{2, absl::Seconds(2), 2};
  stored.job.options.extras = std::make_shared<const JobExtras>(extras);
  Harness h(Restarted(std::move(stored)));
  h.Join(1, 8);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Live(absl::Seconds(1));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 1u);
}

}  // namespace
}  // namespace reeve
