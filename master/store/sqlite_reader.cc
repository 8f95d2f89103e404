#include "master/store/sqlite_reader.h"

#include <utility>

#include "base/strings.h"
#include "master/store/chunk_rows.h"
#include "master/store/options_codec.h"
#include "master/store/row_codec.h"
#include "master/store/sqlite.h"
#include "master/store/sqlite_rows.h"

namespace reeve {
namespace {

class SqliteReader final : public StoreReader {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteReader>> Open(const std::string& path) {
    auto db = SqliteConnection::Open(path, true);
    if (!db.ok()) return db.status();
    auto reader = std::unique_ptr<SqliteReader>(new SqliteReader(std::move(*db)));
    REEVE_RETURN_IF_ERROR(reader->Prepare());
    return reader;
  }

  absl::StatusOr<StoredJob> ReadJob(JobId job) override {
    job_.Bind(static_cast<int64_t>(job.value));
    auto row = job_.Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::NotFoundError(StrCat("job ", job.value));
    auto stored = JobFromRow(job_);
    job_.Reset();
    if (!stored.ok()) return stored.status();
    REEVE_RETURN_IF_ERROR(AddLastSeq(&*stored));
    return stored;
  }

  absl::StatusOr<std::vector<StoredJob>> ListJobs(JobId before, absl::Span<const JobState> states,
                                                  size_t limit) override {
    std::vector<StoredJob> jobs;
    jobs_.Bind(before ? static_cast<int64_t>(before.value) : INT64_MAX);
    for (;;) {
      auto row = jobs_.Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      const auto state = static_cast<JobState>(jobs_.Int(8));
      bool wanted = states.empty();
      for (const JobState s : states) wanted = wanted || s == state;
      if (!wanted) continue;
      auto stored = JobFromRow(jobs_);
      if (!stored.ok()) {
        jobs_.Reset();
        return stored.status();
      }
      jobs.push_back(std::move(*stored));
      if (jobs.size() == limit) {
        jobs_.Reset();
        break;
      }
    }
    for (StoredJob& job : jobs) REEVE_RETURN_IF_ERROR(AddLastSeq(&job));
    return jobs;
  }

  absl::StatusOr<std::vector<StoredResults>> ReadResults(JobId job, uint64_t after,
                                                         uint64_t max_bytes) override {
    return Results(results_, job, after, SIZE_MAX, max_bytes, true);
  }

  absl::StatusOr<std::vector<StoredResults>> ReadResultRuns(JobId job, uint64_t after,
                                                            size_t limit) override {
    return Results(result_runs_, job, after, limit, UINT64_MAX, false);
  }

  absl::StatusOr<StoredResults> ReadResult(JobId job, uint64_t seq) override {
    auto rows = Results(results_, job, seq - 1, 1, UINT64_MAX, true);
    if (!rows.ok()) return rows.status();
    if (rows->empty() || rows->front().seq != seq)
      return absl::NotFoundError(StrCat("result ", seq));
    return std::move(rows->front());
  }

  absl::StatusOr<Buffer> ReadInputs(JobId job, TaskIndex first) override {
    inputs_.Bind(RowId(job, first));
    auto row = inputs_.Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::NotFoundError(StrCat("inputs of ", TaskName(job, first)));
    std::string bytes(inputs_.Bytes(1));
    const int64_t crc = inputs_.Int(0);
    inputs_.Reset();
    if (Checksum({}, bytes) != crc) return Damaged("inputs", job);
    return Buffer(std::move(bytes));
  }

  absl::StatusOr<std::vector<ChunkImage>> ReadChunks(JobId job) override {
    std::vector<ChunkImage> chunks;
    std::vector<InputKey> keys;
    REEVE_RETURN_IF_ERROR(ReadChunkRows(&chunks_, job, &chunks));
    REEVE_RETURN_IF_ERROR(ReadKeyedRows(&keyed_, job, &chunks, &keys));
    REEVE_RETURN_IF_ERROR(ReadSharedRows(&shared_, job, &chunks));
    return chunks;
  }

  absl::StatusOr<uint64_t> ReadAppender(JobId job, const std::string& appender) override {
    appender_.Bind(static_cast<int64_t>(job.value)).Bind(std::string_view(appender));
    const auto row = appender_.Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::NotFoundError(StrCat("appender ", appender));
    const auto offset = static_cast<uint64_t>(appender_.Int(0));
    appender_.Reset();
    return offset;
  }

  absl::StatusOr<std::vector<StoredLog>> ReadLogs(JobId job, std::optional<TaskIndex> index,
                                                  uint64_t after, uint64_t max_bytes) override {
    std::vector<StoredLog> logs;
    uint64_t bytes = 0;
    logs_.Bind(static_cast<int64_t>(job.value)).Bind(static_cast<int64_t>(after));
    for (;;) {
      auto row = logs_.Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      const auto task = static_cast<TaskIndex>(logs_.Int(1));
      if (index.has_value() && *index != task) continue;
      StoredLog log;
      log.row = static_cast<uint64_t>(logs_.Int(0));
      log.index = task;
      log.attempt = static_cast<uint32_t>(logs_.Int(2));
      log.stream = static_cast<uint32_t>(logs_.Int(3));
      log.offset = static_cast<uint64_t>(logs_.Int(4));
      log.content = Buffer(std::string(logs_.Bytes(5)));
      bytes += log.content.size();
      logs.push_back(std::move(log));
      if (bytes >= max_bytes) {
        logs_.Reset();
        break;
      }
    }
    return logs;
  }

 private:
  explicit SqliteReader(std::unique_ptr<SqliteConnection> db) : db_(std::move(db)) {}

