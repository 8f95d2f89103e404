// What a worker says of failures, running attempts and itself, and what it reads of an Assign.

#include "worker/link/link_messages.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

AgentEffects::Batch Failures(std::vector<agent::Failed> failed) {
  AgentEffects::Batch batch;
  batch.number = 1;
  batch.job = JobId(4);
  batch.runs = {{LeaseSeq(7), {0, 10}}};
  batch.failed = std::move(failed);
  return batch;
}

agent::Failed At(uint32_t position) {
  agent::Failed failed;
  failed.position = position;
  failed.reason = Reason::kHandlerError;
  return failed;
}

TEST(ResultsOnTheLink, WhereNobodySaysAnythingOfFurtherAttemptsNothingIsSent) {
  link::v1::Results::Batch wire;
  ToWire(Failures({At(1), At(5)}), &wire);
  EXPECT_EQ(wire.position_size(), 2);
  EXPECT_EQ(wire.permanent_size(), 0);
  EXPECT_EQ(wire.again_after_ms_size(), 0);
  EXPECT_EQ(wire.details_size(), 0);
}

TEST(ResultsOnTheLink, ColumnsReachToTheLastThatSaysSomething) {
  agent::Failed permanent = At(1), again = At(2), late = At(3), silent = At(4);
  permanent.permanent = true;
  again.again = absl::ZeroDuration();
  again.details = "at 7";
  late.again = absl::Hours(1'000);
  link::v1::Results::Batch wire;
  ToWire(Failures({At(0), permanent, again, late, silent}), &wire);
  EXPECT_EQ(std::vector<uint32_t>(wire.permanent().begin(), wire.permanent().end()),
            (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(std::vector<uint32_t>(wire.again_after_ms().begin(), wire.again_after_ms().end()),
            (std::vector<uint32_t>{0, 0, 1, 86'400'001}));
  EXPECT_EQ(std::vector<std::string>(wire.details().begin(), wire.details().end()),
            (std::vector<std::string>{"", "", "at 7"}));
}

TEST(HeartbeatOnTheLink, DetailsStandWithTheirAttempts) {
  link::v1::Heartbeat wire;
  AddRunning({JobId(4), 1, absl::Milliseconds(1'500), {}}, &wire);
  EXPECT_EQ(wire.running_details_size(), 0);
  AddRunning({JobId(4), 2, absl::Milliseconds(1'500), {500, "half", "at 7"}}, &wire);
  AddRunning({JobId(4), 3, absl::Milliseconds(1'500), {}}, &wire);
  EXPECT_EQ(wire.running_job_id_size(), 3);
  EXPECT_EQ(wire.running_ms(0), 1'500u);
  EXPECT_EQ(std::vector<uint32_t>(wire.running_progress().begin(), wire.running_progress().end()),
            (std::vector<uint32_t>{0, 501, 0}));
  EXPECT_EQ(std::vector<std::string>(wire.running_details().begin(), wire.running_details().end()),
            (std::vector<std::string>{"", "at 7"}));
}

TEST(HelloOnTheLink, AWorkerTellsItsResources) {
  WorkerIdentity identity;
  identity.resources = {{"cpus", 8'000}, {"gpu", 500}};
  link::v1::Hello wire;
  ASSERT_TRUE(wire.ParseFromString(ToWire(AgentEffects::Hello(), identity, {}).at(0)));
  EXPECT_EQ(wire.resources_size(), 2);
  EXPECT_EQ(wire.resources().at("cpus"), 8'000);
  EXPECT_EQ(wire.resources().at("gpu"), 500);
}

class AssignOnTheLink : public testing::Test {
 protected:
  AssignOnTheLink() {
    brief_.mutable_spec()->set_handler("exec");
    for (const uint32_t first : {0, 1, 2}) {
      wire_.add_job(0);
      wire_.add_lease(first + 1);
      wire_.add_first(first);
      wire_.add_count(1);
      wire_.add_birth_epoch(1);
      wire_.add_birth_counter(1);
      wire_.add_attempt(2);
      wire_.add_input_entries(0);
    }
  }
  absl::StatusOr<std::vector<AssignedWork>> Read() {
    wire_.clear_jobs();
    wire_.add_jobs(brief_.SerializeAsString());
    return FromWire(wire_, Buffer(), false);
  }

  link::v1::JobBrief brief_;
  link::v1::Assign wire_;
};

TEST_F(AssignOnTheLink, PlainSpansWaitInLineAndWereLeftNothing) {
  const auto works = Read();
  ASSERT_TRUE(works.ok()) << works.status();
  ASSERT_EQ(works->size(), 3u);
  for (const AssignedWork& work : *works) {
    EXPECT_FALSE(work.span.front);
    EXPECT_EQ(work.span.details, "");
    EXPECT_TRUE(work.span.job->predecessors.empty());
    EXPECT_FALSE(work.span.job->is_limited());
  }
}

TEST_F(AssignOnTheLink, ASpanMayGoToTheFrontAndBringDetails) {
  wire_.add_front(0);
  wire_.add_front(1);
  wire_.add_details("at 7");
  const auto works = Read();
  ASSERT_TRUE(works.ok()) << works.status();
  EXPECT_FALSE(works->at(0).span.front);
  EXPECT_TRUE(works->at(1).span.front);
  EXPECT_FALSE(works->at(2).span.front);
  EXPECT_EQ(works->at(0).span.details, "at 7");
  EXPECT_EQ(works->at(1).span.details, "");
}

TEST_F(AssignOnTheLink, AJobBringsItsSoftTimeLimitAndResultsOfOthers) {
  brief_.mutable_spec()->mutable_soft_time_limit()->set_seconds(5);
  link::v1::Predecessor* split = brief_.add_predecessors();
  split->set_name("split");
  for (const uint32_t index : {0, 7, 9}) split->add_index(index);
  for (const uint32_t bytes : {1, 2, 0}) split->add_output_bytes(bytes);
  split->set_outputs("abb");
  brief_.add_predecessors()->set_name("Report_2");
  const auto works = Read();
  ASSERT_TRUE(works.ok()) << works.status();
  const JobContext& job = *works->at(0).span.job;
  EXPECT_EQ(job.soft_time_limit, absl::Seconds(5));
  EXPECT_EQ(job.time_limit, absl::InfiniteDuration());
  EXPECT_TRUE(job.is_limited());
  ASSERT_EQ(job.predecessors.size(), 2u);
  EXPECT_EQ(job.predecessors[0].name, "split");
  EXPECT_EQ(job.predecessors[0].results,
            (std::map<TaskIndex, std::string>{{0, "a"}, {7, "bb"}, {9, ""}}));
  EXPECT_EQ(job.predecessors[1].name, "Report_2");
  EXPECT_TRUE(job.predecessors[1].results.empty());
}

TEST_F(AssignOnTheLink, PredecessorsThatAreNoFoldersOrLongerThanTheirOutputsAreRefused) {
  link::v1::Predecessor* split = brief_.add_predecessors();
  split->set_name("split");
  split->add_index(0);
  split->add_output_bytes(3);
  split->set_outputs("abb");
  EXPECT_TRUE(Read().ok());
  for (const std::string& name :
       {std::string(), std::string(".."), std::string("a/b"), std::string(65, 'a')}) {
    split->set_name(name);
    EXPECT_FALSE(Read().ok()) << name;
  }
  split->set_name("split");
  split->set_output_bytes(0, 4);
  EXPECT_FALSE(Read().ok());
  split->add_output_bytes(0);
  EXPECT_FALSE(Read().ok());
}

}  // namespace
}  // namespace reeve
