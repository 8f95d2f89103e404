// Inputs that tasks add to their own job, and keys.

#include <algorithm>

#include "base/error.h"
#include "base/input_batch.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

using Ids = std::vector<uint64_t>;

InputKey Key(uint64_t id) { return {{id, ~id}}; }

InputsRef Inputs(const Ids& ids) {
  InputBatchBuilder builder;
  for (const uint64_t id : ids) builder.Add(std::to_string(id), Key(id));
  return *InputBatch::Parse(Buffer(builder.Finish()));
}

// All by the entry at position 0.
NewInputs Adding(const Ids& ids) {
  const InputsRef inputs = Inputs(ids);
  return {inputs, inputs->Keys(), inputs->payload_bytes(), {{0, inputs->count()}}};
}

JobOptions Accepting(uint32_t max_tasks = 1000) {
  JobOptions options;
  options.handler = "echo";
  options.accepts_inputs = true;
  options.max_tasks = max_tasks;
  return options;
}

class NewInputsTest : public testing::Test {
 protected:
  JobReply Create(const std::string& request, const Ids& ids, const JobOptions& options,
                  bool open = false) {
    CreateJob event;
    event.call = CallId(1000 + request.size());
    event.request_id = request;
    event.options = options;
    event.open = open;
    if (!ids.empty()) {
      event.inputs = Inputs(ids);
      event.input_count = event.inputs->count();
      event.input_bytes = event.inputs->payload_bytes();
      event.keys = event.inputs->Keys();
    }
    h_.Step(std::move(event));
    return std::get<JobReply>(h_.replies.back().body);
  }
  void Append(uint64_t offset, const Ids& ids) {
    AppendTasks event;
    event.stream = CallId(7);
    event.offset = offset;
    event.inputs = Inputs(ids);
    event.count = event.inputs->count();
    event.bytes = event.inputs->payload_bytes();
    event.keys = event.inputs->Keys();
    h_.Step(std::move(event));
  }
  const AppendReply& LastAppend() const { return std::get<AppendReply>(h_.replies.back().body); }

  // What the spans hold, by what the worker gets to see.
  static Ids Given(const std::vector<AssignedSpan>& spans) {
    Ids ids;
    for (const AssignedSpan& span : spans) {
      for (uint32_t i = 0; i < span.run.count; ++i) {
        const uint32_t nth = span.run.first - span.inputs_first + i;
        const uint32_t at = span.positions == nullptr ? nth : span.positions->At(nth);
        ids.push_back(std::stoull(std::string(span.inputs->Input(at))));
      }
    }
    return ids;
  }
  template <typename Put>
  std::vector<Put> Written() const {
    std::vector<Put> puts;
    for (const Write& write : h_.writes) {
      if (const auto* put = std::get_if<Put>(&write)) puts.push_back(*put);
    }
    return puts;
  }

  Harness h_;
};

TEST_F(NewInputsTest, InputsOfAResultBecomeTasksInItsTransaction) {
  h_.Join(1, 1);
  const JobReply job = Create("a", {1}, Accepting());
  const std::vector<AssignedSpan> root = h_.TakeAssigned(1);
  ASSERT_EQ(Given(root), Ids{1});
  h_.writes.clear();
  h_.auto_commit = false;
  const uint64_t before = h_.last_commit[0];
  h_.adding = Adding({2, 3});
  h_.Finish(1, root[0]);
  EXPECT_EQ(h_.last_commit[0], before + 1);
  EXPECT_EQ(Written<PutResults>().size(), 1u);
  const auto chunks = Written<PutInputs>();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].run, (reeve::Run{1, 2}));
  EXPECT_EQ(chunks[0].positions, nullptr);
  EXPECT_EQ(chunks[0].keys, (std::vector<InputKey>{Key(2), Key(3)}));
  EXPECT_GT(chunks[0].birth, root[0].birth);
  // A step of the frontier in the same transaction covers them: they go out at once.
  EXPECT_FALSE(Written<PutFrontier>().empty());
  EXPECT_EQ(Given(h_.TakeAssigned(1)), (Ids{2, 3}));
  EXPECT_EQ(h_.scheduler_.FindJob(job.view.job)->counts.total, 3u);
}

