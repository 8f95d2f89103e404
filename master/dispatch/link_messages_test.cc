// What is refused of what workers say, and how spans go out.

#include "master/dispatch/link_messages.h"

#include "base/input_batch.h"
#include "base/result_batch.h"
#include "gtest/gtest.h"
#include "reeve/v1/batch.pb.h"

namespace reeve {
namespace {

InputKey Key(uint64_t id) { return {{id, 9}}; }

std::string Inputs(const std::vector<std::string>& inputs) {
  InputBatchBuilder builder;
  for (size_t i = 0; i < inputs.size(); ++i) builder.Add(inputs[i], Key(i));
  return builder.Finish();
}

// Tasks 0 to 2, of which the middle one failed; 0 adds one input, 2 adds two.
class NewInputsOnTheLink : public testing::Test {
 protected:
  NewInputsOnTheLink() {
    batch_ = wire_.add_batches();
    batch_->set_number(1);
    batch_->set_job_id(4);
    batch_->add_lease(7);
    batch_->add_first(0);
    batch_->add_count(3);
    batch_->add_position(1);
    batch_->add_state(static_cast<uint32_t>(TaskState::kFailed));
    batch_->add_reason(static_cast<uint32_t>(Reason::kHandlerError));
    SetAdded({{0, 1}, {2, 2}});
  }
  void SetAdded(const std::vector<std::pair<uint32_t, uint32_t>>& parts) {
    batch_->clear_adder();
    batch_->clear_added();
    for (const auto& [position, count] : parts) {
      batch_->add_adder(position);
      batch_->add_added(count);
    }
  }
  absl::StatusOr<ResultsArrived> Read() {
    ResultBatchBuilder builder;
    for (TaskIndex i = 0; i < 3; ++i) {
      ResultEntry entry;
      entry.index = i;
      if (i == 1) entry.state = TaskState::kFailed;
      if (i == 1) entry.reason = Reason::kHandlerError;
      if (i == 2) entry.output = output_;
      builder.Add(entry);
    }
    const std::string body = builder.Finish("w-1");
    batch_->set_bytes(static_cast<uint32_t>(body.size()));
    batch_->set_new_inputs_bytes(static_cast<uint32_t>(inputs_.size()));
    return FromWire(wire_, Buffer(body + inputs_));
  }
  bool Accepted() { return Read().ok(); }

