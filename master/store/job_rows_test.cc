// What few jobs ask for, what they have in common, and which ended ones are kept.

#include <sys/stat.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "base/input_batch.h"
#include "gtest/gtest.h"
#include "master/store/memory_store.h"
#include "master/store/sqlite.h"
#include "master/store/sqlite_store.h"
#include "master/store/store.h"

namespace reeve {
namespace {

using Runs = std::vector<reeve::Run>;

std::string FreshPath() {
  static int count = 0;
  const std::string folder =
      testing::TempDir() + "/rows." + std::to_string(getpid()) + "." + std::to_string(++count);
  mkdir(folder.c_str(), 0700);
  return folder + "/reeve.db";
}

InputsRef Inputs(const std::vector<std::string>& inputs) {
  InputBatchBuilder builder;
  for (const std::string& input : inputs) builder.Add(input);
  return *InputBatch::Parse(Buffer(builder.Finish()));
}

PutJob Job(uint64_t id) {
  PutJob put;
  put.view.job = JobId(id);
  put.view.state = JobState::kActive;
  put.view.record = Buffer("record " + std::to_string(id));
  put.view.create_time = absl::FromUnixSeconds(4'000'000'000);
  put.options.handler = "echo";
  put.request_id = "request " + std::to_string(id);
  return put;
}

PutJob JobAfter(uint64_t id, std::vector<uint64_t> others) {
  PutJob put = Job(id);
  auto extras = std::make_shared<JobExtras>();
  for (const uint64_t other : others) extras->after.push_back({.job = JobId(other)});
  put.options.extras = extras;
  return put;
}

PutJob RetryOf(uint64_t id, uint64_t other, Runs selected) {
  PutJob put = Job(id);
  auto extras = std::make_shared<JobExtras>();
  extras->retry_of = JobId(other);
  put.options.extras = extras;
  put.selected = std::move(selected);
  return put;
}

PutJobState Ended(uint64_t id, JobState state = JobState::kSucceeded,
                  absl::Time end = absl::Now()) {
  return {JobId(id), state, {}, end, {}};
}

PutInputs Chunk(uint64_t job, TaskIndex first, InputsRef inputs) {
  PutInputs put;
  put.job = JobId(job);
  put.run = {first, inputs->count()};
  put.birth = {Epoch(1), first + 1};
  put.bytes = inputs->payload_bytes();
  put.inputs = std::move(inputs);
  return put;
}

PutInputs Shared(uint64_t job, reeve::Run run, uint64_t source) {
  PutInputs put;
  put.job = JobId(job);
  put.run = run;
  put.birth = {Epoch(2), run.first + 7};
  put.bytes = 3;
  put.source = JobId(source);
  return put;
}

PutResults Result(uint64_t job, const std::string& body) {
  PutResults put;
  put.job = JobId(job);
  put.seq = 1;
  put.runs = {{{0, 1, 0}, TaskState::kSucceeded}};
  put.body = Buffer(body);
  return put;
}

JobExtras AllExtras() {
  JobExtras extras;
  extras.retry = {absl::Milliseconds(20), absl::Hours(3), {1, 75}, {Reason::kTimeout}};
  extras.start_time = absl::FromUnixSeconds(4'000'000'001);
  extras.expire_time = absl::FromUnixMicros(4'000'000'009'000'001);
  extras.unique_key = "nightly";
  extras.unique_policy = UniquePolicy::kReplace;
  extras.keyed = true;
  extras.key_max_in_flight = 2;
  extras.key_rate = {5, absl::Minutes(1), 3};
  extras.resources = {{"gpu", 500}, {"memory", int64_t{1} << 40}};
  extras.selector = {{"zone", "b", LabelTerm::Kind::kDiffers},
                     {"ssd", "", LabelTerm::Kind::kExists}};
  extras.pack = true;
  extras.after = {{JobId(7), JobDependency::Condition::kEnd, true, "seven"}};
  extras.skip_if_unmet = true;
  extras.stop = {3, 40, true, true};
  extras.close_when_idle = absl::Seconds(90);
  extras.retry_of = JobId(5);
  return extras;
}

class JobRowsTest : public testing::TestWithParam<StoreKind> {
 protected:
  JobRowsTest() {
    store_ = GetParam() == StoreKind::kMemory
                 ? NewMemoryStore({})
                 : *OpenSqliteStore({.path = FreshPath(), .create = true});
    EXPECT_TRUE(store_->Load().ok());
    reader_ = *store_->NewReader();
  }
  void Commit(std::vector<Write> writes) {
    WriteBatch batch;
    batch.number = ++commits_;
    batch.writes = std::move(writes);
    ASSERT_TRUE(store_->Commit({&batch, 1}).ok());
  }
  std::unique_ptr<Store> store_;
  std::unique_ptr<StoreReader> reader_;
  uint64_t commits_ = 0;
};

TEST_P(JobRowsTest, AJobIsReadBackAsItWasAskedForAndAsItIsNow) {
  PutJob put = Job(9);
  put.view.paused = true;
  put.options.queue = "bulk";
  put.options.priority = 7;
  put.options.extras = std::make_shared<JobExtras>(AllExtras());
  put.selected = {{3, 2}, {9, 1}};
  Commit({put});
  auto job = reader_->ReadJob(JobId(9));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_TRUE(job->view.paused);
  EXPECT_EQ(job->view.cause, Cause::kNone);
  EXPECT_EQ(job->view.priority, 7);
  EXPECT_EQ(job->options.queue, "bulk");
  EXPECT_EQ(*job->options.extras, AllExtras());
  EXPECT_EQ(job->selected, (Runs{{3, 2}, {9, 1}}));

  PutJobState ended = Ended(9, JobState::kExpired);
  ended.counts.blocked = 1;
  ended.counts.expired = 2;
  ended.counts.counters = {{"pages", 4}};
  ended.ending = {JobState::kExpired, Cause::kDeadline, true};
  Commit({PutJobOptions{JobId(9), 2, 11}, ended});
  job = reader_->ReadJob(JobId(9));
  EXPECT_EQ(job->view.state, JobState::kExpired);
  EXPECT_EQ(job->view.counts, ended.counts);
  EXPECT_FALSE(job->view.paused);
  EXPECT_EQ(job->view.cause, Cause::kDeadline);
  EXPECT_EQ(job->view.priority, 2);
  EXPECT_EQ(job->view.max_in_flight, 11u);
  EXPECT_EQ(job->options.priority, 2);
}

TEST_P(JobRowsTest, ADroppedJobIsGoneUnlessAnUnfinishedOneDependsOnIt) {
  Commit({Job(1), Ended(1), Result(1, "body"), JobAfter(2, {1})});
  Commit({DropJob{JobId(1)}});
  EXPECT_TRUE(reader_->ReadJob(JobId(1)).ok());
  EXPECT_EQ(reader_->ReadResults(JobId(1), 0, 100)->size(), 1u);
  Commit({Ended(2), DropJob{JobId(1)}});
  EXPECT_TRUE(absl::IsNotFound(reader_->ReadJob(JobId(1)).status()));
  EXPECT_TRUE(reader_->ReadJob(JobId(2)).ok());
}

INSTANTIATE_TEST_SUITE_P(Both, JobRowsTest,
                         testing::Values(StoreKind::kDurable, StoreKind::kMemory),
                         [](const auto& info) {
                           return info.param == StoreKind::kDurable ? "Sqlite" : "Memory";
                         });

// A SQLite store that can be opened again and looked into.
class SqliteRowsTest : public testing::Test {
 protected:
  void Open(const RetentionOptions& retention = {}) {
    reader_ = nullptr;
    store_ = nullptr;
    auto opened = OpenSqliteStore({.path = path_, .create = true, .retention = retention});
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    auto loaded = store_->Load();
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    image_ = *std::move(loaded);
    reader_ = *store_->NewReader();
  }
  void Commit(std::vector<Write> writes) {
    WriteBatch batch;
    batch.number = ++commits_;
    batch.writes = std::move(writes);
    ASSERT_TRUE(store_->Commit({&batch, 1}).ok());
  }
  void ForgetAll() {
    for (;;) {
      const auto more = store_->Forget();
      ASSERT_TRUE(more.ok()) << more.status();
      if (!*more) return;
    }
  }
  int64_t Count(const std::string& table) {
    return *(*SqliteConnection::Open(path_, true))
                ->QueryInt(("SELECT count(*) FROM " + table).c_str());
  }
  std::vector<uint64_t> Jobs() {
    std::vector<uint64_t> ids;
    const auto jobs = reader_->ListJobs({}, {}, 1000);
    for (const StoredJob& job : *jobs) ids.push_back(job.view.job.value);
    return ids;
  }

  const std::string path_ = FreshPath();
  std::unique_ptr<Store> store_;
  std::unique_ptr<StoreReader> reader_;
  Image image_;
  uint64_t commits_ = 0;
};

TEST_F(SqliteRowsTest, ARestartFindsWhatAJobAskedForAndWhatBecameOfThoseItWaitsFor) {
  Open();
  PutJob asking = JobAfter(3, {1, 2, 99});
  asking.options.queue = "bulk";
  PutJobState failed = Ended(1, JobState::kCancelled);
  failed.ending = {JobState::kCancelled, Cause::kSkipped, false};
  PutJobState halted = {JobId(3), JobState::kActive, {}, absl::InfiniteFuture(), {}};
  halted.paused = true;
  halted.ending = {JobState::kFailed, Cause::kStopRule, true};
  Commit({Job(1), failed, Job(2), asking, halted, PutJobOptions{JobId(3), 9, 4}});
  Open();
  ASSERT_EQ(image_.jobs.size(), 2u);
  const JobImage& plain = image_.jobs[0];
  EXPECT_EQ(plain.job.options.extras, nullptr);
  EXPECT_FALSE(plain.paused);
  EXPECT_EQ(plain.ending, Ending{});
  const JobImage& job = image_.jobs[1];
  EXPECT_EQ(job.job.options.queue, "bulk");
  EXPECT_EQ(job.job.options.priority, 9);
  EXPECT_EQ(job.job.options.max_in_flight, 4u);
  EXPECT_EQ(*job.job.options.extras, *asking.options.extras);
  EXPECT_TRUE(job.paused);
  EXPECT_EQ(job.ending, halted.ending);
  ASSERT_EQ(job.ended.size(), 1u) << "2 has not ended, 99 is unknown";
  EXPECT_EQ(job.ended[0].job, JobId(1));
  EXPECT_EQ(job.ended[0].state, JobState::kCancelled);
  EXPECT_EQ(job.ended[0].cause, Cause::kSkipped);
}

TEST_F(SqliteRowsTest, KeysOfTasksAreThereAfterARestartAndForARetry) {
  Open();
  PutJob keyed = Job(1);
  keyed.options.extras = std::make_shared<JobExtras>(JobExtras{.keyed = true});
  PutInputs chunk = Chunk(1, 0, Inputs({"a", "b", "c"}));
  chunk.task_keys = {5, ~0ull, 5};
  Commit({keyed, chunk});
  const auto chunks = reader_->ReadChunks(JobId(1));
  ASSERT_TRUE(chunks.ok()) << chunks.status();
  ASSERT_EQ(chunks->size(), 1u);
  EXPECT_EQ(chunks->at(0).task_keys, chunk.task_keys);
  EXPECT_EQ(chunks->at(0).run, chunk.run);
  EXPECT_EQ(chunks->at(0).bytes, 3u);
  Open();
  ASSERT_EQ(image_.jobs.size(), 1u);
  EXPECT_EQ(image_.jobs[0].chunks[0].task_keys, chunk.task_keys);
}

TEST_F(SqliteRowsTest, SharedInputsLiveAsLongAsAnyJobThatHasThem) {
  Open();
  const InputsRef first = Inputs({"a", "b"}), second = Inputs({"c"});
  Commit({Job(1), Chunk(1, 0, first), Chunk(1, 2, second), Ended(1)});
  Commit({RetryOf(2, 1, {{1, 1}}), Shared(2, {0, 2}, 1), Shared(2, {2, 1}, 1), Ended(2)});
  // Of a retry: what it shares is the first one's.
  Commit({RetryOf(3, 2, {{1, 1}}), Shared(3, {0, 2}, 2), Shared(3, {2, 1}, 2)});
  EXPECT_EQ(reader_->ReadInputs(JobId(3), 0)->view(), first->wire().view());
  Commit({DropJob{JobId(1)}});
  EXPECT_EQ(reader_->ReadInputs(JobId(2), 2)->view(), second->wire().view());
  Commit({DropJob{JobId(2)}});
  EXPECT_EQ(reader_->ReadInputs(JobId(3), 0)->view(), first->wire().view());
  Open();
  ASSERT_EQ(image_.jobs.size(), 1u);
  EXPECT_EQ(image_.jobs[0].job.selected, (Runs{{1, 1}}));
  ASSERT_EQ(image_.jobs[0].chunks.size(), 2u);
  EXPECT_EQ(image_.jobs[0].chunks[1].source, JobId(1));
  EXPECT_EQ(image_.jobs[0].chunks[1].birth, (Birth{Epoch(2), 9}));
  EXPECT_EQ(reader_->ReadInputs(JobId(3), 2)->view(), second->wire().view());
  Commit({Ended(3), DropJob{JobId(3)}});
  EXPECT_EQ(Count("inputs"), 0);
  EXPECT_EQ(Count("shared_inputs"), 0);
  EXPECT_EQ(Count("jobs"), 0);
}

TEST_F(SqliteRowsTest, QueuesSchedulesAndDrainedWorkersAreThereAfterARestart) {
  Open();
  QueueSettings queue{"bulk", 3, 8, {50, absl::Seconds(1), 2}, true, 1000, {}};
  PutSchedule nightly{"ann", "nightly", Buffer(std::string("record")), {}, "id", 77};
  nightly.progress.remaining = 4;
  Commit({PutQueue{queue}, PutQueue{{.name = "gone"}}, DropQueue{"gone"}, PutDrained{"w", true},
          PutDrained{"back", true}, PutDrained{"back", false}, nightly,
          PutSchedule{"ann", "gone", Buffer(std::string("x")), {}, "", 0},
          DropSchedule{"ann", "gone"}});
  PutSchedule later = nightly;
  later.record = {};
  later.request_id.clear();
  later.progress.paused = true;
  later.progress.next_time = absl::FromUnixMicros(2'000'000'001);
  later.progress.last_time = absl::FromUnixSeconds(1'900);
  later.progress.last_job = JobId(5);
  later.progress.fired = 6;
  later.progress.skipped = 2;
  later.progress.last_error = "QUEUE_FULL";
  Commit({later});
  Open();
  EXPECT_EQ(image_.drained, (std::vector<std::string>{"w"}));
  EXPECT_EQ(image_.queues, (std::vector<QueueSettings>{queue}));
  ASSERT_EQ(image_.schedules.size(), 1u);
  const ScheduleImage& schedule = image_.schedules[0];
  EXPECT_EQ(schedule.owner, "ann");
  EXPECT_EQ(schedule.name, "nightly");
  EXPECT_EQ(schedule.record.view(), "record");
  EXPECT_EQ(schedule.request_id, "id");
  EXPECT_EQ(schedule.content_hash, 77u);
  EXPECT_EQ(schedule.progress, later.progress);
}

TEST_F(SqliteRowsTest, TheOldestEndedJobsGoWhenThereAreTooMany) {
  Open({.jobs = 2});
  const absl::Time end = absl::Now();
  std::vector<Write> writes;
  // The highest number ended first; 5 is unfinished, and needs 4.
  for (uint64_t id = 1; id <= 4; ++id) {
    writes.push_back(Job(id));
    writes.push_back(Ended(id, JobState::kSucceeded, end - absl::Seconds(id)));
  }
  writes.push_back(JobAfter(5, {4}));
  Commit(std::move(writes));
  ForgetAll();
  EXPECT_EQ(Jobs(), (std::vector<uint64_t>{5, 4, 1}));
  Commit({Ended(5)});
  ForgetAll();
  EXPECT_EQ(Jobs(), (std::vector<uint64_t>{5, 1}));
}

TEST_F(SqliteRowsTest, TheOldestEndedJobsGoWhenTheyHoldTooMuch) {
  const RetentionOptions retention{.bytes = 2'500};
  Open(retention);
  const std::string kilobyte(1000, 'x');
  const absl::Time end = absl::Now();
  StoredLog log;
  log.content = Buffer(kilobyte);
  for (uint64_t id = 1; id <= 3; ++id) {
    Commit({Job(id), id == 1 ? Write(Chunk(1, 0, Inputs({kilobyte}))) : Write(Result(id, kilobyte)),
            Ended(id, JobState::kSucceeded, end + absl::Seconds(id))});
    ForgetAll();
  }
  EXPECT_EQ(Jobs(), (std::vector<uint64_t>{3, 2}));
  Commit({Job(4)});
  ASSERT_TRUE(store_->CommitLogs(JobId(4), {log}).ok());
  ForgetAll();
  EXPECT_EQ(Jobs(), (std::vector<uint64_t>{4, 3, 2})) << "unfinished ones do not count";
  Open(retention);
  Commit({Ended(4, JobState::kFailed, end + absl::Seconds(4))});
  ForgetAll();
  EXPECT_EQ(Jobs(), (std::vector<uint64_t>{4, 3}));
  // What is dropped no longer counts.
  Commit({DropJob{JobId(4)}, Job(5), Result(5, kilobyte),
          Ended(5, JobState::kSucceeded, end + absl::Seconds(5))});
  ForgetAll();
  EXPECT_EQ(Jobs(), (std::vector<uint64_t>{5, 3}));
}

TEST_F(SqliteRowsTest, EndedJobsGoWhenTheyAreOldInStepsOfBoundedSize) {
  Open({.age = absl::Hours(1)});
  std::vector<Write> writes;
  for (uint64_t id = 1; id <= 120; ++id) {
    writes.push_back(Job(id));
    writes.push_back(Ended(id, JobState::kFailed,
                           absl::Now() - (id == 7 ? absl::Minutes(50) : absl::Minutes(70))));
  }
  Commit(std::move(writes));
  for (const size_t left : {70u, 20u, 1u}) {
    const auto more = store_->Forget();
    ASSERT_TRUE(more.ok());
    EXPECT_EQ(*more, left > 1);
    EXPECT_EQ(Jobs().size(), left);
  }
  EXPECT_EQ(Jobs(), (std::vector<uint64_t>{7}));
}

TEST_F(SqliteRowsTest, AStoreOfVersion3IsBroughtUpToDate) {
  Open();
  Commit({Job(1), Job(2), Job(3), Job(4), Ended(4)});
  reader_ = nullptr;
  store_ = nullptr;
  ASSERT_EQ(system(("python3 -c \"import sqlite3; c = sqlite3.connect('" + path_ +
                    "'); [c.execute('drop table ' + name) for name in ('shared_inputs', 'needs', "
                    "'queues', 'schedules', 'schedule_progress', 'drained')]; [c.execute('alter "
                    "table ' + name) for name in ('jobs drop column more', 'job_state drop column "
                    "bytes', 'keyed_inputs drop column task_keys')]; [c.execute('update jobs set "
                    "priority = ? where job = ?', (p, j)) for j, p in ((1, 0), (2, -100), (3, "
                    "50), (4, 100))]; c.execute('pragma user_version=3'); c.commit()\"")
                       .c_str()),
            0);
  for (int opening = 1; opening <= 2; ++opening) {
    Open();
    ASSERT_EQ(image_.jobs.size(), 3u);
    EXPECT_EQ(image_.jobs[0].job.options.priority, kDefaultPriority);
    EXPECT_EQ(image_.jobs[1].job.options.priority, 0);
    EXPECT_EQ(image_.jobs[2].job.options.priority, kHighestPriority);
    EXPECT_EQ(image_.jobs[0].job.options.extras, nullptr);
    EXPECT_EQ(reader_->ReadJob(JobId(4))->view.priority, kHighestPriority);
  }
  Commit({JobAfter(5, {1})});
  Open();
  EXPECT_EQ(image_.jobs.size(), 4u);
}

}  // namespace
}  // namespace reeve
