// Column batches against protobuf's own reading of the same bytes.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/input_batch.h"
#include "base/input_key.h"
#include "base/positions.h"
#include "base/result_batch.h"
#include "reeve/v1/batch.pb.h"

namespace reeve {
namespace {

std::string Wire(const v1::TaskBatch& batch) { return batch.SerializeAsString(); }

TEST(InputBatch, ReadsWhatTheBuilderWrote) {
  InputBatchBuilder builder;
  const std::vector<std::string> inputs = {"a", "", std::string("\0x", 2), std::string(300, 'z')};
  for (const auto& input : inputs) builder.Add(input);
  const auto batch = InputBatch::Parse(Buffer(builder.Finish()));
  ASSERT_TRUE(batch.ok()) << batch.status();
  ASSERT_EQ((*batch)->count(), 4u);
  EXPECT_FALSE((*batch)->uniform());
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ((*batch)->Input(i), inputs[i]);
  EXPECT_EQ((*batch)->Inputs(0, 3).view(), std::string("a\0x", 3));
  EXPECT_EQ(builder.count(), 0u);
}

// `run --handler echo` without an input ended the master: a blob that is not on the wire has no
// place there.
TEST(InputBatch, TasksWithoutAnyBytesHaveEmptyInputs) {
  v1::TaskBatch proto;
  proto.set_task_count(3);
  proto.add_input_bytes(0);  // No `inputs` on the wire.
  const auto batch = InputBatch::Parse(Buffer(Wire(proto)));
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ((*batch)->count(), 3u);
  EXPECT_EQ((*batch)->Input(2), "");
  EXPECT_EQ((*batch)->Inputs(0, 3).view(), "");
}

TEST(InputBatch, EqualLengthsTakeOneEntryAndNoMemoryPerTask) {
  InputBatchBuilder builder;
  for (int i = 0; i < 1000; ++i) builder.Add("0123456789abcdef");
  v1::TaskBatch proto;
  const std::string wire = builder.Finish();
  ASSERT_TRUE(proto.ParseFromString(wire));
  EXPECT_EQ(proto.input_bytes_size(), 1);
  const auto batch = InputBatch::Parse(Buffer(wire));
  ASSERT_TRUE(batch.ok());
  EXPECT_TRUE((*batch)->uniform());
  EXPECT_EQ((*batch)->Input(999), "0123456789abcdef");
  EXPECT_EQ((*batch)->payload_bytes(), 16'000u);
}

TEST(InputBatch, ReadsUnpackedAndUnknownFields) {
  v1::TaskBatch proto;
  proto.set_task_count(2);
  proto.add_input_bytes(1);
  proto.add_input_bytes(2);
  proto.set_inputs("abb");
  std::string wire = Wire(proto);
  wire += std::string("\x4a\x03zzz", 5);  // Field 9, bytes.
  EXPECT_TRUE(InputBatch::Parse(Buffer(wire)).ok());
}

TEST(InputBatch, KeysComeBackAndAreThoseOfProtobuf) {
  InputBatchBuilder builder;
  builder.Add("a", KeyOf("x"));
  builder.Add("bb", KeyOf("y"));
  const std::string wire = builder.Finish();
  v1::TaskBatch proto;
  ASSERT_TRUE(proto.ParseFromString(wire));
  EXPECT_EQ(proto.keys(), EncodeKeys({KeyOf("x"), KeyOf("y")}));
  const auto batch = InputBatch::Parse(Buffer(wire));
  ASSERT_TRUE(batch.ok());
  EXPECT_TRUE((*batch)->has_keys());
  EXPECT_EQ((*batch)->Keys(), (std::vector<InputKey>{KeyOf("x"), KeyOf("y")}));
  proto.mutable_keys()->pop_back();
  EXPECT_EQ(ErrorReason(InputBatch::Parse(Buffer(Wire(proto))).status()), "BAD_REQUEST");
  EXPECT_FALSE((*InputBatch::Parse(Buffer())).get()->has_keys());
}

// Any client can come to it: python3 -c 'import xxhash; print(xxhash.xxh3_128_hexdigest(b""))'.
TEST(InputKey, IsTheCanonicalXxh3OfAName) {
  const std::string bytes = EncodeKeys({KeyOf("")});
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  EXPECT_EQ(hex, "99aa06d3014798d86001c324468d497f");
}

// A restart with a million keys in small chunks took ten seconds: each chunk's keys were copied
// with all before them.
TEST(InputKey, KeysDecodedPieceByPieceAreMovedSeldom) {
  std::vector<InputKey> keys;
  int moves = 0;
  for (int i = 0; i < 10'000; ++i) {
    const InputKey* before = keys.data();
    ASSERT_TRUE(DecodeKeys("0123456789abcdef", &keys));
    moves += keys.data() != before;
  }
  EXPECT_EQ(keys.size(), 10'000u);
  EXPECT_LT(moves, 50);
}

TEST(Positions, TheNthThatCountsLiesWhereItWasAdded) {
  Positions positions;
  const std::vector<uint32_t> added = {0, 1, 5, 6, 7, 9};
  for (const uint32_t at : added) positions.Add(at);
  ASSERT_EQ(positions.count(), 6u);
  for (uint32_t i = 0; i < 6; ++i) EXPECT_EQ(positions.At(i), added[i]);
  EXPECT_EQ(positions.Runs(), (std::vector<reeve::Run>{{0, 2}, {5, 3}, {9, 1}}));
}

TEST(InputBatch, RefusesColumnsThatDoNotFit) {
  v1::TaskBatch proto;
  proto.set_task_count(3);
  proto.add_input_bytes(1);
  proto.add_input_bytes(1);
  proto.set_inputs("ab");
  EXPECT_EQ(ErrorReason(InputBatch::Parse(Buffer(Wire(proto))).status()), "BAD_REQUEST");
  proto.set_task_count(2);
  EXPECT_TRUE(InputBatch::Parse(Buffer(Wire(proto))).ok());
  proto.set_inputs("abc");
  EXPECT_EQ(ErrorReason(InputBatch::Parse(Buffer(Wire(proto))).status()), "BAD_REQUEST");
  proto.Clear();
  proto.set_task_count(kMaxTasksPerBatch + 1);
  EXPECT_EQ(ErrorReason(InputBatch::Parse(Buffer(Wire(proto))).status()), "TOO_MANY_TASKS");
  proto.Clear();
  proto.set_task_count(1);
  proto.add_input_bytes(kMaxPayloadBytes + 1);
  EXPECT_EQ(ErrorReason(InputBatch::Parse(Buffer(Wire(proto))).status()), "INPUT_TOO_LARGE");
  EXPECT_EQ(ErrorReason(InputBatch::Parse(Buffer("\xff\xff\xff")).status()), "BAD_REQUEST");
}

TEST(ResultBatch, AllSucceededCostsNoStateColumn) {
  ResultBatchBuilder builder;
  for (TaskIndex i = 5; i < 10; ++i) builder.Add({.index = i, .output = "ok"});
  v1::ResultBatch proto;
  ASSERT_TRUE(proto.ParseFromString(builder.Finish("w-1")));
  EXPECT_EQ(proto.state_size(), 0);
  EXPECT_EQ(proto.attempt_size(), 0);
  EXPECT_EQ(proto.output_bytes_size(), 1);
  EXPECT_EQ(proto.output(), "okokokokok");
  ASSERT_EQ(proto.first_size(), 1);
  EXPECT_EQ(proto.first(0), 5u);
  EXPECT_EQ(proto.count(0), 5u);
  EXPECT_EQ(proto.worker(), "w-1");
}

TEST(ResultBatch, EmptyResultsAreWhatTheBuilderWouldWrite) {
  for (const uint32_t attempt : {1u, 3u}) {
    ResultBatchBuilder builder;
    for (TaskIndex index = 7; index < 1007; ++index) {
      ResultEntry entry;
      entry.index = index;
      entry.attempt = attempt;
      entry.start_us = 1'700'000'000'000'000;
      builder.Add(entry);
    }
    EXPECT_EQ(EncodeEmptyResults({7, 1000}, attempt, 1'700'000'000'000'000, "w-3"),
              builder.Finish("w-3"));
  }
}

TEST(ResultBatch, ReadsBackEveryFieldWithAHeadBefore) {
  ResultBatchBuilder builder;
  builder.Add({.index = 1, .start_us = 1'000'000, .run_us = 5, .output = "one"});
  builder.Add({.index = 4,
               .state = TaskState::kFailed,
               .reason = Reason::kExitNonzero,
               .attempt = 2,
               .exit_code = 7,
               .flags = kOutputTruncated,
               .start_us = 1'000'250,
               .run_us = 9,
               .output = "",
               .error_output = "oops",
               .message = "exit code 7",
               .result_file = "{\"partial\":true}"});
  const std::string wire =
      EncodeResultHead(JobId(42), 3, {{.first = 4, .count = 1, .position = 1}}) +
      builder.Finish("w-3");
  const auto batch = ResultBatch::Parse(Buffer(wire));
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ((*batch)->job(), JobId(42));
  EXPECT_EQ((*batch)->cursor(), 3u);
  EXPECT_EQ((*batch)->body_runs(), (std::vector<PositionedRun>{{1, 1, 0}, {4, 1, 1}}));
  std::vector<ResultEntry> entries;
  (*batch)->ForEach((*batch)->head_runs(), [&](const ResultEntry& e) { entries.push_back(e); });
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].index, 4u);
  EXPECT_EQ(entries[0].state, TaskState::kFailed);
  EXPECT_EQ(entries[0].reason, Reason::kExitNonzero);
  EXPECT_EQ(entries[0].attempt, 2u);
  EXPECT_EQ(entries[0].exit_code, 7u);
  EXPECT_EQ(entries[0].flags, kOutputTruncated);
  EXPECT_EQ(entries[0].start_us, 1'000'250);
  EXPECT_EQ(entries[0].run_us, 9u);
  EXPECT_EQ(entries[0].error_output, "oops");
  EXPECT_EQ(entries[0].message, "exit code 7");
  EXPECT_EQ(entries[0].result_file, "{\"partial\":true}");
  EXPECT_EQ((*batch)->Entry(0, 1).result_file, "");
  EXPECT_EQ((*batch)->Entry(0, 1).output, "one");
  EXPECT_EQ((*batch)->worker(), "w-3");
}

TEST(ResultBatch, EndNamesTheCancelledRuns) {
  const auto end = ResultBatch::Parse(Buffer(EncodeResultsEnd(JobId(1), 9, {{3, 2}, {8, 1}})));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE((*end)->is_end());
  EXPECT_EQ((*end)->cancelled(), (std::vector<PositionedRun>{{3, 2, 0}, {8, 1, 0}}));
  v1::ResultBatch proto;
  EXPECT_TRUE(proto.ParseFromString(EncodeResultsEnd(JobId(1), 9, {})));
  EXPECT_TRUE(proto.has_end());
}

TEST(ResultBatch, RefusesColumnsThatDoNotFit) {
  v1::ResultBatch proto;
  proto.add_first(0);
  EXPECT_FALSE(ResultBatch::Parse(Buffer(proto.SerializeAsString())).ok());
  proto.add_count(2);
  EXPECT_TRUE(ResultBatch::Parse(Buffer(proto.SerializeAsString())).ok());
  proto.set_output("x");
  EXPECT_FALSE(ResultBatch::Parse(Buffer(proto.SerializeAsString())).ok());
  proto.clear_output();
  proto.add_state(v1::Task::FAILED);
  EXPECT_FALSE(ResultBatch::Parse(Buffer(proto.SerializeAsString())).ok());
  proto.clear_state();
  proto.add_first(1);
  proto.add_count(1);
  EXPECT_FALSE(ResultBatch::Parse(Buffer(proto.SerializeAsString())).ok());
}

std::vector<TimeCount> RunTimes(const std::string& wire) {
  const auto batch = ResultBatch::Parse(Buffer(wire));
  EXPECT_TRUE(batch.ok()) << batch.status();
  return batch.ok() ? (*batch)->RunTimes() : std::vector<TimeCount>{};
}

TEST(ResultBatch, RunTimesOfEqualLengthAreOneBucket) {
  ResultBatchBuilder builder;
  for (TaskIndex i = 0; i < 5; ++i) builder.Add({.index = i, .run_us = 1'000});
  EXPECT_EQ(RunTimes(builder.Finish("w-1")),
            (std::vector<TimeCount>{{TimeHistogram::BucketOf(1'000), 5}}));
}

TEST(ResultBatch, RunTimesThatAreNotOnTheWireAreZero) {
  EXPECT_EQ(RunTimes(EncodeEmptyResults({3, 7}, 1, 0, "w-1")), (std::vector<TimeCount>{{0, 7}}));
  const std::vector<TimeCount> none = RunTimes("");
  uint32_t count = 0;
  for (const TimeCount& times : none) count += times.count;
  EXPECT_EQ(count, 0u);
}

TEST(ResultBatch, RunTimesOfEachEntryAreInAscendingBuckets) {
  ResultBatchBuilder builder;
  const uint32_t times[] = {70'000, 3, UINT32_MAX, 70'001, 0, 3};
  for (TaskIndex i = 0; i < 6; ++i) builder.Add({.index = i, .run_us = times[i]});
  EXPECT_EQ(
      RunTimes(builder.Finish("w-1")),
      (std::vector<TimeCount>{
          {0, 1}, {3, 2}, {TimeHistogram::BucketOf(70'000), 2}, {TimeHistogram::kBuckets - 1, 1}}));
}

TEST(Batches, SurviveRandomBytes) {
  std::mt19937 random(3);
  InputBatchBuilder inputs;
  ResultBatchBuilder results;
  for (TaskIndex i = 0; i < 20; ++i) {
    inputs.Add(std::string(i, 'x'));
    results.Add({.index = i, .run_us = i, .output = "abc"});
  }
  const std::string good[] = {inputs.Finish(), results.Finish("w-1")};
  for (int round = 0; round < 20'000; ++round) {
    std::string wire = good[round % 2];
    for (int flips = 0; flips < 3; ++flips)
      wire[random() % wire.size()] = static_cast<char>(random());
    wire.resize(random() % (wire.size() + 1));
    const auto batch = InputBatch::Parse(Buffer(wire));
    if (batch.ok() && (*batch)->count() > 0) (*batch)->Input((*batch)->count() - 1);
    const auto result = ResultBatch::Parse(Buffer(wire));
    if (result.ok()) (*result)->ForEach((*result)->body_runs(), [](const ResultEntry&) {});
  }
}

}  // namespace
}  // namespace reeve
