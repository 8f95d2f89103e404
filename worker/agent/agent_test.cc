#include "worker/agent/agent.h"

#include "base/held_hash.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

class AgentTest : public testing::Test {
 protected:
  void Join(uint64_t epoch = 1, std::vector<agent::Welcomed::Run_> runs = {}) {
    agent::Welcomed welcome;
    welcome.number = number_;
    welcome.epoch = Epoch(epoch);
    welcome.runs = std::move(runs);
    agent_.Step(now_, welcome);
    effects_ = agent_.TakeEffects(now_);
  }
  void Begin() {
    agent_.Step(now_, agent::Begin{});
    effects_ = agent_.TakeEffects(now_);
    ASSERT_TRUE(effects_.hello.has_value());
    number_ = effects_.hello->number;
  }
  void Step(AgentEvent event) {
    agent_.Step(now_, std::move(event));
    effects_ = agent_.TakeEffects(now_);
    if (effects_.hello.has_value()) number_ = effects_.hello->number;
  }
  SpanKey Assign(uint64_t lease, reeve::Run run) {
    Step(agent::Assigned{JobId(1), LeaseSeq(lease), run, {Epoch(1), 1}, 1, Lane::kThread, lease});
    return effects_.starts.empty() ? SpanKey() : effects_.starts.back().span;
  }
  void Report(SpanKey span, reeve::Run run, const std::string& body = "result",
              uint64_t details_bytes = 0) {
    agent::Reported report;
    report.span = span;
    report.runs = {run};
    report.body = Buffer(body);
    report.details_bytes = details_bytes;
    Step(std::move(report));
  }

  absl::Duration now_ = absl::Seconds(10);
  Agent agent_{AgentOptions(), now_};
  AgentEffects effects_;
  uint64_t number_ = 0;
};

TEST_F(AgentTest, HelloIsRepeatedUntilItIsAnswered) {
  Begin();
  now_ += absl::Seconds(1);
  Step(agent::Tick{});
  ASSERT_TRUE(effects_.hello.has_value());
  EXPECT_EQ(effects_.hello->number, 1u) << "the answer to the first counts, however late";
  Join();
  EXPECT_TRUE(agent_.welcomed());
  EXPECT_EQ(agent_.epoch(), Epoch(1));
}

TEST_F(AgentTest, WithoutAnyAnswerTheWorkerGivesUp) {
  Begin();
  now_ += absl::Seconds(31);
  Step(agent::Tick{});
  ASSERT_TRUE(effects_.exit.has_value());
  EXPECT_EQ(effects_.exit->first, 3);
}

TEST_F(AgentTest, ARefusalEndsTheWorkerWithItsReason) {
  Begin();
  agent::Welcomed refused;
  refused.refused = "this master speaks link protocol 2";
  Step(refused);
  EXPECT_EQ(effects_.exit->first, 78);
  EXPECT_NE(effects_.exit->second.find("protocol 2"), std::string::npos);
}

TEST_F(AgentTest, AnAssignmentSentTwiceStartsOnce) {
  Begin();
  Join();
  EXPECT_TRUE(bool(Assign(1, {0, 10})));
  EXPECT_FALSE(bool(Assign(1, {0, 10})));
}

TEST_F(AgentTest, AnAssignmentMadeBeforeTheWelcomeIsVoidHoweverLateItComes) {
  Begin();
  agent::Welcomed welcome;
  welcome.number = number_;
  welcome.epoch = Epoch(1);
  welcome.seen_seq = LeaseSeq(7);
  Step(welcome);
  EXPECT_FALSE(bool(Assign(7, {0, 10})));
  EXPECT_TRUE(bool(Assign(8, {0, 10})));
}

TEST_F(AgentTest, ResultsAreKeptUntilTheyAreAcknowledged) {
  Begin();
  Join();
  const SpanKey span = Assign(5, {0, 10});
  Report(span, {0, 10});
  ASSERT_EQ(effects_.results.size(), 1u);
  EXPECT_EQ(effects_.results[0].runs[0].lease, LeaseSeq(5));
  EXPECT_EQ(effects_.ended, (std::vector<SpanKey>{span}));
  now_ += absl::Seconds(11);
  Step(agent::Tick{});
  EXPECT_EQ(effects_.results.size(), 1u) << "sent again";
  Step(agent::ResultsAcked{{effects_.results[0].number}});
  now_ += absl::Seconds(30);
  Step(agent::Tick{});
  EXPECT_TRUE(effects_.results.empty());
}

