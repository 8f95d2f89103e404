// What few jobs ask for: every field reaches the scheduler, every bound is kept.

#include "master/service/validate_extras.h"

#include "base/error.h"
#include "gtest/gtest.h"
#include "master/service/label_terms.h"
#include "master/service/validate.h"
#include "master/store/job_record.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(2'000'000'000);

google::protobuf::Duration Proto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::ToInt64Seconds(duration));
  proto.set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(duration - absl::Seconds(absl::ToInt64Seconds(duration)))));
  return proto;
}

google::protobuf::Timestamp Proto(absl::Time time) {
  google::protobuf::Timestamp proto;
  proto.set_seconds(absl::ToUnixSeconds(time));
  return proto;
}

v1::CreateJobRequest Lines(const std::vector<std::string>& lines) {
  v1::CreateJobRequest request;
  request.set_request_id("r");
  request.mutable_spec()->set_handler("echo");
  v1::TaskBatch* batch = request.mutable_batch();
  batch->set_task_count(static_cast<uint32_t>(lines.size()));
  for (const std::string& line : lines) {
    batch->add_input_bytes(static_cast<uint32_t>(line.size()));
    batch->mutable_inputs()->append(line);
  }
  return request;
}

absl::StatusOr<CreateJob> Check(const v1::CreateJobRequest& request) {
  return ValidateCreateJob(request, kNow);
}

// What becomes of a job with `change` made to its specification.
template <typename Change>
absl::StatusOr<CreateJob> With(Change change) {
  v1::CreateJobRequest request = Lines({"a"});
  change(request.mutable_spec());
  return Check(request);
}

template <typename Change>
void Refused(std::string_view word, Change change) {
  const auto event = With(change);
  EXPECT_EQ(ErrorReason(event.status()), "BAD_REQUEST") << word;
  EXPECT_NE(event.status().ToString().find(word), std::string::npos) << event.status();
}

TEST(ValidateExtrasTest, APlainJobAsksForNothing) {
  const auto event = Check(Lines({"a"}));
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->options.extras, nullptr);
  EXPECT_EQ(event->options.queue, "");
  EXPECT_EQ(event->options.priority, kDefaultPriority);
  EXPECT_TRUE(event->task_keys.empty());
  EXPECT_FALSE(event->hold);
  EXPECT_EQ(With([](auto* spec) { spec->set_queue("default"); })->options.queue, "")
      << "the same queue by its name";
}

TEST(ValidateExtrasTest, WhatIsAskedForReachesTheScheduler) {
  const auto event = With([](v1::JobSpec* spec) {
    spec->set_queue("bulk");
    spec->set_priority(0);
    spec->set_hold(true);
    v1::RetryPolicy* retry = spec->mutable_retry();
    *retry->mutable_first_backoff() = Proto(absl::Milliseconds(20));
    *retry->mutable_max_backoff() = Proto(absl::Hours(3));
    retry->add_exit_codes(75);
    retry->add_reasons(v1::Task::TIMEOUT);
    retry->add_reasons(v1::Task::TIMEOUT);
    *spec->mutable_delay() = Proto(absl::Seconds(5));
    *spec->mutable_deadline() = Proto(absl::Seconds(60));
    spec->set_unique_key("nightly");
    spec->set_unique_policy(v1::JobSpec::REPLACE);
    spec->mutable_task_key()->set_path(".");
    spec->mutable_task_key()->set_max_in_flight(2);
    spec->mutable_task_key()->mutable_rate()->set_count(50);
    (*spec->mutable_resources())["gpu"] = 0.5;
    spec->add_worker_selector("zone!=b");
    spec->add_worker_selector("!old");
    spec->set_placement(v1::JobSpec::PACK);
    v1::Dependency* after = spec->add_after();
    after->set_job_id(7);
    after->set_condition(v1::Dependency::ON_END);
    after->set_results(true);
    after->set_name("seven");
    spec->add_after()->set_job_id(8);
    spec->set_if_unmet(v1::JobSpec::SKIP);
    spec->mutable_stop()->set_max_failures(3);
    spec->mutable_stop()->set_max_failure_percent(99);
    spec->mutable_stop()->set_first_success(true);
    spec->mutable_stop()->set_let_running_end(true);
  });
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_TRUE(event->hold);
  EXPECT_EQ(event->options.queue, "bulk");
  EXPECT_EQ(event->options.priority, 0);
  JobExtras want;
  want.retry = {absl::Milliseconds(20), absl::Hours(3), {75}, {Reason::kTimeout}};
  want.start_time = kNow + absl::Seconds(5);
  want.expire_time = kNow + absl::Seconds(60);
  want.unique_key = "nightly";
  want.unique_policy = UniquePolicy::kReplace;
  want.keyed = true;
  want.key_max_in_flight = 2;
  want.key_rate = {50, absl::Seconds(1), 2};
  want.resources = {{"gpu", 500}};
  want.selector = {{"zone", "b", LabelTerm::Kind::kDiffers},
                   {"old", "", LabelTerm::Kind::kMissing}};
  want.pack = true;
  want.after = {{JobId(7), JobDependency::Condition::kEnd, true, "seven"},
                {JobId(8), JobDependency::Condition::kSuccess, false, ""}};
  want.skip_if_unmet = true;
  want.stop = {3, 99, true, true};
  EXPECT_EQ(*event->options.extras, want);
}

