// What the collector refuses of new inputs, and how chosen inputs go out.

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

}  // namespace
}  // namespace reeve