TEST_F(AgentTest, WhatTheSocketDidNotTakeGoesAgain) {
  Begin();
  Join();
  Report(Assign(5, {0, 1}), {0, 1});
  const uint64_t number = effects_.results.at(0).number;
  Step(agent::NotSent{{number}});
  EXPECT_TRUE(effects_.results.empty());
  now_ += absl::Seconds(1);
  Step(agent::Tick{});
  ASSERT_EQ(effects_.results.size(), 1u);
  EXPECT_EQ(effects_.results[0].number, number);
}

// A million results of 1 KiB filled the master's receive queue, which counts messages, with 1 GiB.
TEST_F(AgentTest, NoMoreResultsAreOnTheirWayThanTheWindowHolds) {
  Begin();
  Join();
  const SpanKey span = Assign(1, {0, 10});
  const std::string half(AgentOptions().window_bytes / 2, 'r');
  std::vector<uint64_t> sent;
  for (const TaskIndex i : {0, 1, 2, 3}) {
    Report(span, {i, 1}, half);
    for (const auto& batch : effects_.results) sent.push_back(batch.number);
  }
  ASSERT_EQ(sent.size(), 2u);
  now_ += absl::Seconds(11);
  Step(agent::Tick{});
  EXPECT_EQ(effects_.results.size(), 2u) << "what is repeated takes no more room";
  Step(agent::ResultsAcked{{sent[1]}});
  ASSERT_EQ(effects_.results.size(), 1u);
  Step(agent::NotSent{{effects_.results[0].number}});
  ASSERT_EQ(effects_.results.size(), 0u) << "a moment later";
  now_ += absl::Milliseconds(50);
  Step(agent::Tick{});
  EXPECT_EQ(effects_.results.size(), 1u) << "what the socket did not take took no room";
  agent_.Step(now_, agent::AskedWho{});
  number_ = agent_.TakeEffects(now_).hello->number;
  Join(2, {{JobId(1), {0, 10}, LeaseSeq(5)}});
  EXPECT_EQ(effects_.results.size(), 2u) << "a new master has none of them";
}

TEST_F(AgentTest, AResultLargerThanTheWindowGoesAlone) {
  Begin();
  Join();
  const SpanKey span = Assign(1, {0, 10});
  Report(span, {0, 1}, std::string(AgentOptions().window_bytes + 1, 'r'));
  ASSERT_EQ(effects_.results.size(), 1u);
  const uint64_t large = effects_.results[0].number;
  Report(span, {1, 1});
  EXPECT_EQ(effects_.results.size(), 0u);
  Step(agent::ResultsAcked{{large}});
  EXPECT_EQ(effects_.results.size(), 1u);
}

TEST_F(AgentTest, DetailsCountAgainstTheWindowAsResultsDo) {
  Begin();
  Join();
  const SpanKey span = Assign(1, {0, 10});
  Report(span, {0, 1}, "result", AgentOptions().window_bytes);
  ASSERT_EQ(effects_.results.size(), 1u);
  EXPECT_EQ(effects_.results[0].details_bytes, AgentOptions().window_bytes);
  const uint64_t large = effects_.results[0].number;
  Report(span, {1, 1});
  EXPECT_EQ(effects_.results.size(), 0u);
  Step(agent::ResultsAcked{{large}});
  EXPECT_EQ(effects_.results.size(), 1u);
}

TEST_F(AgentTest, WhatAFailureSaysStaysWithItUntilItIsAcknowledged) {
  Begin();
  Join();
  agent::Reported report;
  report.span = Assign(5, {0, 1});
  report.runs = {{0, 1}};
  agent::Failed failed;
  failed.again = absl::Seconds(30);
  failed.details = "at 7";
  report.failed = {failed};
  report.body = Buffer(std::string("result"));
  Step(std::move(report));
  ASSERT_EQ(effects_.results.size(), 1u);
  agent_.Step(now_, agent::AskedWho{});
  number_ = agent_.TakeEffects(now_).hello->number;
  Join(2, {{JobId(1), {0, 1}, LeaseSeq(9)}});
  ASSERT_EQ(effects_.results.size(), 1u) << "a new master has not heard it";
  ASSERT_EQ(effects_.results[0].failed.size(), 1u);
  EXPECT_FALSE(effects_.results[0].failed[0].permanent);
  EXPECT_EQ(effects_.results[0].failed[0].again, absl::Seconds(30));
  EXPECT_EQ(effects_.results[0].failed[0].details, "at 7");
}

