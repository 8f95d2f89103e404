#include "client/input/job_rules.h"

#include <gtest/gtest.h>

#include <functional>

#include "client/exit_code.h"

namespace reeve {
namespace {

void ExpectUsage(const absl::Status& status, std::string_view says) {
  EXPECT_EQ(ExitCodeOf(status), kExitUsage) << status;
  EXPECT_NE(std::string(status.message()).find(says), std::string::npos) << status;
}

TEST(JobRulesTest, BackoffIsOneWaitOrTwo) {
  v1::RetryPolicy retry;
  ASSERT_TRUE(SetBackoff("250ms", &retry).ok());
  EXPECT_EQ(retry.first_backoff().nanos(), 250'000'000);
  EXPECT_FALSE(retry.has_max_backoff());
  ASSERT_TRUE(SetBackoff("2s,1m", &retry).ok());
  EXPECT_EQ(retry.first_backoff().seconds(), 2);
  EXPECT_EQ(retry.max_backoff().seconds(), 60);
  ExpectUsage(SetBackoff("1m,2s", &retry), "shorter than the first");
  ExpectUsage(SetBackoff("soon", &retry), "is no duration");
  ExpectUsage(SetBackoff("1s,", &retry), "is no duration");
}

TEST(JobRulesTest, RetryOnTakesExitCodesAndReasonsInAnyCase) {
  v1::RetryPolicy retry;
  ASSERT_TRUE(AddRetryOn("75,timeout,WORKER_LOST,command-not-found", &retry).ok());
  ASSERT_EQ(retry.exit_codes_size(), 1);
  EXPECT_EQ(retry.exit_codes(0), 75u);
  ASSERT_EQ(retry.reasons_size(), 3);
  EXPECT_EQ(retry.reasons(0), v1::Task::TIMEOUT);
  EXPECT_EQ(retry.reasons(1), v1::Task::WORKER_LOST);
  EXPECT_EQ(retry.reasons(2), v1::Task::COMMAND_NOT_FOUND);
  ExpectUsage(AddRetryOn("256", &retry), "1 to 255");
  ExpectUsage(AddRetryOn("0", &retry), "1 to 255");
  ExpectUsage(AddRetryOn("", &retry), "EXIT_NONZERO, SIGNALLED");
  ExpectUsage(AddRetryOn("tired", &retry), "or an exit code from 1 to 255");
}

TEST(JobRulesTest, RatesArePerUnitOrPerDuration) {
  const auto rate = ParseRate("--rate", "5/s");
  ASSERT_TRUE(rate.ok());
  EXPECT_EQ(rate->count(), 5u);
  EXPECT_EQ(rate->per().seconds(), 1);
  EXPECT_EQ(rate->burst(), 0u);
  EXPECT_EQ(ParseRate("--rate", "100/1m30s:10")->per().seconds(), 90);
  EXPECT_EQ(ParseRate("--rate", "100/1m30s:10")->burst(), 10u);
  EXPECT_EQ(ParseRate("--rate", "1/d")->per().seconds(), 86'400);
  for (const char* bad : {"", "5", "0/s", "5/", "5/x", "-1/s", "5/s:0", "1000001/s", "5/2h:x"})
    ExpectUsage(ParseRate("--rate", bad).status(), "want COUNT/TIME[:BURST]");
  ExpectUsage(ParseRate("--rate", "5/25h").status(), "1 ms to 1 day");
}

TEST(JobRulesTest, LimitAndRateOfAKeySpeakOfOneKey) {
  v1::TaskKey key;
  EXPECT_TRUE(IsKeyRule("key=.host:2"));
  EXPECT_FALSE(IsKeyRule("cpu=30s"));
  ASSERT_TRUE(AddKeyLimit("key=.host:2", &key).ok());
  ASSERT_TRUE(AddKeyRate("key=.host:5/s:3", &key).ok());
  EXPECT_EQ(key.path(), ".host");
  EXPECT_EQ(key.max_in_flight(), 2u);
  EXPECT_EQ(key.rate().count(), 5u);
  EXPECT_EQ(key.rate().burst(), 3u);
  ExpectUsage(AddKeyRate("key=.path:5/s", &key), "one key");
  ExpectUsage(AddKeyLimit("key=.host:0", &key), "key=PATH:COUNT");
  ExpectUsage(AddKeyLimit("key=host:2", &key), "key=PATH:COUNT");
  ExpectUsage(AddKeyRate("5/s", &key), "key=PATH:COUNT/TIME");
  v1::TaskKey host;
  ASSERT_TRUE(AddKeyRate("key=@host:5/s", &host).ok());
  EXPECT_EQ(host.path(), "@host");
  ExpectUsage(AddKeyLimit("key=@path:2", &host), "key=PATH:COUNT");
}

TEST(JobRulesTest, LabelsAndTermsOnThemAreChecked) {
  v1::JobSpec spec;
  ASSERT_TRUE(AddLabel("team/part=blue=green", &spec).ok());
  EXPECT_EQ(spec.labels().at("team/part"), "blue=green");
  ASSERT_TRUE(AddLabel("empty=", &spec).ok());
  for (const std::string& bad :
       {std::string("name"), std::string("=x"), std::string("a b=x"), "a=" + std::string(64, 'x')})
    ExpectUsage(AddLabel(bad, &spec), "NAME=VALUE");
  for (const char* good : {"zone=eu", "zone!=eu", "gpu", "!gpu", "zone="})
    EXPECT_TRUE(CheckLabelTerm("--on", good).ok()) << good;
  for (const char* bad : {"", "!", "=x", "!=x", "a b", "!!a"})
    ExpectUsage(CheckLabelTerm("--on", bad), "!NAME");
}

TEST(JobRulesTest, ResourcesMayBeFractionsAndSizes) {
  v1::JobSpec spec;
  for (const char* good : {"cpus=2", "gpu=0.5", "memory=512M"})
    ASSERT_TRUE(AddResource(good, &spec).ok()) << good;
  EXPECT_EQ(spec.resources().at("cpus"), 2);
  EXPECT_EQ(spec.resources().at("gpu"), 0.5);
  EXPECT_EQ(spec.resources().at("memory"), 512.0 * 1024 * 1024);
  for (const char* bad :
       {"cpus", "cpus=", "cpus=0", "cpus=-1", "CPUS=1", "cpus=nan", "cpus=1e16", "=1"})
    ExpectUsage(AddResource(bad, &spec), "NAME=AMOUNT");
}

TEST(JobRulesTest, StopRulesMayBeTogether) {
  v1::StopRule stop;
  ASSERT_TRUE(AddStopRules("3,10%,soft", &stop).ok());
  EXPECT_EQ(stop.max_failures(), 3u);
  EXPECT_EQ(stop.max_failure_percent(), 10u);
  EXPECT_TRUE(stop.let_running_end());
  EXPECT_FALSE(stop.first_success());
  ASSERT_TRUE(AddStopRules("success", &stop).ok());
  EXPECT_TRUE(stop.first_success());
  for (const char* bad : {"", "soft", "0", "never", "3,", "-1"})
    ExpectUsage(AddStopRules(bad, &stop), "--halt");
  ExpectUsage(AddStopRules("100%", &stop), "1% to 99%");
}

TEST(JobRulesTest, DependenciesHaveConditions) {
  const auto after = ParseDependencies("42,43:failure,last:end");
  ASSERT_TRUE(after.ok());
  ASSERT_EQ(after->size(), 3u);
  EXPECT_EQ((*after)[0].job, "42");
  EXPECT_EQ((*after)[0].condition, v1::Dependency::ON_SUCCESS);
  EXPECT_EQ((*after)[1].condition, v1::Dependency::ON_FAILURE);
  EXPECT_EQ((*after)[2].job, "last");
  EXPECT_EQ((*after)[2].condition, v1::Dependency::ON_END);
  ExpectUsage(ParseDependencies("42:soon").status(), "success, failure or end");
  ExpectUsage(ParseDependencies("42,,43").status(), "JOB[:success|failure|end]");
  EXPECT_TRUE(CheckFolderName("--results-of", "part-1").ok());
  ExpectUsage(CheckFolderName("--results-of", "a/b"), "A-Z a-z 0-9 _ -");
}

TEST(JobRulesTest, NamesOfQueuesAreWords) {
  EXPECT_TRUE(CheckName("--queue", "nightly.eu_1-a").ok());
  ExpectUsage(CheckName("--queue", ""), "1 to 64");
  ExpectUsage(CheckName("--queue", "a b"), "1 to 64");
  ExpectUsage(CheckName("--queue", std::string(65, 'a')), "1 to 64");
}

}  // namespace
}  // namespace reeve
