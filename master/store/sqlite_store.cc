#include "master/store/sqlite_store.h"

#include <sys/stat.h>

#include <map>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/input_batch.h"
#include "base/input_key.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "master/store/chunk_rows.h"
#include "master/store/job_record.h"
#include "master/store/options_codec.h"
#include "master/store/retention.h"
#include "master/store/row_codec.h"
#include "master/store/sqlite.h"
#include "master/store/sqlite_reader.h"
#include "master/store/sqlite_rows.h"

namespace reeve {
namespace {

constexpr int64_t kApplicationId = 0x52454556;  // "REEV"
constexpr int64_t kSchemaVersion = 4;
// From version 1.
constexpr char kAddExclusive[] = "ALTER TABLE jobs ADD COLUMN exclusive INTEGER DEFAULT 0";
// From version 2.
constexpr char kAddKeyedInputs[] = R"sql(
  ALTER TABLE jobs ADD COLUMN accepts_inputs INTEGER DEFAULT 0;
  ALTER TABLE jobs ADD COLUMN max_tasks INTEGER DEFAULT 0;
  CREATE TABLE keyed_inputs(id INTEGER PRIMARY KEY, positions BLOB, crc INTEGER, keys BLOB);
)sql";
// From version 3, when priorities went from -100 to 100 around 0.
constexpr char kAddJobMore[] = R"sql(
  ALTER TABLE jobs ADD COLUMN more BLOB DEFAULT x'';
  ALTER TABLE job_state ADD COLUMN bytes INTEGER;
  ALTER TABLE keyed_inputs ADD COLUMN task_keys BLOB DEFAULT x'';
  UPDATE jobs SET priority = max(0, min(9, priority + 4))
    WHERE job IN (SELECT job FROM job_state WHERE state < 4);
)sql";
constexpr char kTablesOfVersion4[] = R"sql(
  -- Chunks of inputs that lie in the row `source` of inputs; the job of that row may be gone.
  CREATE TABLE shared_inputs(id INTEGER PRIMARY KEY, source INTEGER);
  CREATE INDEX users_of_inputs ON shared_inputs(source);
  -- Jobs that others wait for.
  CREATE TABLE needs(after INTEGER, job INTEGER, PRIMARY KEY(after, job)) WITHOUT ROWID;
  CREATE INDEX needs_of_job ON needs(job);
  CREATE TABLE queues(name BLOB PRIMARY KEY, settings BLOB) WITHOUT ROWID;
  CREATE TABLE schedules(owner BLOB, name BLOB, request_id BLOB, content_hash INTEGER, crc INTEGER,
    record BLOB, PRIMARY KEY(owner, name)) WITHOUT ROWID;
  CREATE TABLE schedule_progress(owner BLOB, name BLOB, progress BLOB, PRIMARY KEY(owner, name))
    WITHOUT ROWID;
  CREATE TABLE drained(worker_id BLOB PRIMARY KEY) WITHOUT ROWID;
)sql";
// Of a new store. Results lie in pages of their own, each of which costs two system calls on its
// way into the log and two more out of it; a commit of a single task touches few pages either way.
constexpr int64_t kPageBytes = 16 << 10;
// Bytes of the log after which a commit also moves it into the database.
constexpr int64_t kCheckpointBytes = 32 << 20;

constexpr char kSchema[] = R"sql(
  CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE jobs(job INTEGER PRIMARY KEY, handler BLOB, max_attempts INTEGER, max_in_flight INTEGER,
    priority INTEGER, at_most_once INTEGER, array_count INTEGER, create_us INTEGER, request_id BLOB,
    content_hash INTEGER, crc INTEGER, record BLOB, exclusive INTEGER, accepts_inputs INTEGER,
    max_tasks INTEGER, more BLOB);
  CREATE TABLE job_state(job INTEGER PRIMARY KEY, state INTEGER, frontier INTEGER, end_us INTEGER,
    counts BLOB, cancelled BLOB, bytes INTEGER);
  CREATE INDEX active ON job_state(job) WHERE state < 4;
  CREATE INDEX ended ON job_state(end_us) WHERE state >= 4;
  CREATE TABLE inputs(id INTEGER PRIMARY KEY, count INTEGER, birth_epoch INTEGER, birth_counter INTEGER,
    size INTEGER, crc INTEGER, bytes BLOB);
  -- Beside inputs of jobs that accept new ones: which of the batch are tasks, and their keys.
  CREATE TABLE keyed_inputs(id INTEGER PRIMARY KEY, positions BLOB, crc INTEGER, keys BLOB,
    task_keys BLOB);
  CREATE TABLE appenders(job INTEGER, name BLOB, next INTEGER, PRIMARY KEY(job, name)) WITHOUT ROWID;
  CREATE TABLE results(id INTEGER PRIMARY KEY, runs BLOB, outcomes BLOB, crc INTEGER, bytes BLOB);
  CREATE TABLE roster(worker_id BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID;
  CREATE TABLE logs(id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER, task INTEGER, attempt INTEGER,
    stream INTEGER, start INTEGER, content BLOB);
  CREATE INDEX logs_of_job ON logs(job, id);
)sql";