TEST_F(AgentTest, ARecallIsAnsweredWithWhatTheLaneTrulyCut) {
  Begin();
  Join();
  const SpanKey span = Assign(5, {0, 10});
  Step(agent::RecallAsked{LeaseSeq(5), 4});
  ASSERT_EQ(effects_.cuts.size(), 1u);
  EXPECT_EQ(effects_.cuts[0].from, 4u);
  Step(agent::Cut{span, {{6, 4}}, agent::Cut::Why::kRecall});
  ASSERT_EQ(effects_.recalled.size(), 1u);
  EXPECT_EQ(effects_.recalled[0].run, (reeve::Run{6, 4}));
  Step(agent::RecallAsked{LeaseSeq(99), 4});
  ASSERT_EQ(effects_.recalled.size(), 1u);
  EXPECT_EQ(effects_.recalled[0].run.count, 0u);
}

TEST_F(AgentTest, HeartbeatsCarryCountAndHashOfWhatIsHeld) {
  Begin();
  Join();
  Assign(5, {0, 10});
  now_ += absl::Seconds(1);
  Step(agent::Tick{});
  ASSERT_TRUE(effects_.heartbeat.has_value());
  EXPECT_EQ(effects_.heartbeat->held_count, 10u);
  EXPECT_EQ(effects_.heartbeat->seen_seq, LeaseSeq(5));
  HeldHash hash;
  hash.Add(LeaseSeq(5), {0, 10});
  EXPECT_EQ(effects_.heartbeat->held_hash, hash.Finish());
  Step(agent::HeartbeatAcked{0, true});
  ASSERT_TRUE(effects_.heartbeat.has_value());
  ASSERT_TRUE(effects_.heartbeat->held.has_value());
  EXPECT_EQ(effects_.heartbeat->held->at(0).run, (reeve::Run{0, 10}));
}

TEST_F(AgentTest, AfterANewEpochHeldRunsAndResultsCarryTheirNewLeases) {
  Begin();
  Join();
  const SpanKey a = Assign(5, {0, 10});
  const SpanKey b = Assign(6, {10, 10});
  Report(a, {0, 4});
  Step(agent::AskedWho{});
  ASSERT_TRUE(effects_.hello.has_value());
  EXPECT_EQ(effects_.hello->held.size(), 3u);
  Join(2, {{JobId(1), {0, 4}, LeaseSeq(1)},
           {JobId(1), {4, 6}, LeaseSeq(2)},
           {JobId(1), {10, 10}, LeaseSeq(0)}});
  EXPECT_EQ(agent_.epoch(), Epoch(2));
  ASSERT_EQ(effects_.results.size(), 1u);
  EXPECT_EQ(effects_.results[0].runs[0].lease, LeaseSeq(1));
  ASSERT_EQ(effects_.cancels.size(), 1u) << "what was dropped is stopped";
  EXPECT_EQ(effects_.cancels[0].span, b);
  Report(a, {4, 6});
  ASSERT_EQ(effects_.results.size(), 1u);
  EXPECT_EQ(effects_.results[0].runs[0].lease, LeaseSeq(2));
  Report(b, {10, 10});
  EXPECT_TRUE(effects_.results.empty()) << "nobody wants it";
}

TEST_F(AgentTest, NewInputsStayWithTheirResultsUntilTheseAreAcknowledged) {
  Begin();
  Join();
  const SpanKey span = Assign(5, {0, 10});
  agent::Reported report;
  report.span = span;
  report.runs = {{0, 2}};
  report.body = Buffer(std::string("results and inputs"));
  report.added = {{1, 3}};
  report.new_inputs_bytes = 6;
  Step(report);
  const auto check = [this] {
    ASSERT_EQ(effects_.results.size(), 1u);
    const AgentEffects::Batch& batch = effects_.results[0];
    EXPECT_EQ(batch.body.view(), "results and inputs");
    EXPECT_EQ(batch.new_inputs_bytes, 6u);
    ASSERT_EQ(batch.added.size(), 1u);
    EXPECT_EQ(batch.added[0].position, 1u);
    EXPECT_EQ(batch.added[0].count, 3u);
  };
  check();
  now_ += absl::Seconds(11);
  Step(agent::Tick{});
  check();
  Step(agent::AskedWho{});
  Join(2, {{JobId(1), {0, 2}, LeaseSeq(1)}, {JobId(1), {2, 8}, LeaseSeq(2)}});
  check();
}

