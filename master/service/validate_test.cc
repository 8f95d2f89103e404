#include "master/service/validate.h"

#include "base/error.h"
#include "base/input_batch.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "master/service/convert.h"
#include "master/service/kept_answers.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {
namespace {

v1::CreateJobRequest Echo() {
  v1::CreateJobRequest request;
  request.set_request_id("r");
  request.mutable_spec()->set_handler("echo");
  request.mutable_array()->set_count(3);
  return request;
}

v1::CreateJobRequest Command() {
  v1::CreateJobRequest request = Echo();
  request.mutable_spec()->set_handler("exec");
  request.mutable_spec()->mutable_command()->add_argv("true");
  return request;
}

absl::StatusOr<CreateJob> Check(const v1::CreateJobRequest& request) {
  return ValidateCreateJob(request, absl::FromUnixSeconds(1000));
}

TEST(ValidateTest, DefaultsAreFilledIn) {
  auto event = Check(Echo());
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->array_count, 3u);
  EXPECT_EQ(event->options.max_attempts, 3u);
  EXPECT_FALSE(event->options.ephemeral);
  store::v1::JobRecord record;
  ASSERT_TRUE(record.ParseFromString(std::string(event->record.view())));
  EXPECT_EQ(record.array().step(), 1);
  EXPECT_EQ(record.spec().durability(), v1::JobSpec::DURABLE);
  EXPECT_EQ(Check(Command())->options.max_attempts, 1u);
}

TEST(ValidateTest, KeysAndNewInputsAreForJobsThatAcceptThem) {
  v1::CreateJobRequest request = Echo();
  request.mutable_spec()->set_accepts_new_inputs(true);
  EXPECT_EQ(ErrorReason(Check(request).status()), "BAD_REQUEST") << "not an array";
  v1::TaskBatch* batch = request.mutable_batch();
  batch->set_task_count(2);
  batch->add_input_bytes(1);
  batch->set_inputs("ab");
  batch->set_keys("0123456789abcdef0123456789ABCDEF");
  auto event = Check(request);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_TRUE(event->options.accepts_inputs);
  EXPECT_EQ(event->options.max_tasks, 1'000'000u);
  EXPECT_EQ(event->keys.size(), 2u);
  request.mutable_spec()->set_max_tasks(7);
  EXPECT_EQ(Check(request)->options.max_tasks, 7u);
  request.mutable_spec()->set_max_tasks(kMaxTasksPerJob + 1);
  EXPECT_FALSE(Check(request).ok());
  request.mutable_spec()->set_max_tasks(7);
  request.mutable_spec()->set_accepts_new_inputs(false);
  EXPECT_FALSE(Check(request).ok()) << "max_tasks without the option";
  request.mutable_spec()->set_max_tasks(0);
  EXPECT_FALSE(Check(request).ok()) << "keys without the option";
  batch->clear_keys();
  EXPECT_TRUE(Check(request).ok());
}

TEST(ValidateTest, OnlyCommandsCanBeExclusive) {
  v1::CreateJobRequest request = Command();
  request.mutable_spec()->set_exclusive(true);
  EXPECT_TRUE(Check(request)->options.exclusive);
  request.mutable_spec()->set_durability(v1::JobSpec::EPHEMERAL);
  EXPECT_FALSE(Check(request).ok());
  request = Echo();
  request.mutable_spec()->set_exclusive(true);
  EXPECT_FALSE(Check(request).ok());
}

TEST(ValidateTest, AnAtMostOnceJobHasOneAttemptATask) {
  v1::CreateJobRequest request = Echo();
  request.mutable_spec()->set_at_most_once(true);
  auto event = Check(request);
  ASSERT_TRUE(event.ok());
  EXPECT_TRUE(event->options.at_most_once);
  EXPECT_EQ(event->options.max_attempts, 1u);
  request.mutable_spec()->set_max_attempts(2);
  EXPECT_FALSE(Check(request).ok());
}

TEST(ValidateTest, TheContentHashKnowsTheContentAndNotTheId) {
  v1::CreateJobRequest a = Echo(), b = Echo(), c = Echo();
  b.set_request_id("other");
  c.mutable_spec()->set_name("different");
  EXPECT_EQ(Check(a)->content_hash, Check(b)->content_hash);
  EXPECT_NE(Check(a)->content_hash, Check(c)->content_hash);
}