  link::v1::Results wire_;
  link::v1::Results::Batch* batch_ = nullptr;
  std::string inputs_ = Inputs({"a", "bb", "ccc"});
  std::string output_ = "out";
};

TEST_F(NewInputsOnTheLink, AreReadBesideTheResultsThatAddThem) {
  const auto arrived = Read();
  ASSERT_TRUE(arrived.ok()) << arrived.status();
  const NewInputs& added = arrived->batches.at(0).added;
  EXPECT_EQ(added.keys, (std::vector<InputKey>{Key(0), Key(1), Key(2)}));
  EXPECT_EQ(added.bytes, inputs_.size());
  EXPECT_EQ(added.inputs->wire().view(), inputs_);
  ASSERT_EQ(added.parts.size(), 2u);
  EXPECT_EQ(added.parts[1].position, 2u);
  EXPECT_EQ(added.parts[1].count, 2u);
}

TEST_F(NewInputsOnTheLink, AreRefusedWhereTheyFitNoResult) {
  for (const auto& parts : std::vector<std::vector<std::pair<uint32_t, uint32_t>>>{
           {{0, 1}, {1, 2}},          // It failed.
           {{0, 1}, {3, 2}},          // There is none.
           {{2, 1}, {0, 2}},          // Not ascending.
           {{0, 1}, {0, 2}},          // Twice.
           {{0, 0}, {2, 3}},          // None.
           {{0, 1}, {2, 1}},          // One is left over.
           {{0, 2}, {2, 2}},          // One too many.
           {{0, 1}, {2, UINT32_MAX}}  // Very many.
       }) {
    SetAdded(parts);
    EXPECT_FALSE(Accepted()) << parts[1].first << " " << parts[1].second;
  }
}

TEST_F(NewInputsOnTheLink, HaveKeysAndLieWithinTheFrame) {
  v1::TaskBatch keyless;
  ASSERT_TRUE(keyless.ParseFromString(inputs_));
  keyless.clear_keys();
  inputs_ = keyless.SerializeAsString();
  EXPECT_FALSE(Accepted());
  inputs_ = "no protobuf";
  EXPECT_FALSE(Accepted());
  inputs_ = Inputs({"a", "bb", "ccc"});
  ASSERT_TRUE(Read().ok());
  batch_->set_new_inputs_bytes(static_cast<uint32_t>(inputs_.size()) + 1);
  EXPECT_FALSE(FromWire(wire_, Buffer(inputs_)).ok());
}

TEST_F(NewInputsOnTheLink, HaveThreeMebibytesTogetherWithTheOutput) {
  const size_t cost = 5 + 2 * kNewInputCost;
  output_ = std::string(kMaxPayloadBytes - cost, 'x');
  EXPECT_TRUE(Accepted());
  output_ += "x";
  EXPECT_FALSE(Accepted());
}

TEST(AssignFrames, InputsThatAreNoTasksStayBehind) {
  auto positions = std::make_shared<Positions>();
  for (const uint32_t at : {0, 2, 3}) positions->Add(at);
  AssignedSpan span;
  span.job = JobId(4);
  span.run = {11, 2};
  span.inputs_first = 10;
  span.inputs = *InputBatch::Parse(Buffer(Inputs({"a", "bb", "ccc", "dddd"})));
  span.positions = positions;
  Assignment assignment;
  assignment.spans.push_back(span);
  const std::vector<AssignFrame> frames = ToWire(assignment);
  ASSERT_EQ(frames.size(), 1u);
  link::v1::Assign wire;
  ASSERT_TRUE(wire.ParseFromString(frames[0].body));
  EXPECT_EQ(frames[0].blob.view(), "cccdddd");
  ASSERT_EQ(wire.input_bytes_size(), 2);
  EXPECT_EQ(wire.input_bytes(0), 3u);
  EXPECT_EQ(wire.input_bytes(1), 4u);
  EXPECT_EQ(wire.input_entries(0), 2u);
}

// Tasks 0 to 2; 1 and 2 failed, the last one with exit code 7.
class FailuresOnTheLink : public testing::Test {
 protected:
  FailuresOnTheLink() {
    batch_ = wire_.add_batches();
    batch_->add_lease(7);
    batch_->add_first(0);
    batch_->add_count(3);
    for (const uint32_t position : {1, 2}) {
      batch_->add_position(position);
      batch_->add_state(static_cast<uint32_t>(TaskState::kFailed));
      batch_->add_reason(static_cast<uint32_t>(Reason::kExitNonzero));
    }
  }
  absl::StatusOr<ResultsArrived> Read() {
    ResultBatchBuilder builder;
    for (TaskIndex i = 0; i < 3; ++i) {
      ResultEntry entry;
      entry.index = i;
      if (i > 0) entry.state = TaskState::kFailed;
      if (i > 0) entry.reason = Reason::kExitNonzero;
      if (i == 2) entry.exit_code = exit_code_;
      builder.Add(entry);
    }
    const std::string body = builder.Finish("w-1");
    batch_->set_bytes(static_cast<uint32_t>(body.size()));
    return FromWire(wire_, Buffer(body));
  }