TEST_F(NewInputsTest, AKnownKeyIsDroppedWhereverItComesFrom) {
  const JobReply job = Create("a", {1, 1, 2}, Accepting(), true);
  EXPECT_EQ(job.view.counts.total, 2u);
  h_.Step(OpenAppender{CallId(7), job.view.job, "me"});
  Append(0, {2, 3, 1, 4});
  EXPECT_EQ(LastAppend().committed_offset, 4u);
  EXPECT_EQ(LastAppend().run, (reeve::Run{2, 2}));
  h_.Join(1, 4);
  const std::vector<AssignedSpan> spans = h_.TakeAssigned(1);
  EXPECT_EQ(Given(spans), (Ids{1, 2, 3, 4}));
  h_.adding = Adding({4, 5, 5, 1, 6});
  h_.Finish(1, spans[0]);
  const std::vector<AssignedSpan> added = h_.TakeAssigned(1);
  EXPECT_EQ(Given(added), (Ids{5, 6}));
  EXPECT_EQ(added[0].positions->Runs(), (std::vector<reeve::Run>{{1, 1}, {4, 1}}));
  const JobView view = *h_.scheduler_.FindJob(job.view.job);
  EXPECT_EQ(view.counts.total, 6u);
  EXPECT_EQ(view.counts.duplicate_inputs, 1u + 2u + 3u);
  EXPECT_EQ(view.counts.dropped_inputs, 0u);
  // Counted durably.
  EXPECT_EQ(Written<PutJobState>().back().counts.duplicate_inputs, 6u);
}

TEST_F(NewInputsTest, AnAppendOfNothingNewIsCommittedByItsOffset) {
  const JobReply job = Create("a", {1}, Accepting(), true);
  h_.Step(OpenAppender{CallId(7), job.view.job, "me"});
  h_.writes.clear();
  Append(0, {1, 1});
  EXPECT_EQ(LastAppend().committed_offset, 2u);
  EXPECT_EQ(LastAppend().run.count, 0u);
  EXPECT_TRUE(Written<PutInputs>().empty());
  const auto offsets = Written<PutAppender>();
  ASSERT_EQ(offsets.size(), 1u);
  EXPECT_EQ(offsets[0].appender, "me");
  EXPECT_EQ(offsets[0].offset, 2u);
}

TEST_F(NewInputsTest, OnlyAdmittedResultsAddInputs) {
  h_.Join(1, 4);
  const JobReply job = Create("a", {1, 2, 3}, Accepting());
  const std::vector<AssignedSpan> spans = h_.TakeAssigned(1);
  ASSERT_EQ(spans.size(), 1u);
  // The middle one alone, then all three: what the middle one adds the second time is too late.
  h_.adding = Adding({20});
  h_.FinishRun(1, job.view.job, spans[0].lease, {1, 1});
  h_.adding = Adding({10, 21, 30});
  h_.adding.parts = {{0, 1}, {1, 1}, {2, 1}};
  h_.FinishRun(1, job.view.job, spans[0].lease, {0, 3});
  EXPECT_EQ(Given(h_.TakeAssigned(1)), (Ids{20, 10, 30}));
  // Nothing of it is admitted.
  h_.adding = Adding({40});
  h_.FinishRun(1, job.view.job, spans[0].lease, {0, 3});
  EXPECT_TRUE(h_.TakeAssigned(1).empty());
  EXPECT_EQ(h_.scheduler_.FindJob(job.view.job)->counts.total, 6u);
}

TEST_F(NewInputsTest, TasksOfAKeyedJobHaveTheKeysOfTheirInputs) {
  h_.Join(1, 8);
  JobOptions options = Accepting();
  JobExtras extras;
  extras.keyed = true;
  extras.key_max_in_flight = 1;
  options.extras = std::make_shared<const JobExtras>(extras);
  const auto keyed = [](const Ids& ids, const std::vector<uint64_t>& task_keys) {
    NewInputs adding = Adding(ids);
    adding.task_keys = task_keys;
    return adding;
  };
  CreateJob create;
  create.call = CallId(99);
  create.request_id = "keyed";
  create.options = options;
  create.open = true;
  create.inputs = Inputs({1, 1, 2});
  create.input_count = 3;
  create.keys = create.inputs->Keys();
  create.task_keys = {10, 10, 20};  // The second is a duplicate, and no task.
  h_.Step(std::move(create));
  std::vector<AssignedSpan> first = h_.TakeAssigned(1);
  EXPECT_EQ(Given(first), (Ids{1, 2})) << "one of each key";
  // 1 and 2 are known; 3 and 5 share the key of 2, 4 has one of its own.
  h_.adding = keyed({1, 3, 2, 4, 5}, {10, 20, 20, 40, 20});
  h_.writes.clear();
  h_.Finish(1, first[0]);
  const auto chunks = Written<PutInputs>();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].task_keys, (std::vector<uint64_t>{20, 40, 20}));
  EXPECT_EQ(Given(h_.TakeAssigned(1)), Ids{4});
  h_.Step(OpenAppender{CallId(7), first[0].job, "me"});
  AppendTasks append;
  append.stream = CallId(7);
  append.inputs = Inputs({4, 6, 7});
  append.count = 3;
  append.keys = append.inputs->Keys();
  append.task_keys = {40, 10, 20};
  h_.Step(std::move(append));
  EXPECT_EQ(Given(h_.TakeAssigned(1)), Ids{6});
  h_.Finish(1, first[1]);
  EXPECT_EQ(Given(h_.TakeAssigned(1)), Ids{3});
}

