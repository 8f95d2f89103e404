#include "client/commands/graph.h"

#include <gtest/gtest.h>

#include "client/exit_code.h"

namespace reeve {
namespace {

// The request that a file makes, or its error.
absl::StatusOr<v1::CreateJobsRequest> Build(const std::string& text) {
  const auto graph = ParseGraph(text, "g.yaml");
  if (!graph.ok()) return graph.status();
  const auto order = OrderOf(*graph);
  if (!order.ok()) return order.status();
  Session session;
  return BuildGraph(session, *graph, *order);
}

void ExpectError(const std::string& text, const std::string& message) {
  const absl::Status status = Build(text).status();
  EXPECT_EQ(ExitCodeOf(status), kExitUsage) << status;
  EXPECT_EQ(std::string(status.message()), message);
}

TEST(GraphTest, JobsComeBehindThoseTheyWaitFor) {
  const auto request = Build(R"(
jobs:
  - {name: report, shell: 'cat', after: [{job: count, on: end, results: true, as: parts}, {job: check, on: failure}]}
  - {name: count, command: [wc, -l, '{}'], inputs: [a, b], after: split}
  - {name: split, command: [split, words]}
  - {name: check, command: ['true'], after: [split, 42]}
)");
  ASSERT_TRUE(request.ok()) << request.status();
  ASSERT_EQ(request->jobs_size(), 4);
  EXPECT_EQ(request->jobs(0).spec().name(), "split");
  EXPECT_EQ(request->jobs(0).spec().after_size(), 0);
  const v1::CreateJobRequest& count = request->jobs(1);
  EXPECT_EQ(count.spec().name(), "count");
  EXPECT_EQ(count.batch().task_count(), 2u);
  EXPECT_EQ(count.batch().inputs(), "ab");
  ASSERT_EQ(count.spec().after_size(), 1);
  EXPECT_EQ(count.spec().after(0).position(), 1u);
  EXPECT_EQ(count.spec().after(0).condition(), v1::Dependency::ON_SUCCESS);
  EXPECT_FALSE(count.spec().after(0).results());
  EXPECT_EQ(request->jobs(2).spec().name(), "check");
  EXPECT_EQ(request->jobs(2).spec().after(1).job_id(), 42u);
  const v1::JobSpec& report = request->jobs(3).spec();
  EXPECT_EQ(report.name(), "report");
  EXPECT_TRUE(report.command().shell());
  ASSERT_EQ(report.after_size(), 2);
  EXPECT_EQ(report.after(0).position(), 2u);
  EXPECT_EQ(report.after(0).condition(), v1::Dependency::ON_END);
  EXPECT_TRUE(report.after(0).results());
  EXPECT_EQ(report.after(0).name(), "parts");
  EXPECT_EQ(report.after(1).position(), 3u);
  EXPECT_EQ(report.after(1).condition(), v1::Dependency::ON_FAILURE);
}

TEST(GraphTest, OptionsOfSubmitHaveTheirYamlSpelling) {
  const auto request = Build(R"(
defaults:
  queue: nightly
  retries: 2
  labels: {team: blue}
jobs:
  - name: all
    handler: echo
    array: 1-10:2%3
    priority: 9
    retries: 5
    retry_backoff: 1s,1m
    retry_on: [75, timeout]
    soft_time_limit: 5s
    time_limit: 10
    delay: 2s
    deadline: 1h
    unique: k
    if_exists: attach
    resources: {cpus: 2, gpu: 0.5}
    on: [zone=eu, '!slow']
    pack: true
    halt: 10%,soft
    hold: yes
    if_unmet: skip
    params: {a: 1}
  - {name: other, handler: echo, input: x, labels: [a=b, c=d], limit: 'key=.:2', rate: 'key=.:5/s'}
)");
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::JobSpec& spec = request->jobs(0).spec();
  EXPECT_EQ(request->jobs(0).array().count(), 5u);
  EXPECT_EQ(spec.max_in_flight(), 3u);
  EXPECT_EQ(spec.queue(), "nightly");
  EXPECT_EQ(spec.max_attempts(), 6u);
  EXPECT_EQ(spec.labels().at("team"), "blue");
  EXPECT_EQ(spec.priority(), 9);
  EXPECT_EQ(spec.retry().max_backoff().seconds(), 60);
  EXPECT_EQ(spec.retry().exit_codes(0), 75u);
  EXPECT_EQ(spec.retry().reasons(0), v1::Task::TIMEOUT);
  EXPECT_EQ(spec.soft_time_limit().seconds(), 5);
  EXPECT_EQ(spec.time_limit().seconds(), 10);
  EXPECT_EQ(spec.delay().seconds(), 2);
  EXPECT_EQ(spec.deadline().seconds(), 3600);
  EXPECT_EQ(spec.unique_key(), "k");
  EXPECT_EQ(spec.unique_policy(), v1::JobSpec::ATTACH);
  EXPECT_EQ(spec.resources().at("gpu"), 0.5);
  EXPECT_EQ(spec.worker_selector_size(), 2);
  EXPECT_EQ(spec.placement(), v1::JobSpec::PACK);
  EXPECT_EQ(spec.stop().max_failure_percent(), 10u);
  EXPECT_TRUE(spec.hold());
  EXPECT_EQ(spec.if_unmet(), v1::JobSpec::SKIP);
  EXPECT_EQ(spec.params().at("a"), "1");
  const v1::JobSpec& other = request->jobs(1).spec();
  EXPECT_EQ(other.max_attempts(), 3u);
  EXPECT_EQ(other.labels().size(), 2u) << "its own labels, not the default ones";
  EXPECT_EQ(other.task_key().path(), ".");
  EXPECT_EQ(other.task_key().max_in_flight(), 2u);
  EXPECT_EQ(other.task_key().rate().count(), 5u);
}

TEST(GraphTest, RecordsBecomeJson) {
  const auto request = Build(R"(
jobs:
  - name: r
    command: [echo, '{.host}']
    inputs:
      - {host: a, port: 80, ok: true, none: null, text: '80', version: 1.2.3, deep: [1, {x: -0.5e3}]}
      - {host: "b\n", zero: 0, octal: 007, word: no}
)");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->jobs(0).spec().command().input_mode(), v1::Command::JSON);
  EXPECT_EQ(request->jobs(0).batch().inputs(),
            R"({"host":"a","port":80,"ok":true,"none":null,"text":"80","version":"1.2.3",)"
            R"("deep":[1,{"x":-0.5e3}]})"
            R"({"host":"b\n","zero":0,"octal":"007","word":"no"})");
}

TEST(GraphTest, JsonIsReadAsWell) {
  const auto request = Build(
      "{\"jobs\": [\n\t{\"name\": \"a\", \"handler\": \"echo\", \"count\": 3},\n"
      "\t{\"name\": \"b\", \"shell\": \"true\", \"after\": [\"a\"]}\n]}\n");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->jobs(0).array().count(), 3u);
  EXPECT_EQ(request->jobs(1).spec().after(0).position(), 1u);
}

TEST(GraphTest, ErrorsNameTheLine) {
  ExpectError("jobs:\n  - name: a\n    comand: [x]\n",
              "g.yaml:3: unknown key 'comand' of a job; did you mean 'command'?");
  ExpectError("job: []\n", "g.yaml:1: unknown key 'job' of the file; did you mean 'jobs'?");
  ExpectError("defaults:\n  name: x\njobs: [{name: a, shell: x}]\n",
              "g.yaml:2: unknown key 'name' of defaults");
  ExpectError("jobs: []\n", "g.yaml:1: jobs: want a list of one job at least");
  ExpectError("", "g.yaml:1: want one document");
  ExpectError("jobs:\n  - shell: x\n", "g.yaml:2: the job has no name");
  ExpectError("jobs:\n  - name: a\n    shell: x\n  - name: a\n    shell: y\n",
              "g.yaml:4: another job has the name 'a'");
  ExpectError("jobs:\n  - name: a\n    command: ls\n",
              "g.yaml:3: command: want a list of words; or use shell");
  ExpectError("jobs:\n  - name: a\n    shell: x\n    shell: y\n",
              "g.yaml:4: 'shell' is there twice");
  ExpectError("jobs:\n  - name: a\n    shell:\n", "g.yaml:3: 'shell' has no value");
  ExpectError("jobs:\n  - name: a\n    shell: x\n    retries: many\n",
              "g.yaml:4: retries 'many': want a number");
  ExpectError("jobs:\n  - name: a\n    shell: x\n    hold: 3\n",
              "g.yaml:4: hold: want true or false");
  ExpectError("jobs:\n  - name: a\n    shell: x\n    priority: 12\n",
              "g.yaml:2: job 'a': --priority: 0 to 9");
  ExpectError("jobs:\n  - name: a\n",
              "g.yaml:2: job 'a': the command is missing; options come first, "
              "then -- and the command");
  ExpectError("jobs:\n  - name: a\n    shell: x\n    inputs: [a, {b: c}]\n",
              "g.yaml:4: inputs: want all of them to be texts, or all to be records");
  const absl::Status syntax = Build("jobs:\n  - {name: a\n").status();
  EXPECT_EQ(ExitCodeOf(syntax), kExitUsage);
  EXPECT_EQ(std::string(syntax.message()).rfind("g.yaml:3: ", 0), 0u) << syntax;
}

TEST(GraphTest, UnknownNamesAndCirclesAreErrors) {
  ExpectError("jobs:\n  - name: a\n    shell: x\n    after: [b]\n",
              "g.yaml:4: no job has the name 'b'");
  ExpectError("jobs:\n  - {name: a, shell: x, after: a}\n",
              "g.yaml:2: jobs wait for one another: a after a");
  ExpectError(
      "jobs:\n  - {name: z, shell: x}\n  - {name: a, shell: x, after: [z, c]}\n"
      "  - {name: b, shell: x, after: a}\n  - {name: c, shell: x, after: b}\n",
      "g.yaml:3: jobs wait for one another: a after c after b after a");
  ExpectError("jobs:\n  - {name: a, shell: x}\n  - {name: b, shell: x, after: [a, a]}\n",
              "g.yaml:3: 'a' is named twice");
  ExpectError(
      "jobs:\n  - {name: a, shell: x}\n  - name: b\n    shell: x\n    after: {job: a, on: "
      "sunday}\n",
      "g.yaml:5: on 'sunday': success, failure or end");
  ExpectError(
      "jobs:\n  - {name: a b, shell: x}\n  - name: c\n    shell: x\n    after: {job: a b, results: "
      "true}\n",
      "g.yaml:5: the results of 'a b' need a name for their folder: as: NAME, 1 to 64 of A-Z "
      "a-z 0-9 _ -");
}

TEST(GraphTest, AliasesCannotMakeAnInputEndless) {
  std::string text =
      "jobs:\n- name: a\n  handler: echo\n  inputs:\n  - a0: &a0 [xxxxxxxxxxxxxxxx]\n";
  for (int i = 1; i < 30; ++i) {
    text += "    a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" +
            std::to_string(i - 1) + ", *a" + std::to_string(i - 1) + "]\n";
  }
  const absl::Status status = Build(text).status();
  EXPECT_EQ(ExitCodeOf(status), kExitUsage);
  EXPECT_NE(std::string(status.message()).find("at most 3 MiB"), std::string::npos) << status;
}

}  // namespace
}  // namespace reeve