  link::v1::Results wire_;
  link::v1::Results::Batch* batch_ = nullptr;
  uint32_t exit_code_ = 7;
};

TEST_F(FailuresOnTheLink, SayNothingOfFurtherAttemptsIfTheirColumnsAreNotThere) {
  const auto arrived = Read();
  ASSERT_TRUE(arrived.ok()) << arrived.status();
  const std::vector<FailedEntry>& failed = arrived->batches.at(0).failed;
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_EQ(failed[0].exit_code, 0u);
  EXPECT_EQ(failed[1].exit_code, 7u);
  for (const FailedEntry& entry : failed) {
    EXPECT_EQ(entry.reason, Reason::kExitNonzero);
    EXPECT_FALSE(entry.permanent);
    EXPECT_EQ(entry.again, std::nullopt);
    EXPECT_EQ(entry.details, "");
  }
}

TEST_F(FailuresOnTheLink, SayWhetherAndWhenToTryAgainAndWhatTheyLeave) {
  batch_->add_permanent(1);
  batch_->add_again_after_ms(0);
  batch_->add_again_after_ms(1);
  batch_->add_details("");
  batch_->add_details(std::string(kMaxDetailsBytes, 'd'));
  const auto arrived = Read();
  ASSERT_TRUE(arrived.ok()) << arrived.status();
  const std::vector<FailedEntry>& failed = arrived->batches.at(0).failed;
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_TRUE(failed[0].permanent);
  EXPECT_EQ(failed[0].again, std::nullopt);
  EXPECT_EQ(failed[0].details, "");
  EXPECT_FALSE(failed[1].permanent);
  EXPECT_EQ(failed[1].again, absl::ZeroDuration());
  EXPECT_EQ(failed[1].details, std::string(kMaxDetailsBytes, 'd'));
}

TEST_F(FailuresOnTheLink, WaitADayAtMost) {
  batch_->add_again_after_ms(86'400'001);
  const auto arrived = Read();
  ASSERT_TRUE(arrived.ok()) << arrived.status();
  EXPECT_EQ(arrived->batches.at(0).failed.at(0).again, absl::Hours(24));
  batch_->set_again_after_ms(0, 86'400'002);
  EXPECT_FALSE(Read().ok());
}

TEST_F(FailuresOnTheLink, AreRefusedWhereTheyContradictThemselvesOrAreOutOfBounds) {
  batch_->add_permanent(1);
  batch_->add_again_after_ms(1);
  EXPECT_FALSE(Read().ok());
  batch_->clear_again_after_ms();
  EXPECT_TRUE(Read().ok());
  batch_->add_details(std::string(kMaxDetailsBytes + 1, 'd'));
  EXPECT_FALSE(Read().ok());
  batch_->clear_details();
  for (int i = 0; i < 3; ++i) batch_->add_details("d");
  EXPECT_FALSE(Read().ok());
  batch_->clear_details();
  exit_code_ = 256;
  EXPECT_FALSE(Read().ok());
  exit_code_ = 255;
  EXPECT_TRUE(Read().ok());
  batch_->set_position(1, 1);
  EXPECT_FALSE(Read().ok());
}

link::v1::Hello GoodHello() {
  link::v1::Hello wire;
  wire.set_worker_id("w");
  wire.set_process_id("p");
  return wire;
}

TEST(HelloOnTheLink, TellsResourcesWithinBounds) {
  link::v1::Hello wire = GoodHello();
  (*wire.mutable_resources())["gpu"] = 2'500;
  (*wire.mutable_resources())["memory"] = 1'000'000'000'000'000'000;
  const auto hello = FromWire(wire, Epoch(1));
  ASSERT_TRUE(hello.ok()) << hello.status();
  EXPECT_EQ(hello->resources, (Resources{{"gpu", 2'500}, {"memory", 1'000'000'000'000'000'000}}));
  for (const auto& [name, amount] :
       std::vector<std::pair<std::string, int64_t>>{{"gpu", 0},
                                                    {"gpu", -1},
                                                    {"gpu", 1'000'000'000'000'000'001},
                                                    {"", 1},
                                                    {"GPU", 1},
                                                    {std::string(64, 'g'), 1}}) {
    wire = GoodHello();
    (*wire.mutable_resources())[name] = amount;
    EXPECT_FALSE(FromWire(wire, Epoch(1)).ok()) << name << " " << amount;
  }
  wire = GoodHello();
  for (int i = 0; i < 17; ++i) (*wire.mutable_resources())["r" + std::to_string(i)] = 1;
  EXPECT_FALSE(FromWire(wire, Epoch(1)).ok());
}

TEST(HeartbeatOnTheLink, TellsWhatRunningAttemptsLeaveWithinBounds) {
  link::v1::Heartbeat wire;
  for (const uint32_t index : {3, 4, 5}) {
    wire.add_running_job_id(9);
    wire.add_running_index(index);
  }
  wire.add_running_details("");
  wire.add_running_details("at 7");
  for (const uint32_t ms : {1'000, 2'000, 3'500}) wire.add_running_ms(ms);
  const auto beat = FromWire(wire, Epoch(1));
  ASSERT_TRUE(beat.ok()) << beat.status();
  ASSERT_EQ(beat->running.size(), 3u);
  EXPECT_EQ(beat->running[0].details, "");
  EXPECT_EQ(beat->running[1].details, "at 7");
  EXPECT_EQ(beat->running[2].ran, absl::Milliseconds(3'500));
  EXPECT_EQ(beat->running[2].details, "");
  wire.add_running_details(std::string(kMaxDetailsBytes + 1, 'd'));
  EXPECT_FALSE(FromWire(wire, Epoch(1)).ok());
  wire.set_running_details(2, "");
  wire.add_running_details("of none");
  EXPECT_FALSE(FromWire(wire, Epoch(1)).ok());
}

AssignedSpan ArraySpan(TaskIndex first) {
  AssignedSpan span;
  span.job = JobId(4);
  span.run = {first, 1};
  return span;
}

TEST(AssignFrames, SayWhatGoesToTheFrontAndWhatTheAttemptBeforeLeft) {
  Assignment assignment;
  for (const TaskIndex first : {0, 1, 2}) assignment.spans.push_back(ArraySpan(first));
  link::v1::Assign wire;
  ASSERT_TRUE(wire.ParseFromString(ToWire(assignment).at(0).body));
  EXPECT_EQ(wire.front_size(), 0);
  EXPECT_EQ(wire.details_size(), 0);
  assignment.spans[1].front = true;
  assignment.spans[1].details = "at 7";
  ASSERT_TRUE(wire.ParseFromString(ToWire(assignment).at(0).body));
  ASSERT_EQ(wire.front_size(), 2);
  EXPECT_EQ(wire.front(0), 0u);
  EXPECT_EQ(wire.front(1), 1u);
  ASSERT_EQ(wire.details_size(), 2);
  EXPECT_EQ(wire.details(0), "");
  EXPECT_EQ(wire.details(1), "at 7");
}

TEST(AssignFrames, AJobsBriefGoesOnWithItsPredecessors) {
  link::v1::JobBrief record, brief;
  record.mutable_spec()->set_handler("exec");
  brief.add_predecessors()->set_name("split");
  Assignment assignment;
  assignment.spans.push_back(ArraySpan(0));
  assignment.spans[0].record = Buffer(record.SerializeAsString());
  assignment.spans[0].brief = Buffer(brief.SerializeAsString());
  link::v1::Assign wire;
  ASSERT_TRUE(wire.ParseFromString(ToWire(assignment).at(0).body));
  link::v1::JobBrief told;
  ASSERT_TRUE(told.ParseFromString(wire.jobs(0)));
  EXPECT_EQ(told.job_id(), 4u);
  EXPECT_EQ(told.spec().handler(), "exec");
  ASSERT_EQ(told.predecessors_size(), 1);
  EXPECT_EQ(told.predecessors(0).name(), "split");
}

TEST(AssignFrames, AJobThatBringsMuchBeginsAFrame) {
  Assignment assignment;
  for (const uint64_t job : {4, 5, 6}) {
    assignment.spans.push_back(ArraySpan(0));
    assignment.spans.back().job = JobId(job);
    link::v1::JobBrief brief;
    brief.add_predecessors()->set_outputs(std::string(2u << 20, 'x'));
    assignment.spans.back().brief = Buffer(brief.SerializeAsString());
  }
  const std::vector<AssignFrame> frames = ToWire(assignment);
  ASSERT_EQ(frames.size(), 3u);
  for (const AssignFrame& frame : frames) EXPECT_LT(frame.body.size(), kMaxMessageBytes);
}

TEST(AssignFrames, SpansOfAnArrayShareTheBriefOfTheirJobHoweverLongItIs) {
  Assignment assignment;
  for (const TaskIndex first : {0, 1, 2}) {
    assignment.spans.push_back(ArraySpan(first));
    assignment.spans.back().record = Buffer(std::string(3u << 20, 'r'));
  }
  EXPECT_EQ(ToWire(assignment).size(), 1u);
}

}  // namespace
}  // namespace reeve