// Of the details in a job's history only the last ones of each task count, and none of one that has
// ended: a long history does not lie in memory as a whole.
class LastDetails {
 public:
  explicit LastDetails(JobImage* job) : job_(job) {}

  // After each row.
  void Look() {
    for (; next_retry_ < job_->retries.size(); ++next_retry_) {
      const RetryOutcome& retry = job_->retries[next_retry_];
      Forget(retry.run);
      if (!retry.details.empty()) last_[retry.run.first] = next_retry_;
    }
    for (; next_result_ < job_->results.size(); ++next_result_)
      Forget(job_->results[next_result_].run.run());
  }

 private:
  void Forget(Run run) {
    const auto end = last_.lower_bound(run.end());
    for (auto it = last_.lower_bound(run.first); it != end; it = last_.erase(it))
      job_->retries[it->second].details = std::string();
  }

  JobImage* const job_;
  size_t next_retry_ = 0, next_result_ = 0;
  std::map<TaskIndex, size_t> last_;  // Places in the retries.
};

class SqliteStore final : public Store {
 public:
  SqliteStore(std::unique_ptr<SqliteConnection> db, SqliteStoreOptions options)
      : options_(std::move(options)),
        db_(std::move(db)),
        retention_(db_.get(), options_.retention) {}

  absl::Status Open(bool fresh);
  absl::StatusOr<Image> Load() override;
  absl::Status Commit(absl::Span<const WriteBatch> batches) override;
  absl::Status CommitLogs(JobId job, absl::Span<const StoredLog> logs) override;
  absl::StatusOr<bool> Forget() override;
  absl::Status Idle() override;
  absl::StatusOr<std::unique_ptr<StoreReader>> NewReader() override {
    return OpenSqliteReader(options_.path);
  }

 private:
  // What a job consists of, read for each: prepared once, because parsing costs more than a small
  // job's rows.
  struct JobStatements {
    SqliteStatement chunks, keys, shared, appenders, results, ended;
  };
  absl::Status PrepareAll();
  absl::Status LoadJobs(Image* image);
  absl::Status LoadJob(JobStatements* read, JobImage* job);
  absl::Status LoadChunks(JobStatements* read, JobImage* job);
  absl::Status LoadEnded(SqliteStatement* read, JobImage* job);
  absl::Status LoadResults(SqliteStatement* read, JobImage* job);
  absl::Status LoadQueues(Image* image);
  absl::Status LoadSchedules(Image* image);
  absl::Status LoadWorkers(Image* image);
  absl::Status LoadRequests(Image* image);
  absl::Status PutMeta(const char* key, int64_t value);

  absl::Status Put(const PutJob& put);
  absl::Status Put(const PutJobState& put);
  absl::Status CheckPages();
  absl::Status Migrate(int64_t from);
  absl::Status Settled(const absl::Status& status);
  absl::Status WriteAll(absl::Span<const WriteBatch> batches);
  absl::Status WriteLogs(JobId job, absl::Span<const StoredLog> logs);
  absl::Status Put(const PutInputs& put);
  absl::Status Put(const PutAppender& put);
  absl::Status Put(const PutResults& put);
  absl::Status Put(const PutFrontier& put);
  absl::Status Put(const PutRoster& put);
  absl::Status Put(const DropRoster& put);
  absl::Status Put(const ReserveJobIds& put);
  // Of EPHEMERAL jobs, which live elsewhere.
  absl::Status Put(const DropInputs&) { return absl::OkStatus(); }
  absl::Status Put(const DropResults&) { return absl::OkStatus(); }
  absl::Status Put(const PutJobOptions& put);
  absl::Status Put(const DropJob& put) { return retention_.Forget(put.job); }
  absl::Status Put(const PutDrained& put);
  absl::Status Put(const PutQueue& put);
  absl::Status Put(const DropQueue& put);
  absl::Status Put(const PutSchedule& put);
  absl::Status Put(const DropSchedule& put);
  // Of what happens seldom: a statement made for the occasion.
  template <typename... Values>
  absl::Status Run(const char* sql, Values... values);