TEST(ValidateExtrasTest, AbsoluteTimesAreTakenAsTheyAre) {
  const auto event = With([](v1::JobSpec* spec) {
    *spec->mutable_start_time() = Proto(kNow - absl::Hours(1));
    *spec->mutable_expire_time() = Proto(kNow + absl::Hours(1));
  });
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->options.extras->start_time, kNow - absl::Hours(1));
  EXPECT_EQ(event->options.extras->expire_time, kNow + absl::Hours(1));
}

TEST(ValidateExtrasTest, ARepeatOfARelativeTimeHasTheSameContent) {
  v1::CreateJobRequest request = Lines({"a"});
  *request.mutable_spec()->mutable_delay() = Proto(absl::Seconds(5));
  EXPECT_EQ(ValidateCreateJob(request, kNow)->content_hash,
            ValidateCreateJob(request, kNow + absl::Seconds(9))->content_hash);
}

TEST(ValidateExtrasTest, TheBurstOfARateDependsOnHowFastItIs) {
  v1::Rate rate;
  EXPECT_FALSE(ToRate("rate", rate)->limited());
  rate.set_count(19);
  EXPECT_EQ(*ToRate("rate", rate), (Rate{19, absl::Seconds(1), 1}));
  rate.set_count(20);
  EXPECT_EQ(ToRate("rate", rate)->burst, 2u);
  *rate.mutable_per() = Proto(absl::Minutes(1));
  EXPECT_EQ(*ToRate("rate", rate), (Rate{20, absl::Minutes(1), 1}));
  rate.set_burst(9);
  EXPECT_EQ(ToRate("rate", rate)->burst, 9u);
  rate.set_burst(1'000'001);
  EXPECT_EQ(ErrorReason(ToRate("rate", rate).status()), "BAD_REQUEST");
  rate.set_burst(0);
  *rate.mutable_per() = Proto(absl::Microseconds(999));
  EXPECT_EQ(ErrorReason(ToRate("rate", rate).status()), "BAD_REQUEST");
}

TEST(ValidateExtrasTest, WhatIsOutOfBoundsIsRefusedWithTheFieldsName) {
  Refused("spec.queue", [](auto* spec) { spec->set_queue("a b"); });
  Refused("spec.priority", [](auto* spec) { spec->set_priority(10); });
  Refused("spec.priority", [](auto* spec) { spec->set_priority(-1); });
  Refused("spec.retry.first_backoff", [](auto* spec) {
    *spec->mutable_retry()->mutable_first_backoff() = Proto(absl::ZeroDuration());
  });
  Refused("spec.retry.max_backoff", [](auto* spec) {
    *spec->mutable_retry()->mutable_max_backoff() = Proto(absl::Hours(25));
  });
  Refused("spec.retry.max_backoff", [](auto* spec) {
    *spec->mutable_retry()->mutable_first_backoff() = Proto(absl::Seconds(2));
    *spec->mutable_retry()->mutable_max_backoff() = Proto(absl::Seconds(1));
  });
  Refused("spec.retry.exit_codes", [](auto* spec) { spec->mutable_retry()->add_exit_codes(0); });
  Refused("spec.retry.exit_codes", [](auto* spec) { spec->mutable_retry()->add_exit_codes(256); });
  Refused("spec.retry.reasons",
          [](auto* spec) { spec->mutable_retry()->add_reasons(v1::Task::REASON_UNSPECIFIED); });
  Refused("spec.start_time", [](auto* spec) {
    *spec->mutable_start_time() = Proto(kNow);
    *spec->mutable_delay() = Proto(absl::Seconds(1));
  });
  Refused("10 years",
          [](auto* spec) { *spec->mutable_start_time() = Proto(kNow + absl::Hours(24 * 3654)); });
  Refused("spec.deadline", [](auto* spec) { spec->mutable_deadline()->set_seconds(-1); });
  Refused("after the start", [](auto* spec) {
    *spec->mutable_delay() = Proto(absl::Seconds(9));
    *spec->mutable_deadline() = Proto(absl::Seconds(9));
  });
  Refused("spec.soft_time_limit", [](auto* spec) {
    *spec->mutable_time_limit() = Proto(absl::Seconds(5));
    *spec->mutable_soft_time_limit() = Proto(absl::Seconds(5));
  });
  Refused("spec.close_when_idle",
          [](auto* spec) { *spec->mutable_close_when_idle() = Proto(absl::Seconds(5)); });
  Refused("spec.labels", [](auto* spec) { (*spec->mutable_labels())["a b"] = ""; });
  Refused("spec.labels", [](auto* spec) { (*spec->mutable_labels())["a"] = std::string(64, 'x'); });
  Refused("spec.unique_key", [](auto* spec) { spec->set_unique_key("a\nb"); });
  Refused("spec.unique_key", [](auto* spec) { spec->set_unique_key(std::string(201, 'x')); });
  Refused("spec.unique_policy", [](auto* spec) { spec->set_unique_policy(v1::JobSpec::ATTACH); });
  Refused("spec.task_key.path", [](auto* spec) { spec->mutable_task_key()->set_path("host"); });
  Refused("spec.resources: gpu", [](auto* spec) { (*spec->mutable_resources())["gpu"] = 0.0009; });
  Refused("spec.resources", [](auto* spec) { (*spec->mutable_resources())["GPU"] = 1; });
  Refused("spec.worker_selector", [](auto* spec) { spec->add_worker_selector("=b"); });
  Refused("spec.worker_selector", [](auto* spec) { spec->add_worker_selector("Zone=b"); });
  Refused("spec.after", [](auto* spec) { spec->add_after(); });
  Refused("spec.after.position", [](auto* spec) { spec->add_after()->set_position(1); });
  Refused("twice", [](auto* spec) {
    spec->add_after()->set_job_id(1);
    spec->add_after()->set_job_id(1);
  });
  Refused("spec.after.name", [](auto* spec) {
    spec->add_after()->set_job_id(1);
    spec->mutable_after(0)->set_name("../x");
  });
  Refused("spec.stop", [](auto* spec) { spec->mutable_stop()->set_max_failure_percent(100); });
}