TEST_F(NewInputsTest, AFailedAttemptAddsNothing) {
  h_.Join(1, 2);
  const JobReply job = Create("a", {1, 2}, Accepting());
  const std::vector<AssignedSpan> spans = h_.TakeAssigned(1);
  h_.adding = Adding({10, 20});
  h_.adding.parts = {{0, 1}, {1, 1}};
  h_.Finish(1, spans[0], {{0, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_EQ(Given(h_.TakeAssigned(1)), Ids{20});
  EXPECT_EQ(h_.scheduler_.FindJob(job.view.job)->counts.scheduled, 1u);
}

TEST_F(NewInputsTest, AJobEndsWhenNothingIsUnfinishedUnlessItIsOpen) {
  h_.Join(1, 1);
  const JobReply closed = Create("a", {1}, Accepting());
  h_.adding = Adding({2});
  h_.Finish(1, h_.TakeAssigned(1)[0]);
  EXPECT_TRUE(h_.scheduler_.FindJob(closed.view.job).has_value());
  h_.Finish(1, h_.TakeAssigned(1)[0]);
  EXPECT_FALSE(h_.scheduler_.FindJob(closed.view.job).has_value());
  EXPECT_EQ(h_.jobs.back().view.state, JobState::kSucceeded);
  EXPECT_EQ(h_.jobs.back().view.counts.succeeded, 2u);

  const JobReply open = Create("bb", {1}, Accepting(), true);
  h_.Finish(1, h_.TakeAssigned(1)[0]);
  EXPECT_EQ(h_.scheduler_.FindJob(open.view.job)->state, JobState::kOpen);
  h_.Step(CloseJob{CallId(5), open.view.job});
  EXPECT_FALSE(h_.scheduler_.FindJob(open.view.job).has_value());
}

TEST_F(NewInputsTest, BeyondMaxTasksInputsAreDroppedAndCounted) {
  h_.Join(1, 1);
  const JobReply job = Create("a", {1}, Accepting(3));
  h_.adding = Adding({2, 1, 3, 4, 5});
  h_.Finish(1, h_.TakeAssigned(1)[0]);
  h_.adding = Adding({4, 2});
  const AssignedSpan second = h_.TakeAssigned(1)[0];
  h_.FinishRun(1, second.job, second.lease, {1, 1});
  const JobView view = *h_.scheduler_.FindJob(job.view.job);
  EXPECT_EQ(view.counts.total, 3u);
  EXPECT_EQ(view.counts.duplicate_inputs, 2u);
  EXPECT_EQ(view.counts.dropped_inputs, 3u);
  h_.FinishRun(1, second.job, second.lease, {2, 1});
  h_.RunAll();
  EXPECT_EQ(h_.jobs.back().view.state, JobState::kSucceeded);
  EXPECT_EQ(h_.jobs.back().view.counts.dropped_inputs, 3u);
}

TEST_F(NewInputsTest, ACancelledJobTakesNone) {
  h_.Join(1, 1);
  const JobReply job = Create("a", {1}, Accepting());
  const AssignedSpan span = h_.TakeAssigned(1)[0];
  h_.Step(CancelJob{CallId(5), job.view.job});
  h_.writes.clear();
  h_.adding = Adding({2});
  h_.Finish(1, span);
  EXPECT_TRUE(Written<PutInputs>().empty());
  EXPECT_EQ(h_.jobs.back().view.state, JobState::kCancelled);
  EXPECT_EQ(h_.jobs.back().view.counts.total, 1u);
}

TEST_F(NewInputsTest, NoBoundOfTheQueueRefusesThem) {
  SchedulerOptions options;
  options.max_queued_payload_tasks = 2;
  Harness h(Harness::Fresh(), options);
  h.Join(1, 1);
  CreateJob create;
  create.call = CallId(1);
  create.request_id = "a";
  create.options = Accepting();
  create.inputs = Inputs({1});
  create.input_count = 1;
  create.input_bytes = 1;
  create.keys = {Key(1)};
  h.Step(create);
  h.adding = Adding({2, 3, 4, 5, 6});
  h.Finish(1, h.TakeAssigned(1)[0]);
  EXPECT_EQ(h.scheduler_.ListJobs({}, 10).at(0).counts.total, 6u);
  create.request_id = "b";
  h.Step(create);
  EXPECT_EQ(ErrorReason(std::get<JobReply>(h.replies.back().body).status), "QUEUE_FULL");
}

TEST_F(NewInputsTest, KeysThatMayHaveToBeKeptAreBounded) {
  SchedulerOptions options;
  options.max_known_keys = 1500;
  Harness h(Harness::Fresh(), options);
  const auto open = [&h](const std::string& request, uint32_t max_tasks) {
    CreateJob event;
    event.call = CallId(1);
    event.request_id = request;
    event.options = Accepting(max_tasks);
    event.open = true;
    h.Step(std::move(event));
    return std::get<JobReply>(h.replies.back().body);
  };
  const JobReply first = open("a", 1000);
  EXPECT_TRUE(first.status.ok());
  EXPECT_EQ(ErrorReason(open("b", 501).status), "QUEUE_FULL");
  EXPECT_TRUE(open("c", 500).status.ok());
  h.Step(CloseJob{CallId(2), first.view.job});
  EXPECT_TRUE(open("d", 1000).status.ok());
}

TEST_F(NewInputsTest, AnEphemeralJobGivesAddedInputsBack) {
  h_.Join(1, 1);
  JobOptions options = Accepting();
  options.ephemeral = true;
  const JobReply job = Create("a", {1}, options);
  h_.adding = Adding({1, 2});
  h_.Finish(1, h_.TakeAssigned(1)[0]);
  const std::vector<AssignedSpan> spans = h_.TakeAssigned(1);
  ASSERT_EQ(Given(spans), Ids{2});
  h_.adding = Adding({3});
  h_.Finish(1, spans[0]);
  const auto drops = Written<DropInputs>();
  ASSERT_EQ(drops.size(), 2u);
  EXPECT_EQ(drops[1].first, 1u);
  EXPECT_EQ(h_.scheduler_.FindJob(job.view.job)->counts.total, 3u);
}

TEST_F(NewInputsTest, AJobThatDoesNotAcceptThemGetsNone) {
  h_.Join(1, 1);
  JobOptions plain;
  plain.handler = "echo";
  const JobReply job = h_.Create("a", 2, plain);
  h_.adding = Adding({1});
  h_.FinishRun(1, job.view.job, h_.TakeAssigned(1)[0].lease, {0, 1});
  EXPECT_EQ(h_.scheduler_.FindJob(job.view.job)->counts.total, 2u);
  const JobReply open = Create("bb", {}, plain, true);
  h_.Step(OpenAppender{CallId(7), open.view.job, "me"});
  Append(0, {1});
  EXPECT_EQ(ErrorReason(LastAppend().status), "BAD_REQUEST");
}

TEST_F(NewInputsTest, ARestartedMasterKnowsTheKeysAndWhichInputsAreTasks) {
  JobImage stored;
  stored.job.view.job = JobId(7);
  stored.job.options = Accepting(6);
  stored.state = JobState::kActive;
  auto positions = std::make_shared<Positions>();
  for (const uint32_t at : {0, 2}) positions->Add(at);
  stored.chunks.push_back({{0, 1}, {Epoch(1), 3}, 1, nullptr});
  stored.chunks.push_back({{1, 2}, {Epoch(1), 4}, 3, positions});
  stored.keys = {Key(1), Key(2), Key(4)};
  stored.duplicate_inputs = 5;
  stored.dropped_inputs = 6;
  stored.results.push_back({{0, 1, 0}, TaskState::kSucceeded});
  stored.last_seq = 1;
  Harness h(Restarted(std::move(stored)));
  h.Join(1, 4);
  ASSERT_EQ(h.loads.size(), 1u);
  h.Step(InputsLoaded{JobId(7), 1, Inputs({2, 1, 4})});
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  EXPECT_EQ(Given(spans), (Ids{2, 4}));
  h.adding = Adding({1, 4, 5});
  h.Finish(1, spans[0]);
  EXPECT_EQ(Given(h.TakeAssigned(1)), Ids{5});
  const TaskCounts counts = h.scheduler_.FindJob(JobId(7))->counts;
  EXPECT_EQ(counts.duplicate_inputs, 7u);
  EXPECT_EQ(counts.dropped_inputs, 6u);
  EXPECT_EQ(h.scheduler_.totals().known_keys, 4u);
}

}  // namespace
}  // namespace reeve
