// Both stores keep the same promises; SQLite keeps them across a restart.

#include "master/store/store.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "base/input_batch.h"
#include "base/state_folder.h"
#include "gtest/gtest.h"
#include "master/store/disk_room.h"
#include "master/store/memory_store.h"
#include "master/store/row_codec.h"
#include "master/store/sqlite_store.h"
#include "master/store/store_thread.h"

namespace reeve {
namespace {

std::string FreshFolder() {
  static int count = 0;
  const std::string folder =
      testing::TempDir() + "/store." + std::to_string(getpid()) + "." + std::to_string(++count);
  mkdir(folder.c_str(), 0700);
  return folder;
}

InputsRef Inputs(const std::vector<std::string>& inputs) {
  InputBatchBuilder builder;
  for (const std::string& input : inputs) builder.Add(input);
  return *InputBatch::Parse(Buffer(builder.Finish()));
}

PutJob Job(uint64_t id, StoreKind store = StoreKind::kDurable) {
  PutJob put;
  put.view.job = JobId(id);
  put.view.state = JobState::kActive;
  put.view.record = Buffer("record " + std::to_string(id));
  put.view.create_time = absl::FromUnixSeconds(4'000'000'000) + absl::Seconds(id);
  put.view.ephemeral = store == StoreKind::kMemory;
  put.options.handler = "echo";
  put.options.max_attempts = 7;
  put.options.max_in_flight = 5;
  put.options.priority = 8;
  put.request_id = "request " + std::to_string(id);
  put.content_hash = ~0ull - id;
  return put;
}

WriteBatch Batch(uint64_t number, std::vector<Write> writes) {
  WriteBatch batch;
  batch.number = number;
  batch.writes = std::move(writes);
  return batch;
}

PutResults Results(uint64_t job, uint64_t seq, std::vector<ResultRun> runs,
                   const std::string& body) {
  PutResults put;
  put.job = JobId(job);
  put.seq = seq;
  put.runs = std::move(runs);
  put.body = Buffer(body);
  return put;
}

// An input with a key for each id; the ids at `chosen` are tasks from `first` on.
PutInputs Keyed(uint64_t job, TaskIndex first, const std::vector<uint64_t>& ids,
                const std::vector<uint32_t>& chosen) {
  InputBatchBuilder builder;
  for (const uint64_t id : ids) builder.Add("input " + std::to_string(id), InputKey{{id, 9}});
  PutInputs put;
  put.job = JobId(job);
  put.run = {first, static_cast<uint32_t>(chosen.size())};
  put.birth = {Epoch(1), first + 1};
  put.inputs = *InputBatch::Parse(Buffer(builder.Finish()));
  auto positions = std::make_shared<Positions>();
  for (const uint32_t at : chosen) {
    positions->Add(at);
    put.keys.push_back({{ids[at], 9}});
  }
  if (chosen.size() < ids.size()) put.positions = positions;
  return put;
}

PutJob AcceptingJob(uint64_t id, StoreKind store = StoreKind::kDurable) {
  PutJob put = Job(id, store);
  put.options.accepts_inputs = true;
  put.options.max_tasks = 77;
  return put;
}

class StoreTest : public testing::TestWithParam<StoreKind> {
 protected:
  std::unique_ptr<Store> Open() {
    if (GetParam() == StoreKind::kMemory) return NewMemoryStore({});
    return *OpenSqliteStore({.path = FreshFolder() + "/reeve.db", .create = true});
  }
};

TEST_P(StoreTest, WhatWasCommittedIsReadBackWhole) {
  const auto store = Open();
  ASSERT_TRUE(store->Load().ok());
  PutJobState ended{
      JobId(1), JobState::kFailed, {}, absl::FromUnixSeconds(4'000'000'100), {{8, 2}}};
  ended.counts.total = 10;
  ended.counts.failed = 1;
  const InputsRef inputs = Inputs({"a", "", "ccc"});
  ASSERT_TRUE(
      store
          ->Commit({Batch(1, {Job(1, GetParam()),
                              PutInputs{JobId(1), {0, 3}, {Epoch(1), 1}, inputs, 4, "me", 3}})})
          .ok());
  auto reader = *store->NewReader();
  const auto read = reader->ReadInputs(JobId(1), 0);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->view(), inputs->wire().view());
  EXPECT_TRUE(absl::IsNotFound(reader->ReadInputs(JobId(1), 1).status()));
  EXPECT_EQ(*reader->ReadAppender(JobId(1), "me"), 3u);
  EXPECT_TRUE(absl::IsNotFound(reader->ReadAppender(JobId(1), "you").status()));
  EXPECT_TRUE(absl::IsNotFound(reader->ReadAppender(JobId(2), "me").status()));
  ASSERT_TRUE(store->Commit({Batch(5, {PutAppender{JobId(1), "me", 4}})}).ok());
  EXPECT_EQ(*reader->ReadAppender(JobId(1), "me"), 4u);

  ASSERT_TRUE(
      store
          ->Commit({Batch(2, {Results(1, 1, {{{0, 2, 0}, TaskState::kSucceeded}}, "first")}),
                    Batch(3, {Results(1, 2,
                                      {{{5, 1, 3}, TaskState::kFailed},
                                       {{9, 1, 4}, TaskState::kSucceeded}},
                                      "second"),
                              ended})})
          .ok());
  const auto job = reader->ReadJob(JobId(1));
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->view.state, JobState::kFailed);
  EXPECT_EQ(job->view.counts, ended.counts);
  EXPECT_EQ(job->view.record.view(), "record 1");
  EXPECT_EQ(job->view.end_time, ended.end_time);
  EXPECT_EQ(job->options.max_attempts, 7u);
  EXPECT_EQ(job->options.priority, 8);
  EXPECT_EQ(job->last_seq, 2u);
  EXPECT_EQ(job->cancelled, (std::vector<reeve::Run>{{8, 2}}));
  EXPECT_TRUE(absl::IsNotFound(reader->ReadJob(JobId(2)).status()));

  const auto all = reader->ReadResults(JobId(1), 0, 1 << 20);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].body.view(), "first");
  EXPECT_EQ((*all)[1].runs, (std::vector<ResultRun>{{{5, 1, 3}, TaskState::kFailed},
                                                    {{9, 1, 4}, TaskState::kSucceeded}}));
  EXPECT_EQ(reader->ReadResults(JobId(1), 1, 1 << 20)->size(), 1u);
  EXPECT_EQ(reader->ReadResults(JobId(1), 0, 1)->size(), 1u)
      << "at least one row, however small the share";
  EXPECT_TRUE(reader->ReadResultRuns(JobId(1), 0, 10)->at(1).body.empty());
  EXPECT_EQ(reader->ReadResult(JobId(1), 2)->body.view(), "second");
  EXPECT_TRUE(absl::IsNotFound(reader->ReadResult(JobId(1), 3).status()));
}

TEST_P(StoreTest, JobsAreListedNewestFirstAndByState) {
  const auto store = Open();
  ASSERT_TRUE(store->Load().ok());
  ASSERT_TRUE(
      store
          ->Commit({Batch(
              1,
              {Job(1), Job(2), Job(3),
               PutJobState{
                   JobId(2), JobState::kSucceeded, {}, absl::FromUnixSeconds(4'000'000'100), {}}})})
          .ok());
  auto reader = *store->NewReader();
  const auto ids = [](const absl::StatusOr<std::vector<StoredJob>>& jobs) {
    std::vector<uint64_t> ids;
    for (const StoredJob& job : *jobs) ids.push_back(job.view.job.value);
    return ids;
  };
  EXPECT_EQ(ids(reader->ListJobs({}, {}, 10)), (std::vector<uint64_t>{3, 2, 1}));
  EXPECT_EQ(ids(reader->ListJobs(JobId(3), {}, 1)), (std::vector<uint64_t>{2}));
  EXPECT_EQ(ids(reader->ListJobs({}, {JobState::kSucceeded}, 10)), (std::vector<uint64_t>{2}));
}

TEST_P(StoreTest, OutputOfTasksIsKeptInOrder) {
  const auto store = Open();
  ASSERT_TRUE(store->Load().ok());
  ASSERT_TRUE(store->Commit({Batch(1, {Job(1)})}).ok());
  StoredLog log;
  log.index = 4;
  log.attempt = 1;
  log.stream = 2;
  log.content = Buffer(std::string("abc"));
  StoredLog other = log;
  other.index = 5;
  ASSERT_TRUE(store->CommitLogs(JobId(1), {log, other}).ok());
  auto reader = *store->NewReader();
  const auto logs = reader->ReadLogs(JobId(1), std::nullopt, 0, 1 << 20);
  ASSERT_EQ(logs->size(), 2u);
  EXPECT_EQ(logs->at(0).content.view(), "abc");
  EXPECT_EQ(logs->at(0).stream, 2u);
  EXPECT_EQ(reader->ReadLogs(JobId(1), TaskIndex{5}, 0, 1 << 20)->size(), 1u);
  EXPECT_TRUE(reader->ReadLogs(JobId(1), std::nullopt, logs->at(1).row, 1 << 20)->empty());
}

INSTANTIATE_TEST_SUITE_P(Both, StoreTest, testing::Values(StoreKind::kDurable, StoreKind::kMemory),
                         [](const auto& info) {
                           return info.param == StoreKind::kDurable ? "Sqlite" : "Memory";
                         });

TEST(SqliteStoreTest, ARestartFindsEverythingThatWasCommitted) {
  const SqliteStoreOptions options{.path = FreshFolder() + "/reeve.db", .create = true};
  RetryOutcome retry{{2, 1}, Reason::kExitNonzero, 1, 0, 0, absl::FromUnixMillis(4'000'000'000'123),
                     {},     0x1234567890ull};
  {
    const auto store = *OpenSqliteStore(options);
    ASSERT_EQ(store->Load()->epoch, Epoch(1));
    PutResults results = Results(1, 1, {{{0, 2, 0}, TaskState::kSucceeded}}, "body");
    results.retries = {retry};
    ASSERT_TRUE(
        store
            ->Commit(
                {Batch(1,
                       {ReserveJobIds{JobId(1001)}, Job(1),
                        PutInputs{
                            JobId(1), {0, 3}, {Epoch(1), 9}, Inputs({"a", "b", "c"}), 3, "me", 3},
                        PutFrontier{JobId(1), 3}, PutRoster{"w", WorkerNumber(4)},
                        PutRoster{"gone", WorkerNumber(5)}}),
                 Batch(2, {results, DropRoster{"gone"}, Job(2),
                           PutJobState{JobId(2),
                                       JobState::kSucceeded,
                                       {},
                                       absl::FromUnixSeconds(4'000'000'100),
                                       {}}})})
            .ok());
  }
  const auto store = *OpenSqliteStore(options);
  const auto image = store->Load();
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image->epoch, Epoch(2));
  EXPECT_EQ(image->next_job, JobId(1001));
  ASSERT_EQ(image->jobs.size(), 1u) << "an ended job is not read";
  const JobImage& job = image->jobs[0];
  EXPECT_EQ(job.job.options.max_in_flight, 5u);
  EXPECT_EQ(job.job.view.record.view(), "record 1");
  EXPECT_EQ(job.frontier, 3u);
  ASSERT_EQ(job.chunks.size(), 1u);
  EXPECT_EQ(job.chunks[0].birth, (Birth{Epoch(1), 9}));
  EXPECT_EQ(job.chunks[0].bytes, 3u);
  EXPECT_EQ(job.appenders.at("me"), 3u);
  EXPECT_EQ(job.results, (std::vector<ResultRun>{{{0, 2, 0}, TaskState::kSucceeded}}));
  ASSERT_EQ(job.retries.size(), 1u);
  EXPECT_EQ(job.retries[0].due, retry.due);
  EXPECT_EQ(job.retries[0].death, retry.death);
  EXPECT_EQ(job.last_seq, 1u);
  ASSERT_EQ(image->roster.size(), 1u);
  EXPECT_EQ(image->roster[0].number, WorkerNumber(4));
  ASSERT_EQ(image->requests.size(), 2u);
  for (const RequestImage& request : image->requests) {
    EXPECT_EQ(request.content_hash, ~0ull - request.job.value);
    EXPECT_EQ(request.request_id, "request " + std::to_string(request.job.value));
  }
}

TEST(SqliteStoreTest, OfWhatAttemptsLeftTheLastOfEachUnfinishedTaskIsReadAgain) {
  const SqliteStoreOptions options{.path = FreshFolder() + "/reeve.db", .create = true};
  const auto failed = [](TaskIndex index, const std::string& details) {
    RetryOutcome retry;
    retry.run = {index, 1};
    retry.reason = Reason::kHandlerError;
    retry.due = absl::UnixEpoch();
    retry.details = details;
    return retry;
  };
  const std::string longest(kMaxDetailsBytes, '\0');
  {
    const auto store = *OpenSqliteStore(options);
    ASSERT_TRUE(store->Load().ok());
    PutResults first = Results(1, 1, {}, ""), second = Results(1, 2, {}, "");
    first.retries = {failed(0, "old"), failed(1, ""), failed(2, longest), failed(3, "done"),
                     failed(4, "taken back")};
    second.runs = {{{3, 1, 0}, TaskState::kSucceeded}};
    second.retries = {failed(0, "new"), failed(4, "")};
    ASSERT_TRUE(store
                    ->Commit({Batch(1, {Job(1), PutInputs{JobId(1), {0, 9}, {Epoch(1), 1}}, first}),
                              Batch(2, {second})})
                    .ok());
  }
  const auto image = (*OpenSqliteStore(options))->Load();
  ASSERT_TRUE(image.ok()) << image.status();
  std::vector<std::pair<TaskIndex, std::string>> read;
  for (const RetryOutcome& retry : image->jobs.at(0).retries)
    read.emplace_back(retry.run.first, retry.details);
  EXPECT_EQ(read, (std::vector<std::pair<TaskIndex, std::string>>{
                      {0, ""}, {1, ""}, {2, longest}, {3, ""}, {4, ""}, {0, "new"}, {4, ""}}));
}

TEST(SqliteStoreTest, AMissingStoreIsNotReplacedByAnEmptyOne) {
  EXPECT_TRUE(absl::IsNotFound(OpenSqliteStore({.path = FreshFolder() + "/reeve.db"}).status()));
}

TEST(SqliteStoreTest, AStrangersFileAndANewerSchemaAreRefused) {
  const std::string text = FreshFolder() + "/reeve.db";
  std::ofstream(text) << std::string(5000, 'x');
  EXPECT_TRUE(absl::IsDataLoss(OpenSqliteStore({.path = text, .create = true}).status()));

  const std::string stranger = FreshFolder() + "/reeve.db";
  ASSERT_EQ(system(("python3 -c \"import sqlite3; sqlite3.connect('" + stranger +
                    "').execute('create table t(x)')\"")
                       .c_str()),
            0);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(OpenSqliteStore({.path = stranger, .create = true}).status()));

  const std::string newer = FreshFolder() + "/reeve.db";
  { ASSERT_TRUE(OpenSqliteStore({.path = newer, .create = true}).ok()); }
  ASSERT_EQ(system(("python3 -c \"import sqlite3; sqlite3.connect('" + newer +
                    "').execute('pragma user_version=99')\"")
                       .c_str()),
            0);
  const auto refused = OpenSqliteStore({.path = newer});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_NE(refused.status().ToString().find("newer"), std::string::npos);
}

TEST_P(StoreTest, NewInputsLieInTheStoreAsTheyWereSentWhicheverOfThemAreTasks) {
  const auto store = Open();
  ASSERT_TRUE(store->Load().ok());
  const PutInputs some = Keyed(1, 1, {1, 5, 6}, {1, 2});
  PutJobState counted{JobId(1), JobState::kActive, {}, absl::InfiniteFuture(), {}};
  counted.counts.duplicate_inputs = 3;
  counted.counts.dropped_inputs = 4;
  counted.counts.counters = {{"a", 7}, {"b", INT64_MIN}};
  ASSERT_TRUE(
      store
          ->Commit({Batch(1, {AcceptingJob(1, GetParam()), Keyed(1, 0, {1}, {0})}),
                    Batch(2, {counted, some,
                              Results(1, 1, {{{0, 1, 0}, TaskState::kSucceeded}}, "first")})})
          .ok());
  const auto reader = *store->NewReader();
  EXPECT_EQ(reader->ReadInputs(JobId(1), 1)->view(), some.inputs->wire().view());
  const auto job = reader->ReadJob(JobId(1));
  ASSERT_TRUE(job.ok());
  EXPECT_TRUE(job->options.accepts_inputs);
  EXPECT_EQ(job->options.max_tasks, 77u);
  EXPECT_EQ(job->view.counts, counted.counts);
  EXPECT_EQ(reader->ReadResults(JobId(1), 0, 1 << 20)->size(), 1u);
}

TEST(SqliteStoreTest, KeysAndTasksAmongNewInputsAreThereAfterARestart) {
  const std::string path = FreshFolder() + "/reeve.db";
  {
    const auto store = *OpenSqliteStore({.path = path, .create = true});
    ASSERT_TRUE(store->Load().ok());
    PutJobState counted{JobId(1), JobState::kActive, {}, absl::InfiniteFuture(), {}};
    counted.counts.duplicate_inputs = 3;
    PutInputs more = Keyed(1, 1, {1, 5, 1, 6}, {1, 3});
    more.task_keys = {5, ~uint64_t{0}};
    ASSERT_TRUE(store
                    ->Commit({Batch(1, {Job(2), AcceptingJob(1), Keyed(1, 0, {1}, {0}), more,
                                        counted, PutAppender{JobId(1), "me", 12}})})
                    .ok());
  }
  const auto image = (*OpenSqliteStore({.path = path}))->Load();
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_EQ(image->jobs.size(), 2u);
  const JobImage& job = image->jobs[0];
  EXPECT_TRUE(job.job.options.accepts_inputs);
  EXPECT_EQ(job.job.options.max_tasks, 77u);
  EXPECT_EQ(job.keys, (std::vector<InputKey>{{{1, 9}}, {{5, 9}}, {{6, 9}}}));
  EXPECT_EQ(job.duplicate_inputs, 3u);
  EXPECT_EQ(job.appenders.at("me"), 12u);
  ASSERT_EQ(job.chunks.size(), 2u);
  EXPECT_EQ(job.chunks[0].positions, nullptr);
  ASSERT_NE(job.chunks[1].positions, nullptr);
  EXPECT_EQ(job.chunks[1].positions->Runs(), (std::vector<reeve::Run>{{1, 1}, {3, 1}}));
  EXPECT_TRUE(job.chunks[0].task_keys.empty());
  EXPECT_EQ(job.chunks[1].task_keys, (std::vector<uint64_t>{5, ~uint64_t{0}}));
  EXPECT_FALSE(image->jobs[1].job.options.accepts_inputs);
  EXPECT_TRUE(image->jobs[1].keys.empty());
}

TEST(SqliteStoreTest, DamagedKeysAreTold) {
  const std::string path = FreshFolder() + "/reeve.db";
  {
    const auto store = *OpenSqliteStore({.path = path, .create = true});
    ASSERT_TRUE(store->Load().ok());
    ASSERT_TRUE(store->Commit({Batch(1, {AcceptingJob(1), Keyed(1, 0, {1, 1}, {0})})}).ok());
  }
  ASSERT_EQ(system(("python3 -c \"import sqlite3; c = sqlite3.connect('" + path +
                    "'); c.execute('update keyed_inputs set positions = null'); c.commit()\"")
                       .c_str()),
            0);
  EXPECT_TRUE(absl::IsDataLoss((*OpenSqliteStore({.path = path}))->Load().status()));
}

TEST(SqliteStoreTest, AStoreOfTheVersionBeforeIsBroughtUpToDate) {
  const std::string path = FreshFolder() + "/reeve.db";
  {
    const auto store = *OpenSqliteStore({.path = path, .create = true});
    ASSERT_TRUE(store->Load().ok());
    ASSERT_TRUE(store->Commit({Batch(1, {Job(1)})}).ok());
  }
  ASSERT_EQ(
      system(("python3 -c \"import sqlite3; c = sqlite3.connect('" + path +
              "'); [c.execute('alter table jobs drop column ' + name) for name in "
              "('exclusive', 'accepts_inputs', 'max_tasks', 'more')]; [c.execute('drop table ' + "
              "name) for name in ('keyed_inputs', 'shared_inputs', 'needs', 'queues', "
              "'schedules', 'schedule_progress', 'drained')]; c.execute('alter table "
              "job_state drop column bytes'); c.execute('pragma user_version=1'); c.commit()\"")
                 .c_str()),
      0);
  for (int opening = 1; opening <= 2; ++opening) {
    const auto store = OpenSqliteStore({.path = path});
    ASSERT_TRUE(store.ok()) << store.status();
    const auto image = (*store)->Load();
    ASSERT_EQ(image->jobs.size(), static_cast<size_t>(opening));
    EXPECT_FALSE(image->jobs[0].job.options.exclusive);
    EXPECT_FALSE(image->jobs[0].job.options.accepts_inputs);
    PutJob job = Job(static_cast<uint64_t>(opening) + 1);
    job.options.exclusive = true;
    ASSERT_TRUE((*store)->Commit({Batch(1, {job})}).ok());
  }
  const auto image = (*OpenSqliteStore({.path = path}))->Load();
  ASSERT_EQ(image->jobs.size(), 3u);
  EXPECT_TRUE(image->jobs[2].job.options.exclusive);
}

TEST(SqliteStoreTest, ADamagedChunkIsToldAndNotHandedOut) {
  const std::string path = FreshFolder() + "/reeve.db";
  {
    const auto store = *OpenSqliteStore({.path = path, .create = true});
    ASSERT_TRUE(store->Load().ok());
    ASSERT_TRUE(
        store
            ->Commit({Batch(
                1, {Job(1), Results(1, 1, {{{0, 1, 0}, TaskState::kSucceeded}}, "precious"),
                    PutInputs{JobId(1), {0, 1}, {Epoch(1), 1}, Inputs({"precious"}), 8, "", 0}})})
            .ok());
  }
  ASSERT_EQ(system(("python3 -c \"import sqlite3; c = sqlite3.connect('" + path +
                    "'); c.execute(\\\"update results set bytes = x'00'\\\"); c.execute(\\\"update "
                    "inputs set bytes = x'00'\\\"); c.commit()\"")
                       .c_str()),
            0);
  const auto store = *OpenSqliteStore({.path = path});
  auto reader = *store->NewReader();
  EXPECT_TRUE(absl::IsDataLoss(reader->ReadResults(JobId(1), 0, 100).status()));
  EXPECT_TRUE(absl::IsDataLoss(reader->ReadInputs(JobId(1), 0).status()));
}

TEST(StateFolderTest, OneProcessAtATimeAndSecretsForTheOwnerAlone) {
  const std::string path = FreshFolder() + "/state";
  EXPECT_TRUE(absl::IsNotFound(StateFolder::Open(path, false).status()));
  auto folder = StateFolder::Open(path, true);
  ASSERT_TRUE(folder.ok());
  const auto second = StateFolder::Open(path, true);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_NE(second.status().ToString().find(std::to_string(getpid())), std::string::npos);
  EXPECT_EQ(*(*folder)->ReadOrMake("token", "secret"), "secret");
  EXPECT_EQ(*(*folder)->ReadOrMake("token", "other"), "secret");
  struct stat info;
  ASSERT_EQ(stat((path + "/token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

// A store that notes what it is asked.
class FakeStore final : public Store {
 public:
  absl::StatusOr<Image> Load() override { return Image(); }
  absl::Status Commit(absl::Span<const WriteBatch> batches) override {
    sizes.push_back(batches.size());
    for (const WriteBatch& batch : batches) numbers.push_back(batch.number);
    if (full > 0 && full-- > 0) return absl::ResourceExhaustedError("the disk is full");
    return result;
  }
  absl::Status CommitLogs(JobId, absl::Span<const StoredLog>) override { return logs_result; }
  absl::StatusOr<bool> Forget() override { return ++forgot < 3; }
  absl::Status Idle() override { return idle_result; }
  absl::StatusOr<std::unique_ptr<StoreReader>> NewReader() override {
    return absl::UnimplementedError("");
  }
  std::vector<size_t> sizes;
  std::vector<uint64_t> numbers;
  absl::Status result, logs_result, idle_result;
  int full = 0;    // So many commits find no room.
  int forgot = 0;  // Steps of it; there is more after two.
};

TEST(StoreThreadTest, QueuedBatchesShareTransactionsOfBoundedSizeInOrder) {
  FakeStore store;
  uint64_t committed = 0;
  StoreThread thread(&store, nullptr, [&](uint64_t number) { committed = number; });
  for (uint64_t i = 1; i <= 20; ++i) {
    WriteBatch batch = Batch(i, {});
    batch.bytes = 1 << 20;
    thread.Submit(std::move(batch));
  }
  EXPECT_EQ(thread.waiting_bytes(), 20u << 20);
  thread.Start();
  thread.Stop();
  EXPECT_EQ(committed, 20u);
  EXPECT_EQ(store.sizes, (std::vector<size_t>{8, 8, 4}));
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(store.numbers[i], i + 1);
  EXPECT_EQ(thread.waiting_bytes(), 0u);
}

TEST(StoreThreadTest, LogsThatFailButForWantOfRoomAreReportedAndNothingAfterThemIsCommitted) {
  for (const absl::Status& status :
       {absl::ResourceExhaustedError("full"), absl::InternalError("disk")}) {
    FakeStore store;
    store.logs_result = status;
    absl::Status failure;
    StoreThread thread(
        &store, nullptr, [](uint64_t) {}, [&](const absl::Status& told) { failure = told; });
    thread.SubmitLogs(JobId(1), {StoredLog{}});
    thread.Submit(Batch(1, {}));
    thread.Start();
    thread.Stop();
    const bool full = absl::IsResourceExhausted(status);
    EXPECT_EQ(failure, full ? absl::OkStatus() : status);
    EXPECT_EQ(store.numbers.size(), full ? 1u : 0u);
  }
}

TEST(StoreThreadTest, AFailureInIdleTimeIsReported) {
  FakeStore store;
  store.idle_result = absl::InternalError("disk");
  std::promise<absl::Status> failure;
  StoreThread thread(
      &store, nullptr, [](uint64_t) {}, [&](const absl::Status& told) { failure.set_value(told); });
  thread.Start();
  EXPECT_EQ(failure.get_future().get(), store.idle_result);
  thread.Stop();
  EXPECT_EQ(store.forgot, 3) << "as long as there is more to forget";
}

TEST(StoreThreadTest, AFailedCommitIsReportedAndNothingAfterItIsCommitted) {
  FakeStore store;
  store.result = absl::InternalError("disk");
  uint64_t committed = 0;
  absl::Status failure;
  StoreThread thread(
      &store, nullptr, [&](uint64_t number) { committed = number; },
      [&](const absl::Status& s) { failure = s; });
  WriteBatch large = Batch(1, {});
  large.bytes = 9 << 20;
  thread.Submit(std::move(large));
  thread.Submit(Batch(2, {}));
  thread.Start();
  thread.Stop();
  EXPECT_EQ(failure, store.result);
  EXPECT_EQ(committed, 0u);
  EXPECT_EQ(store.numbers, (std::vector<uint64_t>{1}));
}

TEST(DiskRoomTest, WhatWaitsToBeWrittenCountsAsWritten) {
  const DiskRoom room(testing::TempDir());
  struct statvfs disk;
  ASSERT_EQ(statvfs(testing::TempDir().c_str(), &disk), 0);
  EXPECT_TRUE(room.is_low(uint64_t{disk.f_blocks} * disk.f_frsize));
}

TEST(StoreThreadTest, AFullDiskTakesTheReserveAndThenWaitsForRoomWithoutLosingTheCommit) {
  FakeStore store;
  store.full = 3;
  DiskRoom room(testing::TempDir());
  room.KeepReserve();
  std::promise<uint64_t> committed;
  StoreThread thread(&store, &room, [&](uint64_t number) { committed.set_value(number); });
  thread.Submit(Batch(1, {}));
  thread.Start();
  EXPECT_EQ(committed.get_future().get(), 1u);
  EXPECT_FALSE(room.GiveUpReserve());
  thread.Stop();
  EXPECT_EQ(store.numbers, (std::vector<uint64_t>{1, 1, 1, 1}));
}

}  // namespace
}  // namespace reeve