TEST(ValidateExtrasTest, KeysOfTasksComeFromTheirInputs) {
  v1::CreateJobRequest request =
      Lines({R"({"a":{"host":"x"}})", R"({"a":{"host":"y"},"b":1})", R"({ "a": {"host": "x"} })",
             "no JSON", R"({"a":{}})", R"({"a":{"host":7}})", R"({"a":{"host":"7"}})"});
  request.mutable_spec()->mutable_task_key()->set_path(".a.host");
  const auto event = Check(request);
  ASSERT_TRUE(event.ok()) << event.status();
  const std::vector<uint64_t>& keys = event->task_keys;
  ASSERT_EQ(keys.size(), 7u);
  EXPECT_EQ(keys[0], keys[2]);
  EXPECT_NE(keys[0], keys[1]);
  EXPECT_EQ(keys[3], keys[4]) << "without the field: the key of an empty text";
  EXPECT_EQ(keys[5], keys[6]) << "a number is its text";
  request = Lines({"one", "two", "one"});
  request.mutable_spec()->mutable_task_key()->set_path(".");
  const auto whole = Check(request);
  EXPECT_EQ(whole->task_keys[0], whole->task_keys[2]);
  EXPECT_NE(whole->task_keys[0], whole->task_keys[1]);
  request = Lines({"http://a.example/1", " HTTPS://u:p@A.Example:8443?x#y\n", "http://b.example",
                   R"({"url":"http://a.example/2","depth":1})", "http://[::1]:80/", "http://[::2]/",
                   "a.example", "{"});
  request.mutable_spec()->mutable_task_key()->set_path("@host");
  const auto hosts = Check(request);
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  const std::vector<uint64_t>& of = hosts->task_keys;
  EXPECT_EQ(of[0], of[1]);
  EXPECT_EQ(of[0], of[3]);
  EXPECT_NE(of[0], of[2]);
  EXPECT_NE(of[4], of[5]);
  EXPECT_EQ(of[6], keys[3]) << "no URL: the key of an empty text";
  EXPECT_EQ(of[7], keys[3]);
  request.mutable_spec()->set_accepts_new_inputs(true);
  EXPECT_EQ(Check(request)->task_keys, of) << "as those of inputs that come later";
  EXPECT_EQ(TaskKeyPathOf(Check(request)->record), "@host");
  request.mutable_spec()->set_accepts_new_inputs(false);
  EXPECT_EQ(TaskKeyPathOf(Check(Lines({"x"}))->record), "");
  request.clear_batch();
  request.mutable_array()->set_count(3);
  EXPECT_EQ(ErrorReason(Check(request).status()), "BAD_REQUEST");
}

TEST(ValidateExtrasTest, AnOpenJobMayCloseWhenIdle) {
  v1::CreateJobRequest request = Lines({"a"});
  request.set_open(true);
  *request.mutable_spec()->mutable_close_when_idle() = Proto(absl::Seconds(30));
  EXPECT_EQ(Check(request)->options.extras->close_when_idle, absl::Seconds(30));
}

