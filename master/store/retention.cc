#include "master/store/retention.h"

#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "master/store/sqlite_rows.h"

namespace reeve {
namespace {

// Of a step: commits wait meanwhile.
constexpr int64_t kMeasuredAtOnce = 200;
constexpr size_t kForgottenAtOnce = 50;
constexpr int64_t kForgottenBytesAtOnce = 64 << 20;

constexpr char kMeasuredUs[] = "measured_us";
constexpr char kMeasuredJob[] = "measured_job";
constexpr char kKeptBytes[] = "kept_bytes";

// No unfinished job depends on `job_state.job`.
constexpr char kNotNeeded[] =
    "NOT EXISTS (SELECT 1 FROM needs JOIN job_state AS other ON other.job = needs.job "
    "WHERE needs.after = job_state.job AND other.state < 4)";

std::string Between(int64_t job) {
  return StrCat(" BETWEEN ", job << 32, " AND ", job << 32 | UINT32_MAX);
}

std::string SizeOf(int64_t job) {
  return StrCat("SELECT (SELECT coalesce(sum(length(bytes)), 0) FROM results WHERE id",
                Between(job), ") + (SELECT coalesce(sum(length(bytes)), 0) FROM inputs WHERE id",
                Between(job),
                ") + (SELECT coalesce(sum(length(content)), 0) FROM logs WHERE job = ", job, ")");
}

}  // namespace

absl::StatusOr<int64_t> Retention::Meta(const char* key) {
  return db_.QueryInt(
      StrCat("SELECT value FROM meta WHERE key = CAST('", key, "' AS BLOB)").c_str());
}

absl::Status Retention::PutMeta(const char* key, int64_t value) {
  return db_.Execute(
      StrCat("INSERT OR REPLACE INTO meta VALUES(CAST('", key, "' AS BLOB), ", value, ")").c_str());
}

absl::StatusOr<std::vector<Retention::Ended>> Retention::Unmeasured() {
  const auto us = Meta(kMeasuredUs), job = Meta(kMeasuredJob);
  if (!us.ok()) return us.status();
  if (!job.ok()) return job.status();
  auto rows = db_.Prepare(
      "SELECT job, end_us FROM job_state WHERE state >= 4 AND end_us >= ? AND (end_us > ? OR job > "
      "?) ORDER BY end_us, job LIMIT ?");
  if (!rows.ok()) return rows.status();
  rows->Bind(*us).Bind(*us).Bind(*job).Bind(kMeasuredAtOnce);
  std::vector<Ended> jobs;
  for (;;) {
    const auto row = rows->Step();
    if (!row.ok()) return row.status();
    if (!*row) return jobs;
    jobs.push_back({rows->Int(0), rows->Int(1), 0});
  }
}

absl::Status Retention::Measure(std::vector<Ended> jobs) {
  auto kept = Meta(kKeptBytes);
  if (!kept.ok()) return kept.status();
  for (const Ended& job : jobs) {
    const auto bytes = db_.QueryInt(SizeOf(job.job).c_str());
    if (!bytes.ok()) return bytes.status();
    *kept += *bytes;
    REEVE_RETURN_IF_ERROR(db_.Execute(
        StrCat("UPDATE job_state SET bytes = ", *bytes, " WHERE job = ", job.job).c_str()));
  }
  REEVE_RETURN_IF_ERROR(PutMeta(kKeptBytes, *kept));
  REEVE_RETURN_IF_ERROR(PutMeta(kMeasuredUs, jobs.back().end_us));
  return PutMeta(kMeasuredJob, jobs.back().job);
}

absl::StatusOr<std::vector<Retention::Ended>> Retention::Excess(absl::Time now, bool* more) {
  const auto count = db_.QueryInt("SELECT count(*) FROM job_state WHERE state >= 4");
  if (!count.ok()) return count.status();
  const auto kept = Meta(kKeptBytes);
  if (!kept.ok()) return kept.status();
  int64_t over_count = *count - static_cast<int64_t>(options_.jobs);
  int64_t over_bytes = *kept - static_cast<int64_t>(options_.bytes);
  const int64_t old_us = absl::ToUnixMicros(now - options_.age);
  auto rows = db_.Prepare(StrCat("SELECT job, end_us, bytes FROM job_state WHERE state >= 4 AND ",
                                 kNotNeeded, " ORDER BY end_us, job")
                              .c_str());
  if (!rows.ok()) return rows.status();
  std::vector<Ended> jobs;
  for (int64_t bytes = 0;;) {
    const auto row = rows->Step();
    if (!row.ok()) return row.status();
    if (!*row) return jobs;
    const Ended job{rows->Int(0), rows->Int(1), rows->Int(2)};
    const bool goes = job.end_us < old_us || over_count > 0 || over_bytes > 0;
    *more = goes && (jobs.size() == kForgottenAtOnce || bytes >= kForgottenBytesAtOnce);
    if (!goes || *more) {
      rows->Reset();
      return jobs;
    }
    --over_count;
    over_bytes -= job.bytes;
    bytes += job.bytes;
    jobs.push_back(job);
  }
}

absl::StatusOr<bool> Retention::Step(absl::Time now) {
  auto unmeasured = Unmeasured();
  if (!unmeasured.ok()) return unmeasured.status();
  bool more = unmeasured->size() == static_cast<size_t>(kMeasuredAtOnce);
  if (!unmeasured->empty()) {
    REEVE_RETURN_IF_ERROR(db_.Execute("BEGIN IMMEDIATE"));
    REEVE_RETURN_IF_ERROR(Measure(*std::move(unmeasured)));
    REEVE_RETURN_IF_ERROR(db_.Execute("COMMIT"));
  }
  bool more_excess = false;
  const auto excess = Excess(now, &more_excess);
  if (!excess.ok()) return excess.status();
  if (excess->empty()) return more;
  REEVE_RETURN_IF_ERROR(db_.Execute("BEGIN IMMEDIATE"));
  for (const Ended& job : *excess) REEVE_RETURN_IF_ERROR(Drop(job));
  REEVE_RETURN_IF_ERROR(db_.Execute("COMMIT"));
  return more || more_excess;
}

absl::Status Retention::Forget(JobId job) {
  auto row = db_.Prepare(
      StrCat("SELECT bytes FROM job_state WHERE state >= 4 AND job = ? AND ", kNotNeeded).c_str());
  if (!row.ok()) return row.status();
  Ended ended{static_cast<int64_t>(job.value), 0, 0};
  const auto found = row->Bind(ended.job).Step();
  if (!found.ok()) return found.status();
  if (!*found) return absl::OkStatus();
  ended.bytes = row->Int(0);
  row->Reset();
  return Drop(ended);
}

absl::Status Retention::Drop(const Ended& job) {
  const std::string range = Between(job.job);
  const std::string id = StrCat(" = ", job.job);
  if (job.bytes > 0) {
    const auto kept = Meta(kKeptBytes);
    if (!kept.ok()) return kept.status();
    REEVE_RETURN_IF_ERROR(PutMeta(kKeptBytes, *kept - job.bytes));
  }
  for (const std::string& sql :
       {StrCat("DELETE FROM inputs WHERE id", range,
               " AND id NOT IN (SELECT source FROM shared_inputs WHERE source", range, ")"),
        // Those of jobs that are gone, which this one was the last to use.
        StrCat("DELETE FROM inputs WHERE id IN (SELECT source FROM shared_inputs WHERE id", range,
               ") AND NOT EXISTS (SELECT 1 FROM jobs WHERE job = inputs.id >> 32) AND NOT EXISTS "
               "(SELECT 1 FROM shared_inputs AS other WHERE other.source = inputs.id AND other.id "
               "NOT",
               range, ")"),
        StrCat("DELETE FROM shared_inputs WHERE id", range),
        StrCat("DELETE FROM keyed_inputs WHERE id", range),
        StrCat("DELETE FROM results WHERE id", range), StrCat("DELETE FROM logs WHERE job", id),
        StrCat("DELETE FROM appenders WHERE job", id), StrCat("DELETE FROM needs WHERE job", id),
        StrCat("DELETE FROM job_state WHERE job", id), StrCat("DELETE FROM jobs WHERE job", id)}) {
    REEVE_RETURN_IF_ERROR(db_.Execute(sql.c_str()));
  }
  return absl::OkStatus();
}

}  // namespace reeve