  absl::Status Prepare() {
    const std::string columns =
        "SELECT jobs.job, handler, max_attempts, max_in_flight, priority, at_most_once, "
        "array_count, create_us, "
        "state, end_us, counts, cancelled, crc, record, exclusive, accepts_inputs, max_tasks, "
        "more FROM jobs JOIN job_state USING (job) ";
    REEVE_RETURN_IF_ERROR(db_->Prepare((columns + "WHERE jobs.job = ?").c_str(), &job_));
    REEVE_RETURN_IF_ERROR(
        db_->Prepare((columns + "WHERE jobs.job < ? ORDER BY jobs.job DESC").c_str(), &jobs_));
    REEVE_RETURN_IF_ERROR(
        db_->Prepare("SELECT max(id) FROM results WHERE id BETWEEN ? AND ?", &last_));
    REEVE_RETURN_IF_ERROR(db_->Prepare(
        "SELECT id, runs, outcomes, crc, bytes FROM results WHERE id > ? AND id <= ? ORDER BY id",
        &results_));
    REEVE_RETURN_IF_ERROR(db_->Prepare(
        "SELECT id, runs FROM results WHERE id > ? AND id <= ? ORDER BY id", &result_runs_));
    REEVE_RETURN_IF_ERROR(
        db_->Prepare("SELECT crc, bytes FROM inputs WHERE id = coalesce((SELECT source FROM "
                     "shared_inputs WHERE id = ?1), ?1)",
                     &inputs_));
    REEVE_RETURN_IF_ERROR(db_->Prepare(kSelectChunks, &chunks_));
    REEVE_RETURN_IF_ERROR(db_->Prepare(kSelectKeyedInputs, &keyed_));
    REEVE_RETURN_IF_ERROR(db_->Prepare(kSelectSharedInputs, &shared_));
    REEVE_RETURN_IF_ERROR(
        db_->Prepare("SELECT next FROM appenders WHERE job = ? AND name = ?", &appender_));
    return db_->Prepare(
        "SELECT id, task, attempt, stream, start, content FROM logs WHERE job = ? AND id > ? ORDER "
        "BY id",
        &logs_);
  }

  static absl::StatusOr<StoredJob> JobFromRow(SqliteStatement& row) {
    StoredJob job;
    job.view.job = JobId(static_cast<uint64_t>(row.Int(0)));
    job.options.handler = row.Bytes(1);
    job.options.max_attempts = static_cast<uint32_t>(row.Int(2));
    job.options.max_in_flight = static_cast<uint32_t>(row.Int(3));
    job.options.priority = PriorityOf(row.Int(4));
    job.options.at_most_once = row.Int(5) != 0;
    job.options.exclusive = row.Int(14) != 0;
    job.options.accepts_inputs = row.Int(15) != 0;
    job.options.max_tasks = static_cast<uint32_t>(row.Int(16));
    job.array_count = static_cast<uint32_t>(row.Int(6));
    job.view.create_time = absl::FromUnixMicros(row.Int(7));
    job.view.state = static_cast<JobState>(row.Int(8));
    job.view.end_time = FromMicros(row.Int(9));
    job.view.record = Buffer(std::string(row.Bytes(13)));
    Ending ending;
    if (!DecodeCounts(row.Bytes(10), &job.view.counts) ||
        !DecodeEnding(row.Bytes(10), &job.view.paused, &ending) ||
        !DecodeRuns(row.Bytes(11), &job.cancelled) ||
        Checksum(row.Bytes(17), job.view.record.view()) != row.Int(12) ||
        !DecodeJobMore(row.Bytes(17), &job.options, &job.selected)) {
      return Damaged("record", job.view.job);
    }
    job.view.cause = ending.cause;
    job.view.priority = job.options.priority;
    job.view.max_in_flight = job.options.max_in_flight;
    return job;
  }

  absl::Status AddLastSeq(StoredJob* job) {
    last_.Bind(RowId(job->view.job, 0)).Bind(RowId(job->view.job, UINT32_MAX));
    auto row = last_.Step();
    if (!row.ok()) return row.status();
    const auto id = static_cast<uint64_t>(last_.Int(0));
    last_.Reset();
    job->last_seq = id & UINT32_MAX;
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<StoredResults>> Results(SqliteStatement& query, JobId job,
                                                     uint64_t after, size_t limit,
                                                     uint64_t max_bytes, bool with_bytes) {
    std::vector<StoredResults> rows;
    uint64_t bytes = 0;
    query.Bind(RowId(job, after)).Bind(RowId(job, UINT32_MAX));
    while (rows.size() < limit && bytes < max_bytes) {
      auto row = query.Step();
      if (!row.ok()) return row.status();
      if (!*row) return rows;
      StoredResults stored;
      stored.seq = static_cast<uint64_t>(query.Int(0)) & UINT32_MAX;
      bool sound = DecodeResultRuns(query.Bytes(1), &stored.runs);
      if (with_bytes) {
        const std::string_view body = query.Bytes(4);
        sound = sound && Checksum(StrCat(query.Bytes(1), query.Bytes(2)), body) == query.Int(3);
        bytes += body.size();
        stored.body = Buffer(std::string(body));
      }
      if (!sound) {
        query.Reset();
        return Damaged("results", job);
      }
      rows.push_back(std::move(stored));
    }
    query.Reset();
    return rows;
  }

  std::unique_ptr<SqliteConnection> db_;
  SqliteStatement job_, jobs_, last_, results_, result_runs_, inputs_, chunks_, keyed_, shared_,
      appender_, logs_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StoreReader>> OpenSqliteReader(const std::string& path) {
  auto reader = SqliteReader::Open(path);
  if (!reader.ok()) return reader.status();
  return std::unique_ptr<StoreReader>(std::move(*reader));
}

}  // namespace reeve