TEST(ValidateExtrasTest, JobsOfAListDependOnEarlierOnes) {
  v1::CreateJobsRequest list;
  list.set_request_id("list");
  for (int i = 0; i < 3; ++i) {
    *list.add_jobs() = Lines({"a"});
    list.mutable_jobs(i)->clear_request_id();
  }
  list.mutable_jobs(2)->mutable_spec()->add_after()->set_position(1);
  const auto event = ValidateCreateJobs(list, kNow, "ann");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->request_id, "ann\nlist");
  ASSERT_EQ(event->jobs.size(), 3u);
  EXPECT_EQ(event->jobs[0].options.extras, nullptr);
  EXPECT_EQ(event->jobs[2].options.extras->after[0].job, JobId(CreateJobs::kPlaceBit | 1));
  EXPECT_EQ(event->jobs[2].options.owner, "ann");
  store::v1::JobRecord record;
  ASSERT_TRUE(record.ParseFromString(std::string(event->jobs[2].record.view())));
  EXPECT_EQ(record.place(), 3u) << "by which the position becomes an id";

  list.mutable_jobs(2)->mutable_spec()->mutable_after(0)->set_position(3);
  const auto refused = ValidateCreateJobs(list, kNow);
  EXPECT_EQ(refused.status().message().find("jobs[2]: "), 0u) << refused.status();
  EXPECT_EQ(ErrorReason(refused.status()), "BAD_REQUEST");
  list.clear_jobs();
  EXPECT_EQ(ErrorReason(ValidateCreateJobs(list, kNow).status()), "BAD_REQUEST");
  *list.add_jobs() = Lines({"a"});
  EXPECT_FALSE(ValidateCreateJobs(list, kNow).ok()) << "a request_id of its own";
  list.mutable_jobs(0)->clear_request_id();
  EXPECT_TRUE(ValidateCreateJobs(list, kNow).ok());
  list.set_request_id(std::string(59, 'x'));
  EXPECT_FALSE(ValidateCreateJobs(list, kNow).ok());
}

TEST(ValidateExtrasTest, ARetryLeavesOutWhatBelongedToTheBeginningOfTheOther) {
  const auto made = With([](v1::JobSpec* spec) {
    spec->add_after()->set_job_id(1);
    *spec->mutable_start_time() = Proto(kNow);
    *spec->mutable_deadline() = Proto(absl::Seconds(60));
    spec->set_hold(true);
    spec->set_queue("bulk");
    spec->set_retry_of(3);
    spec->set_schedule("mine");
  });
  ASSERT_TRUE(made.ok()) << made.status();
  store::v1::JobRecord record;
  ASSERT_TRUE(record.ParseFromString(std::string(made->record.view())));
  EXPECT_EQ(record.spec().retry_of(), 0u) << "output only";
  EXPECT_EQ(record.spec().schedule(), "");
  v1::RetryJobRequest request;
  request.set_request_id("again");
  request.set_job_id(9);
  const absl::Time later = kNow + absl::Hours(5);
  const auto retry = ValidateRetry(request, record, later, "ann");
  ASSERT_TRUE(retry.ok()) << retry.status();
  JobExtras want;
  want.expire_time = later + absl::Seconds(60);
  want.retry_of = JobId(9);
  EXPECT_EQ(*retry->options.extras, want);
  EXPECT_EQ(retry->options.queue, "bulk");
  EXPECT_EQ(retry->request_id, "ann\nagain");
  EXPECT_FALSE(retry->hold);
  ASSERT_TRUE(record.ParseFromString(std::string(retry->record.view())));
  EXPECT_EQ(record.spec().retry_of(), 9u);
  EXPECT_EQ(record.owner(), "ann");
  request.add_indexes(3);
  EXPECT_NE(ValidateRetry(request, record, later)->content_hash, retry->content_hash);
}

TEST(LabelTermsTest, ATermHoldsOrDoesNot) {
  const std::map<std::string, std::string> labels = {{"env", "prod"}, {"empty", ""}};
  const auto holds = [&](const std::string& text) {
    google::protobuf::RepeatedPtrField<std::string> terms;
    *terms.Add() = text;
    const auto parsed = ParseLabelTerms("selector", terms);
    return parsed.ok() && Matches(*parsed, labels);
  };
  for (const char* text : {"env=prod", "env!=test", "env", "!other", "empty=", "other!=x"})
    EXPECT_TRUE(holds(text)) << text;
  for (const char* text : {"env=test", "env!=prod", "other", "!env", "other=", "empty!="})
    EXPECT_FALSE(holds(text)) << text;
}

}  // namespace
}  // namespace reeve