TEST_F(AgentTest, ResultsUnderNewLeasesHaveNewNumbers) {
  // A frame from before the Welcome was refused, and its answer made the worker forget the batch.
  Begin();
  Join();
  Report(Assign(5, {0, 4}), {0, 4});
  const uint64_t before = effects_.results.at(0).number;
  Step(agent::AskedWho{});
  Join(1, {{JobId(1), {0, 4}, LeaseSeq(9)}});
  ASSERT_EQ(effects_.results.size(), 1u);
  EXPECT_NE(effects_.results[0].number, before);
  Step(agent::ResultsAcked{{before}});
  now_ += absl::Seconds(11);
  Step(agent::Tick{});
  EXPECT_EQ(effects_.results.size(), 1u) << "still owed";
}

TEST_F(AgentTest, AnAnswerThatOvertakesTheWelcomeSettlesNothing) {
  // The refusal of an old lease arrived before the new one, which then named a batch that was gone.
  Begin();
  Join();
  Report(Assign(5, {0, 4}), {0, 4});
  const uint64_t number = effects_.results.at(0).number;
  Step(agent::AskedWho{});
  Step(agent::ResultsAcked{{number}});
  Join(1, {{JobId(1), {0, 4}, LeaseSeq(9)}});
  ASSERT_EQ(effects_.results.size(), 1u);
  EXPECT_EQ(effects_.results[0].runs.at(0).lease, LeaseSeq(9));
}

TEST_F(AgentTest, OfTwoAttemptsAtATaskOnlyTheLaterIsNamed) {
  // The record of a failure died with the master; the old batch was taken for the new attempt.
  Begin();
  Join();
  Report(Assign(5, {0, 3}), {0, 3});
  Report(Assign(6, {1, 1}), {1, 1});
  Step(agent::AskedWho{});
  ASSERT_TRUE(effects_.hello.has_value());
  ASSERT_EQ(effects_.hello->held.size(), 3u);
  for (const AgentHeld& held : effects_.hello->held)
    EXPECT_EQ(held.lease.seq, LeaseSeq(held.run.first == 1 ? 6 : 5));
  Join(2, {{JobId(1), {0, 1}, LeaseSeq(1)},
           {JobId(1), {1, 1}, LeaseSeq(2)},
           {JobId(1), {2, 1}, LeaseSeq(3)}});
  ASSERT_EQ(effects_.results.size(), 2u);
  ASSERT_EQ(effects_.results[0].runs.size(), 3u);
  EXPECT_FALSE(bool(effects_.results[0].runs[1].lease)) << "covers its body, and is refused";
  EXPECT_EQ(effects_.results[1].runs.at(0).lease, LeaseSeq(2));
}

TEST_F(AgentTest, WhatWasDroppedTwoWelcomesAgoKeepsItsPlaceInABatch) {
  // It left a gap in the runs, and the results behind it were taken for those of their neighbours.
  Begin();
  Join();
  const SpanKey span = Assign(1, {4, 4});
  Step(agent::AskedWho{});
  Join(2, {{JobId(1), {4, 1}, LeaseSeq(1)}, {JobId(1), {6, 2}, LeaseSeq(2)}});
  Step(agent::AskedWho{});
  Join(3, {{JobId(1), {4, 1}, LeaseSeq(1)}, {JobId(1), {6, 2}, LeaseSeq(2)}});
  Report(span, {4, 4});
  ASSERT_EQ(effects_.results.size(), 1u);
  const auto& runs = effects_.results[0].runs;
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].run, (reeve::Run{4, 1}));
  EXPECT_EQ(runs[1].run, (reeve::Run{5, 1}));
  EXPECT_FALSE(runs[1].lease);
  EXPECT_EQ(runs[2].run, (reeve::Run{6, 2}));
}

TEST_F(AgentTest, WhatWasDroppedStaysDroppedThoughItsIndexGetsANewLease) {
  // A second restart gave the lease of a new attempt to the old one, too, which was still running.
  Begin();
  Join();
  const SpanKey old = Assign(5, {0, 1});
  Step(agent::AskedWho{});
  Join(2, {{JobId(1), {0, 1}, LeaseSeq(0)}});
  Assign(1, {0, 1});
  Step(agent::AskedWho{});
  Join(3, {{JobId(1), {0, 1}, LeaseSeq(4)}});
  Report(old, {0, 1});
  EXPECT_TRUE(effects_.results.empty());
}