TEST(ValidateTest, InlineInputsBecomeABatch) {
  v1::CreateJobRequest request = Echo();
  request.mutable_batch()->set_task_count(2);
  request.mutable_batch()->add_input_bytes(1);
  request.mutable_batch()->set_inputs("ab");
  const auto event = Check(request);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->input_count, 2u);
  EXPECT_EQ(event->inputs->Input(1), "b");
}

TEST(ValidateTest, WhatIsOutOfBoundsIsRefusedWithTheFieldsName) {
  const auto refused = [](v1::CreateJobRequest request, std::string_view word,
                          std::string_view reason = "BAD_REQUEST") {
    const auto event = Check(request);
    EXPECT_EQ(event.status().code(), absl::StatusCode::kInvalidArgument) << word;
    EXPECT_EQ(ErrorReason(event.status()), reason) << event.status();
    EXPECT_NE(event.status().ToString().find(std::string(word)), std::string::npos)
        << event.status();
  };
  v1::CreateJobRequest r = Echo();
  r.set_request_id("");
  refused(r, "request_id");
  r = Echo();
  r.clear_spec();
  refused(r, "spec");
  r = Echo();
  r.mutable_spec()->set_handler("No Such");
  refused(r, "spec.handler");
  r = Echo();
  r.mutable_spec()->set_name(std::string(201, 'x'));
  refused(r, "spec.name");
  r = Echo();
  r.mutable_spec()->set_max_attempts(1001);
  refused(r, "spec.max_attempts");
  r = Echo();
  r.mutable_spec()->set_priority(101);
  refused(r, "spec.priority");
  r = Echo();
  r.mutable_spec()->mutable_time_limit()->set_seconds(-1);
  refused(r, "spec.time_limit");
  r = Echo();
  r.mutable_spec()->set_shared_input(std::string(kMaxPayloadBytes + 1, 'x'));
  refused(r, "spec.shared_input", "INPUT_TOO_LARGE");
  r = Echo();
  r.mutable_array()->set_count(0);
  refused(r, "array.count");
  r = Echo();
  r.mutable_array()->set_count(kMaxTasksPerJob + 1);
  refused(r, "array.count", "TOO_MANY_TASKS");
  r = Echo();
  r.mutable_array()->set_start(INT64_MAX);
  refused(r, "array");
  r = Echo();
  r.set_open(true);
  refused(r, "open");
  r = Echo();
  r.clear_array();
  refused(r, "tasks");
  r = Echo();
  r.mutable_batch()->set_task_count(1);
  r.mutable_batch()->set_inputs(std::string(kMaxPayloadBytes + 1, 'x'));
  r.mutable_batch()->add_input_bytes(kMaxPayloadBytes + 1);
  refused(r, "", "INPUT_TOO_LARGE");
  r = Command();
  r.mutable_spec()->clear_command();
  refused(r, "spec.command");
  r = Command();
  r.mutable_spec()->mutable_command()->set_argv(0, "");
  refused(r, "the command is empty");
  r = Command();
  r.mutable_spec()->mutable_command()->set_argv(0, std::string(2 << 20, 'x'));
  refused(r, "spec.command.argv");
  r = Command();
  (*r.mutable_spec()->mutable_command()->mutable_environment())["A=B"] = "x";
  refused(r, "spec.command.environment");
}

TEST(ValidateTest, LimitsOfACommandHaveARange) {
  using Set = void (*)(v1::CommandLimits*, uint64_t);
  struct Case {
    const char* name;
    Set set;
    uint64_t least, most;
  };
  const std::vector<Case> cases = {
      {"cpu_seconds", [](v1::CommandLimits* l, uint64_t n) { l->set_cpu_seconds(n); }, 1,
       31'536'000},
      {"memory_bytes", [](v1::CommandLimits* l, uint64_t n) { l->set_memory_bytes(n); }, 4u << 20,
       1ull << 50},
      {"file_size_bytes", [](v1::CommandLimits* l, uint64_t n) { l->set_file_size_bytes(n); }, 1,
       1ull << 60},
      {"open_files", [](v1::CommandLimits* l, uint64_t n) { l->set_open_files(n); }, 4, 1u << 20},
      {"processes", [](v1::CommandLimits* l, uint64_t n) { l->set_processes(n); }, 1, 4u << 20},
      {"core_bytes", [](v1::CommandLimits* l, uint64_t n) { l->set_core_bytes(n); }, 1, 1ull << 60},
  };
  for (const Case& c : cases) {
    const auto with = [&c](uint64_t value) {
      v1::CreateJobRequest request = Command();
      c.set(request.mutable_spec()->mutable_command()->mutable_limits(), value);
      return Check(std::move(request));
    };
    for (const uint64_t value : {uint64_t{0}, c.least, c.most}) {
      EXPECT_TRUE(with(value).ok()) << c.name << " " << value;
    }
    for (const uint64_t value : {c.least - 1, c.most + 1}) {
      if (value == 0) continue;  // None.
      const auto checked = with(value);
      ASSERT_FALSE(checked.ok()) << c.name << " " << value;
      EXPECT_NE(checked.status().message().find(c.name), absl::string_view::npos);
    }
  }
}