  const SqliteStoreOptions options_;
  std::unique_ptr<SqliteConnection> db_;
  Retention retention_;
  SqliteStatement begin_, commit_, meta_, job_, new_state_, state_, inputs_, keyed_inputs_,
      appender_, results_, frontier_, roster_, drop_roster_, log_;
};

absl::Status SqliteStore::CheckPages() {
  auto check = db_->Prepare("PRAGMA quick_check(1)");
  if (!check.ok()) return check.status();
  auto row = check->Step();
  if (!row.ok()) return row.status();
  const std::string_view said = *row ? check->Bytes(0) : std::string_view();
  return said == "ok" ? absl::OkStatus() : absl::DataLossError(StrCat("it is damaged: ", said));
}

absl::Status SqliteStore::Migrate(int64_t from) {
  REEVE_RETURN_IF_ERROR(db_->Execute("BEGIN IMMEDIATE"));
  if (from < 2) REEVE_RETURN_IF_ERROR(db_->Execute(kAddExclusive));
  if (from < 3) REEVE_RETURN_IF_ERROR(db_->Execute(kAddKeyedInputs));
  if (from < 4) REEVE_RETURN_IF_ERROR(db_->Execute(kAddJobMore));
  if (from < 4) REEVE_RETURN_IF_ERROR(db_->Execute(kTablesOfVersion4));
  REEVE_RETURN_IF_ERROR(db_->Execute(StrCat("PRAGMA user_version=", kSchemaVersion).c_str()));
  return db_->Execute("COMMIT");
}

absl::Status SqliteStore::Open(bool fresh) {
  if (!fresh) {
    if (options_.check) REEVE_RETURN_IF_ERROR(CheckPages());
    // Reading the header first: journal_mode would already write to a stranger's file.
    const auto id = db_->QueryInt("PRAGMA application_id");
    if (!id.ok()) return id.status();
    const auto version = db_->QueryInt("PRAGMA user_version");
    if (!version.ok()) return version.status();
    if (*id != kApplicationId)
      return absl::FailedPreconditionError(StrCat(options_.path, " is not a store of Reeve"));
    if (*version > kSchemaVersion) {
      return absl::FailedPreconditionError(
          StrCat(options_.path, " was written by a newer Reeve (schema ", *version,
                 ", this one knows ", kSchemaVersion, ")"));
    }
    if (*version < kSchemaVersion) REEVE_RETURN_IF_ERROR(Migrate(*version));
  }
  if (fresh) REEVE_RETURN_IF_ERROR(db_->Execute(StrCat("PRAGMA page_size=", kPageBytes).c_str()));
  const auto page_bytes = db_->QueryInt("PRAGMA page_size");
  if (!page_bytes.ok()) return page_bytes.status();
  REEVE_RETURN_IF_ERROR(db_->Execute("PRAGMA journal_mode=WAL"));
  REEVE_RETURN_IF_ERROR(db_->Execute("PRAGMA synchronous=FULL"));
  REEVE_RETURN_IF_ERROR(db_->Execute("PRAGMA secure_delete=OFF"));
  REEVE_RETURN_IF_ERROR(db_->Execute("PRAGMA cache_size=-16384"));
  db_->CheckpointAfter(static_cast<int>(kCheckpointBytes / *page_bytes));
  if (fresh) {
    REEVE_RETURN_IF_ERROR(db_->Execute("BEGIN IMMEDIATE"));
    REEVE_RETURN_IF_ERROR(db_->Execute(kSchema));
    REEVE_RETURN_IF_ERROR(db_->Execute(kTablesOfVersion4));
    REEVE_RETURN_IF_ERROR(db_->Execute(StrCat("PRAGMA application_id=", kApplicationId).c_str()));
    REEVE_RETURN_IF_ERROR(db_->Execute(StrCat("PRAGMA user_version=", kSchemaVersion).c_str()));
    REEVE_RETURN_IF_ERROR(db_->Execute("COMMIT"));
  }
  return PrepareAll();
}