TEST_F(AgentTest, ADrainGivesBackWhatHasNotBegunAndEndsWhenAllIsHandedIn) {
  Begin();
  Join();
  const SpanKey span = Assign(5, {0, 10});
  Step(agent::Drain{});
  ASSERT_TRUE(effects_.heartbeat.has_value());
  EXPECT_TRUE(effects_.heartbeat->draining);
  ASSERT_EQ(effects_.cuts.size(), 1u);
  Step(agent::Cut{span, {{1, 9}}, agent::Cut::Why::kDrain});
  EXPECT_EQ(effects_.released.at(0).run, (reeve::Run{1, 9}));
  EXPECT_FALSE(effects_.exit.has_value());
  Report(span, {0, 1});
  const uint64_t number = effects_.results.at(0).number;
  EXPECT_FALSE(effects_.exit.has_value());
  Step(agent::ResultsAcked{{number}});
  EXPECT_TRUE(effects_.goodbye.has_value());
  EXPECT_EQ(effects_.exit->first, 0);
}

TEST_F(AgentTest, ADrainThatTakesTooLongStopsWhatRuns) {
  Begin();
  Join();
  const SpanKey span = Assign(5, {0, 1});
  Step(agent::Drain{});
  now_ += absl::Seconds(11);
  Step(agent::Tick{});
  ASSERT_EQ(effects_.cancels.size(), 1u);
  EXPECT_EQ(effects_.cancels[0].span, span);
}

TEST_F(AgentTest, WhatRanWhenTheProcessBeforeDiedIsToldUntilAMasterKnows) {
  agent_.Step(now_, agent::Begin{{{JobId(7), {Epoch(1), 2}, 5}}, true});
  effects_ = agent_.TakeEffects(now_);
  ASSERT_TRUE(effects_.hello.has_value());
  ASSERT_EQ(effects_.hello->suspects.size(), 1u);
  EXPECT_EQ(effects_.hello->suspects[0].index, 5u);
  EXPECT_TRUE(effects_.hello->culprit_named);
  now_ += absl::Seconds(1);
  Step(agent::Tick{});
  EXPECT_EQ(effects_.hello->suspects.size(), 1u);
  EXPECT_FALSE(effects_.suspects_told);
  Join();
  EXPECT_TRUE(effects_.suspects_told);
  Step(agent::AskedWho{});
  EXPECT_TRUE(effects_.hello->suspects.empty());
}

class ExclusiveTest : public AgentTest {
 protected:
  void SetUp() override {
    Begin();
    Join();
  }
  void AssignExclusive(uint64_t lease, reeve::Run run) {
    Step(agent::Assigned{
        JobId(1), LeaseSeq(lease), run, {Epoch(1), 1}, 1, Lane::kProcess, lease, true});
  }
  uint64_t Beat() {
    now_ += absl::Seconds(1);
    Step(agent::Tick{});
    return effects_.heartbeat->number;
  }
};

TEST_F(ExclusiveTest, AnAnswerLetsExclusiveTasksRunFromWhenItsHeartbeatWasSent) {
  const uint64_t first = Beat();
  const absl::Duration sent = now_;
  Beat();
  now_ += absl::Milliseconds(500);
  Step(agent::HeartbeatAcked{first});
  EXPECT_EQ(effects_.exclusive_until, sent + absl::Seconds(12));
  Step(agent::HeartbeatAcked{first});
  EXPECT_FALSE(effects_.exclusive_until.has_value()) << "an answer that comes twice is no news";
}

TEST_F(ExclusiveTest, WithoutAnAnswerTheyAreStoppedAndGivenBackBeforeTheLeaseEnds) {
  AssignExclusive(1, {0, 2});
  const SpanKey span = effects_.starts.back().span;
  const SpanKey other = Assign(2, {5, 1});
  now_ += absl::Seconds(11);
  Step(agent::Tick{});
  EXPECT_TRUE(effects_.cancels.empty());
  EXPECT_LE(agent_.NextDeadline(), absl::Seconds(22));
  now_ += absl::Seconds(1);
  Step(agent::Tick{});
  ASSERT_EQ(effects_.cancels.size(), 1u) << "other jobs run on";
  EXPECT_EQ(effects_.cancels[0].span, span);
  EXPECT_NE(effects_.cancels[0].span, other);
  Step(agent::Cut{span, {{0, 2}}, agent::Cut::Why::kCancel});
  ASSERT_EQ(effects_.released.size(), 1u);
  EXPECT_EQ(effects_.released[0].lease, LeaseSeq(1));
}

TEST_F(ExclusiveTest, AnAssignmentThatComesTooLateDoesNotBegin) {
  now_ += absl::Seconds(12);
  AssignExclusive(1, {0, 3});
  EXPECT_TRUE(effects_.starts.empty());
  ASSERT_EQ(effects_.released.size(), 1u);
  EXPECT_EQ(effects_.released[0].run, (reeve::Run{0, 3}));
}

}  // namespace
}  // namespace reeve