TEST(ConvertTest, ErrorsCarryTheirReasonAndRetryHint) {
  const grpc::Status status = ToGrpc(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                                               "full", absl::Milliseconds(1500)));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "full");
  google::rpc::Status rpc;
  ASSERT_TRUE(rpc.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo info;
  google::rpc::RetryInfo retry;
  ASSERT_EQ(rpc.details_size(), 2);
  ASSERT_TRUE(rpc.details(0).UnpackTo(&info));
  ASSERT_TRUE(rpc.details(1).UnpackTo(&retry));
  EXPECT_EQ(info.reason(), "QUEUE_FULL");
  EXPECT_EQ(info.domain(), "reeve");
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
}

TEST(ConvertTest, BytesInSeveralPiecesAreOneBuffer) {
  grpc::Slice slices[] = {grpc::Slice("ab"), grpc::Slice("cd")};
  EXPECT_EQ(ToBuffer(grpc::ByteBuffer(slices, 2)).view(), "abcd");
  EXPECT_EQ(ToBuffer(ToByteBuffer("head", Buffer(std::string("body")))).view(), "headbody");
}

TEST(ValidateTest, SecretsAreNamesForCommandsThatGiveDifferentVariables) {
  const auto with = [](const std::vector<std::string>& names) {
    v1::CreateJobRequest request = Command();
    for (const std::string& name : names) request.mutable_spec()->add_secrets(name);
    return Check(std::move(request)).ok();
  };
  EXPECT_TRUE(with({"db-password", "A.b_1"}));
  for (const std::string& name :
       {std::string(), std::string(".x"), std::string("../x"), std::string("a/b"),
        std::string("a\0b", 3), std::string("a b"), std::string("\xd0\xb5"), std::string(129, 'a')})
    EXPECT_FALSE(with({name})) << name;
  EXPECT_FALSE(with({"a-b", "A.B"}));
  std::vector<std::string> many;
  for (int i = 0; i < 33; ++i) many.push_back("s" + std::to_string(i));
  EXPECT_FALSE(with(many));
  many.pop_back();
  EXPECT_TRUE(with(many));
}

// They overwrote each other.
TEST(ConvertTest, FailuresOfReasonsThatShareANameAreAddedUp) {
  HandlerStats stats;
  stats.failed[static_cast<Reason>(200)] = 2;
  stats.failed[static_cast<Reason>(201)] = 3;
  stats.failed[Reason::kTimeout] = 1;
  v1::HandlerStatistics statistics;
  ToProto("echo", stats, &statistics);
  EXPECT_EQ(statistics.failed_count(), 6u);
  EXPECT_EQ(statistics.failed_by_reason().at("UNKNOWN"), 5u);
  EXPECT_EQ(statistics.failed_by_reason().at("TIMEOUT"), 1u);
}

TEST(KeptAnswersTest, AnAnswerIsKeptUntilSoManyCameAfterIt) {
  KeptAnswers<int> answers(2);
  EXPECT_EQ(answers.Find("a"), nullptr);
  answers.Keep("a", 1);
  answers.Keep("b", 2);
  ASSERT_NE(answers.Find("a"), nullptr);
  EXPECT_EQ(*answers.Find("a"), 1);
  answers.Keep("c", 3);
  EXPECT_EQ(answers.Find("a"), nullptr);
  EXPECT_EQ(*answers.Find("c"), 3);
}

}  // namespace
}  // namespace reeve