absl::Status SqliteStore::PrepareAll() {
  REEVE_RETURN_IF_ERROR(db_->Prepare("BEGIN IMMEDIATE", &begin_));
  REEVE_RETURN_IF_ERROR(db_->Prepare("COMMIT", &commit_));
  REEVE_RETURN_IF_ERROR(db_->Prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)", &meta_));
  REEVE_RETURN_IF_ERROR(db_->Prepare(
      "INSERT INTO jobs VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &job_));
  REEVE_RETURN_IF_ERROR(
      db_->Prepare("INSERT INTO job_state VALUES(?, ?, 0, 0, ?, x'', NULL)", &new_state_));
  REEVE_RETURN_IF_ERROR(db_->Prepare(
      "UPDATE job_state SET state = ?, end_us = ?, counts = ?, cancelled = ? WHERE job = ?",
      &state_));
  REEVE_RETURN_IF_ERROR(db_->Prepare("INSERT INTO inputs VALUES(?, ?, ?, ?, ?, ?, ?)", &inputs_));
  REEVE_RETURN_IF_ERROR(
      db_->Prepare("INSERT INTO keyed_inputs VALUES(?, ?, ?, ?, ?)", &keyed_inputs_));
  REEVE_RETURN_IF_ERROR(
      db_->Prepare("INSERT OR REPLACE INTO appenders VALUES(?, ?, ?)", &appender_));
  REEVE_RETURN_IF_ERROR(db_->Prepare("INSERT INTO results VALUES(?, ?, ?, ?, ?)", &results_));
  REEVE_RETURN_IF_ERROR(
      db_->Prepare("UPDATE job_state SET frontier = ? WHERE job = ?", &frontier_));
  REEVE_RETURN_IF_ERROR(db_->Prepare("INSERT OR REPLACE INTO roster VALUES(?, ?)", &roster_));
  REEVE_RETURN_IF_ERROR(db_->Prepare("DELETE FROM roster WHERE worker_id = ?", &drop_roster_));
  return db_->Prepare(
      "INSERT INTO logs(job, task, attempt, stream, start, content) VALUES(?, ?, ?, ?, ?, ?)",
      &log_);
}

absl::Status SqliteStore::PutMeta(const char* key, int64_t value) {
  return meta_.Bind(std::string_view(key)).Bind(value).Run();
}

absl::StatusOr<Image> SqliteStore::Load() {
  Image image;
  const auto epoch = db_->QueryInt("SELECT value FROM meta WHERE key = CAST('epoch' AS BLOB)");
  if (!epoch.ok()) return epoch.status();
  const auto next_job =
      db_->QueryInt("SELECT value FROM meta WHERE key = CAST('job_ids_below' AS BLOB)");
  if (!next_job.ok()) return next_job.status();
  image.epoch = Epoch(static_cast<uint64_t>(*epoch) + 1);
  image.next_job = JobId(std::max<uint64_t>(1, static_cast<uint64_t>(*next_job)));
  REEVE_RETURN_IF_ERROR(begin_.Run());
  REEVE_RETURN_IF_ERROR(PutMeta("epoch", static_cast<int64_t>(image.epoch.value)));
  REEVE_RETURN_IF_ERROR(commit_.Run());
  Failpoint("store.load.epoch");
  // One transaction for all reads: each would take and give back its locks otherwise.
  REEVE_RETURN_IF_ERROR(db_->Execute("BEGIN"));
  REEVE_RETURN_IF_ERROR(LoadJobs(&image));
  Failpoint("store.load.jobs");
  REEVE_RETURN_IF_ERROR(LoadRequests(&image));
  REEVE_RETURN_IF_ERROR(LoadWorkers(&image));
  REEVE_RETURN_IF_ERROR(LoadQueues(&image));
  REEVE_RETURN_IF_ERROR(LoadSchedules(&image));
  REEVE_RETURN_IF_ERROR(db_->Execute("COMMIT"));
  return image;
}

absl::Status SqliteStore::LoadWorkers(Image* image) {
  REEVE_RETURN_IF_ERROR(db_->ForEach(
      "SELECT worker_id, number FROM roster ORDER BY number", [image](SqliteStatement& row) {
        image->roster.push_back(
            {std::string(row.Bytes(0)), WorkerNumber(static_cast<uint64_t>(row.Int(1)))});
        return absl::OkStatus();
      }));
  return db_->ForEach("SELECT worker_id FROM drained ORDER BY worker_id",
                      [image](SqliteStatement& row) {
                        image->drained.emplace_back(row.Bytes(0));
                        return absl::OkStatus();
                      });
}

absl::Status SqliteStore::LoadQueues(Image* image) {
  return db_->ForEach(
      "SELECT name, settings FROM queues ORDER BY name", [image](SqliteStatement& row) {
        QueueSettings& queue = image->queues.emplace_back();
        queue.name = row.Bytes(0);
        return DecodeQueue(row.Bytes(1), &queue)
                   ? absl::OkStatus()
                   : absl::DataLossError(StrCat("queue ", queue.name, " is damaged"));
      });
}

absl::Status SqliteStore::LoadSchedules(Image* image) {
  return db_->ForEach(
      "SELECT owner, name, request_id, content_hash, crc, record, progress FROM schedules JOIN "
      "schedule_progress USING (owner, name) ORDER BY owner, name",
      [image](SqliteStatement& row) {
        ScheduleImage& schedule = image->schedules.emplace_back();
        schedule.owner = row.Bytes(0);
        schedule.name = row.Bytes(1);
        schedule.request_id = row.Bytes(2);
        schedule.content_hash = static_cast<uint64_t>(row.Int(3));
        schedule.record = Buffer(std::string(row.Bytes(5)));
        return Checksum({}, schedule.record.view()) == row.Int(4) &&
                       DecodeProgress(row.Bytes(6), &schedule.progress)
                   ? absl::OkStatus()
                   : absl::DataLossError(StrCat("schedule ", schedule.name, " is damaged"));
      });
}

absl::Status SqliteStore::LoadJobs(Image* image) {
  JobStatements read;
  REEVE_RETURN_IF_ERROR(db_->Prepare(kSelectChunks, &read.chunks));
  REEVE_RETURN_IF_ERROR(db_->Prepare(kSelectKeyedInputs, &read.keys));
  REEVE_RETURN_IF_ERROR(db_->Prepare(kSelectSharedInputs, &read.shared));
  REEVE_RETURN_IF_ERROR(
      db_->Prepare("SELECT state, counts FROM job_state WHERE job = ?", &read.ended));
  REEVE_RETURN_IF_ERROR(
      db_->Prepare("SELECT name, next FROM appenders WHERE job = ?", &read.appenders));
  REEVE_RETURN_IF_ERROR(
      db_->Prepare("SELECT id, runs, outcomes FROM results WHERE id BETWEEN ? AND ? ORDER BY id",
                   &read.results));
  auto jobs = db_->Prepare(
      "SELECT jobs.job, handler, max_attempts, max_in_flight, priority, at_most_once, array_count, "
      "create_us, "
      "request_id, content_hash, crc, record, state, frontier, exclusive, accepts_inputs, "
      "max_tasks, counts, more FROM job_state JOIN jobs USING (job) "
      "WHERE state < 4 ORDER BY jobs.job");
  if (!jobs.ok()) return jobs.status();
  for (;;) {
    auto row = jobs->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    JobImage job;
    job.job.view.job = JobId(static_cast<uint64_t>(jobs->Int(0)));
    job.job.options.handler = jobs->Bytes(1);
    job.job.options.max_attempts = static_cast<uint32_t>(jobs->Int(2));
    job.job.options.max_in_flight = static_cast<uint32_t>(jobs->Int(3));
    job.job.options.priority = PriorityOf(jobs->Int(4));
    job.job.options.at_most_once = jobs->Int(5) != 0;
    job.job.options.exclusive = jobs->Int(14) != 0;
    job.job.options.accepts_inputs = jobs->Int(15) != 0;
    job.job.options.max_tasks = static_cast<uint32_t>(jobs->Int(16));
    job.job.array_count = static_cast<uint32_t>(jobs->Int(6));
    job.job.view.create_time = absl::FromUnixMicros(jobs->Int(7));
    job.job.request_id = jobs->Bytes(8);
    job.job.content_hash = static_cast<uint64_t>(jobs->Int(9));
    job.job.view.record = Buffer(std::string(jobs->Bytes(11)));
    job.job.options.owner = OwnerOf(job.job.view.record);
    if (Checksum(jobs->Bytes(18), job.job.view.record.view()) != jobs->Int(10) ||
        !DecodeJobMore(jobs->Bytes(18), &job.job.options, &job.job.selected)) {
      return Damaged("record", job.job.view.job);
    }
    TaskCounts counts;
    if (!DecodeCounts(jobs->Bytes(17), &counts) ||
        !DecodeEnding(jobs->Bytes(17), &job.paused, &job.ending)) {
      return Damaged("counts", job.job.view.job);
    }
    job.job.view.priority = job.job.options.priority;
    job.job.view.max_in_flight = job.job.options.max_in_flight;
    job.job.view.paused = job.paused;
    job.job.view.cause = job.ending.cause;
    job.duplicate_inputs = counts.duplicate_inputs;
    job.dropped_inputs = counts.dropped_inputs;
    job.counters = std::move(counts.counters);
    job.state = static_cast<JobState>(jobs->Int(12));
    job.frontier = static_cast<uint32_t>(jobs->Int(13));
    REEVE_RETURN_IF_ERROR(LoadJob(&read, &job));
    image->jobs.push_back(std::move(job));
  }
}

absl::Status SqliteStore::LoadJob(JobStatements* read, JobImage* job) {
  const JobId id = job->job.view.job;
  REEVE_RETURN_IF_ERROR(LoadChunks(read, job));
  REEVE_RETURN_IF_ERROR(LoadEnded(&read->ended, job));
  REEVE_RETURN_IF_ERROR(LoadResults(&read->results, job));
  SqliteStatement& appenders = read->appenders;
  appenders.Bind(static_cast<int64_t>(id.value));
  for (;;) {
    auto row = appenders.Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    job->appenders[std::string(appenders.Bytes(0))] = static_cast<uint64_t>(appenders.Int(1));
  }
}

absl::Status SqliteStore::LoadChunks(JobStatements* read, JobImage* job) {
  const JobId id = job->job.view.job;
  const JobOptions& options = job->job.options;
  REEVE_RETURN_IF_ERROR(ReadChunkRows(&read->chunks, id, &job->chunks));
  if (options.accepts_inputs || options.extras != nullptr)
    REEVE_RETURN_IF_ERROR(ReadKeyedRows(&read->keys, id, &job->chunks, &job->keys));
  if (options.extras == nullptr || !options.extras->retry_of) return absl::OkStatus();
  return ReadSharedRows(&read->shared, id, &job->chunks);
}

absl::Status SqliteStore::LoadEnded(SqliteStatement* read, JobImage* job) {
  if (job->job.options.extras == nullptr) return absl::OkStatus();
  for (const JobDependency& dependency : job->job.options.extras->after) {
    const auto row = read->Bind(static_cast<int64_t>(dependency.job.value)).Step();
    if (!row.ok()) return row.status();
    if (!*row) continue;
    const auto state = static_cast<JobState>(read->Int(0));
    bool paused = false;
    Ending ending;
    const bool sound = DecodeEnding(read->Bytes(1), &paused, &ending);
    read->Reset();
    if (!sound) return Damaged("counts", dependency.job);
    if (IsTerminal(state)) job->ended.push_back({dependency.job, state, ending.cause});
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::LoadResults(SqliteStatement* read, JobImage* job) {
  const JobId id = job->job.view.job;
  LastDetails details(job);
  read->Bind(RowId(id, 0)).Bind(RowId(id, UINT32_MAX));
  for (;;) {
    auto row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    job->last_seq = static_cast<uint64_t>(read->Int(0)) & UINT32_MAX;
    if (!DecodeResultRuns(read->Bytes(1), &job->results) ||
        !DecodeRetries(read->Bytes(2), &job->retries)) {
      return Damaged("results", id);
    }
    details.Look();
  }
}

absl::Status SqliteStore::LoadRequests(Image* image) {
  auto requests = db_->Prepare(
      "SELECT request_id, content_hash, job, create_us FROM jobs WHERE create_us > ? ORDER BY job "
      "DESC LIMIT 1000000");
  if (!requests.ok()) return requests.status();
  requests->Bind(absl::ToUnixMicros(absl::Now() - absl::Hours(24)));
  for (;;) {
    auto row = requests->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    image->requests.push_back(
        {std::string(requests->Bytes(0)), static_cast<uint64_t>(requests->Int(1)),
         JobId(static_cast<uint64_t>(requests->Int(2))), absl::FromUnixMicros(requests->Int(3))});
  }
}

absl::Status SqliteStore::WriteAll(absl::Span<const WriteBatch> batches) {
  REEVE_RETURN_IF_ERROR(begin_.Run());
  for (const WriteBatch& batch : batches) {
    for (const Write& write : batch.writes) {
      REEVE_RETURN_IF_ERROR(std::visit([this](const auto& put) { return Put(put); }, write));
    }
  }
  Failpoint("store.commit.inside");
  return commit_.Run();
}

absl::Status SqliteStore::Commit(absl::Span<const WriteBatch> batches) {
  return Settled(WriteAll(batches));
}

// The outcome of a transaction. SQLite has undone one that found no room, or does now; if not,
// nobody knows what stands in the file.
absl::Status SqliteStore::Settled(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return status;
  if (db_->InTransaction()) (void)db_->Execute("ROLLBACK");
  if (!db_->InTransaction()) return status;
  return absl::InternalError(StrCat("the transaction cannot be undone: ", ToStd(status.message())));
}

template <typename... Values>
absl::Status SqliteStore::Run(const char* sql, Values... values) {
  auto statement = db_->Prepare(sql);
  if (!statement.ok()) return statement.status();
  (statement->Bind(values), ...);
  return statement->Run();
}

absl::Status SqliteStore::Put(const PutJob& put) {
  const auto job = static_cast<int64_t>(put.view.job.value);
  const std::string more = EncodeJobMore(put.options, put.selected);
  REEVE_RETURN_IF_ERROR(job_.Bind(job)
                            .Bind(std::string_view(put.options.handler))
                            .Bind(put.options.max_attempts)
                            .Bind(put.options.max_in_flight)
                            .Bind(put.options.priority)
                            .Bind(put.options.at_most_once)
                            .Bind(put.array_count)
                            .Bind(Micros(put.view.create_time))
                            .Bind(std::string_view(put.request_id))
                            .Bind(static_cast<int64_t>(put.content_hash))
                            .Bind(Checksum(more, put.view.record.view()))
                            .Bind(put.view.record.view())
                            .Bind(put.options.exclusive)
                            .Bind(put.options.accepts_inputs)
                            .Bind(put.options.max_tasks)
                            .Bind(std::string_view(more))
                            .Run());
  if (put.options.extras != nullptr) {
    for (const JobDependency& dependency : put.options.extras->after) {
      REEVE_RETURN_IF_ERROR(Run("INSERT OR IGNORE INTO needs VALUES(?, ?)",
                                static_cast<int64_t>(dependency.job.value), job));
    }
  }
  Ending none;
  none.cause = put.view.cause;
  const std::string counts = EncodeCounts(put.view.counts) + EncodeEnding(put.view.paused, none);
  return new_state_.Bind(job)
      .Bind(static_cast<int64_t>(put.view.state))
      .Bind(std::string_view(counts))
      .Run();
}

absl::Status SqliteStore::Put(const PutJobState& put) {
  const std::string counts = EncodeCounts(put.counts) + EncodeEnding(put.paused, put.ending);
  const std::string cancelled = EncodeRuns(put.cancelled);
  return state_.Bind(static_cast<int64_t>(put.state))
      .Bind(Micros(put.end_time))
      .Bind(std::string_view(counts))
      .Bind(std::string_view(cancelled))
      .Bind(static_cast<int64_t>(put.job.value))
      .Run();
}

absl::Status SqliteStore::Put(const PutInputs& put) {
  const std::string_view bytes =
      put.inputs == nullptr || put.source ? std::string_view() : put.inputs->wire().view();
  REEVE_RETURN_IF_ERROR(inputs_.Bind(RowId(put.job, put.run.first))
                            .Bind(put.run.count)
                            .Bind(static_cast<int64_t>(put.birth.epoch.value))
                            .Bind(static_cast<int64_t>(put.birth.counter))
                            .Bind(static_cast<int64_t>(put.bytes))
                            .Bind(Checksum({}, bytes))
                            .Bind(bytes)
                            .Run());
  if (put.source) {
    // Straight to where the bytes lie: that job may have them of another one itself.
    const int64_t source = RowId(put.source, put.run.first);
    REEVE_RETURN_IF_ERROR(
        Run("INSERT INTO shared_inputs VALUES(?, coalesce((SELECT source FROM shared_inputs WHERE "
            "id = ?), ?))",
            RowId(put.job, put.run.first), source, source));
  }
  if (put.positions != nullptr || !put.keys.empty() || !put.task_keys.empty()) {
    const std::string positions = EncodePositions(put.positions);
    const std::string keys = EncodeKeys(put.keys);
    const std::string task_keys = EncodeTaskKeys(put.task_keys);
    REEVE_RETURN_IF_ERROR(keyed_inputs_.Bind(RowId(put.job, put.run.first))
                              .Bind(std::string_view(positions))
                              .Bind(Checksum(positions + task_keys, keys))
                              .Bind(std::string_view(keys))
                              .Bind(std::string_view(task_keys))
                              .Run());
  }
  if (put.appender.empty()) return absl::OkStatus();
  return Put(PutAppender{put.job, put.appender, put.appender_offset});
}

absl::Status SqliteStore::Put(const PutAppender& put) {
  return appender_.Bind(static_cast<int64_t>(put.job.value))
      .Bind(std::string_view(put.appender))
      .Bind(static_cast<int64_t>(put.offset))
      .Run();
}

absl::Status SqliteStore::Put(const PutResults& put) {
  const std::string runs = EncodeResultRuns(put.runs);
  const std::string outcomes = EncodeRetries(put.retries);
  return results_.Bind(RowId(put.job, put.seq))
      .Bind(std::string_view(runs))
      .Bind(std::string_view(outcomes))
      .Bind(Checksum(runs + outcomes, put.body.view()))
      .Bind(put.body.view())
      .Run();
}

absl::Status SqliteStore::Put(const PutFrontier& put) {
  return frontier_.Bind(put.frontier).Bind(static_cast<int64_t>(put.job.value)).Run();
}

absl::Status SqliteStore::Put(const PutRoster& put) {
  return roster_.Bind(std::string_view(put.worker_id))
      .Bind(static_cast<int64_t>(put.number.value))
      .Run();
}

absl::Status SqliteStore::Put(const DropRoster& put) {
  return drop_roster_.Bind(std::string_view(put.worker_id)).Run();
}

absl::Status SqliteStore::Put(const ReserveJobIds& put) {
  return PutMeta("job_ids_below", static_cast<int64_t>(put.below.value));
}

absl::Status SqliteStore::CommitLogs(JobId job, absl::Span<const StoredLog> logs) {
  return Settled(WriteLogs(job, logs));
}

absl::Status SqliteStore::WriteLogs(JobId job, absl::Span<const StoredLog> logs) {
  REEVE_RETURN_IF_ERROR(begin_.Run());
  for (const StoredLog& log : logs) {
    REEVE_RETURN_IF_ERROR(log_.Bind(static_cast<int64_t>(job.value))
                              .Bind(log.index)
                              .Bind(log.attempt)
                              .Bind(log.stream)
                              .Bind(static_cast<int64_t>(log.offset))
                              .Bind(log.content.view())
                              .Run());
  }
  return commit_.Run();
}

absl::Status SqliteStore::Put(const PutJobOptions& put) {
  return Run("UPDATE jobs SET priority = ?, max_in_flight = ? WHERE job = ?", int64_t{put.priority},
             int64_t{put.max_in_flight}, static_cast<int64_t>(put.job.value));
}

absl::Status SqliteStore::Put(const PutDrained& put) {
  return Run(put.drained ? "INSERT OR IGNORE INTO drained VALUES(?)"
                         : "DELETE FROM drained WHERE worker_id = ?",
             std::string_view(put.worker_id));
}

absl::Status SqliteStore::Put(const PutQueue& put) {
  const std::string settings = EncodeQueue(put.settings);
  return Run("INSERT OR REPLACE INTO queues VALUES(?, ?)", std::string_view(put.settings.name),
             std::string_view(settings));
}

absl::Status SqliteStore::Put(const DropQueue& put) {
  return Run("DELETE FROM queues WHERE name = ?", std::string_view(put.name));
}

absl::Status SqliteStore::Put(const PutSchedule& put) {
  const std::string_view owner = put.owner, name = put.name;
  if (!put.record.empty()) {
    REEVE_RETURN_IF_ERROR(Run("INSERT OR REPLACE INTO schedules VALUES(?, ?, ?, ?, ?, ?)", owner,
                              name, std::string_view(put.request_id),
                              static_cast<int64_t>(put.content_hash),
                              Checksum({}, put.record.view()), put.record.view()));
  }
  const std::string progress = EncodeProgress(put.progress);
  return Run("INSERT OR REPLACE INTO schedule_progress VALUES(?, ?, ?)", owner, name,
             std::string_view(progress));
}

absl::Status SqliteStore::Put(const DropSchedule& put) {
  const std::string_view owner = put.owner, name = put.name;
  REEVE_RETURN_IF_ERROR(Run("DELETE FROM schedules WHERE owner = ? AND name = ?", owner, name));
  return Run("DELETE FROM schedule_progress WHERE owner = ? AND name = ?", owner, name);
}

absl::StatusOr<bool> SqliteStore::Forget() {
  const auto more = retention_.Step(absl::Now());
  const absl::Status settled = Settled(more.status());
  if (absl::IsResourceExhausted(settled)) return false;  // The disk is full: another time.
  if (!settled.ok()) return settled;
  return *more;
}

absl::Status SqliteStore::Idle() {
  Failpoint("store.checkpoint.before");
  REEVE_RETURN_IF_ERROR(db_->Checkpoint());
  Failpoint("store.checkpoint.after");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteStoreOptions& options) {
  struct stat info;
  const bool there = stat(options.path.c_str(), &info) == 0 && info.st_size > 0;
  if (!there && !options.create) {
    return absl::NotFoundError(StrCat("there is no store at ", options.path));
  }
  auto db = SqliteConnection::Open(options.path, false);
  if (!db.ok()) return db.status();
  auto store = std::make_unique<SqliteStore>(std::move(*db), options);
  if (absl::Status s = store->Open(!there); !s.ok()) {
    return absl::Status(s.code(),
                        StrCat("cannot use the store ", options.path, ": ", ToStd(s.message())));
  }
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace reeve
