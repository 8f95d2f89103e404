#include "base/result_batch.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "base/wire.h"

namespace reeve {
namespace {

// Fields of reeve.v1.ResultBatch.
enum Field : uint32_t {
  kJobId = 1,
  kCursor = 2,
  kRuns = 3,
  kEnd = 4,
  kFirst = 8,
  kCount = 9,
  kState = 10,
  kOutputBytes = 11,
  kOutput = 12,
  kErrorOutputBytes = 13,
  kErrorOutput = 14,
  kReason = 15,
  kMessageBytes = 16,
  kMessage = 17,
  kExitCode = 18,
  kSignal = 19,
  kFlags = 20,
  kAttempt = 21,
  kStartOffset = 22,
  kRunTime = 23,
  kStartTime = 24,
  kWorker = 25,
  kResultFileBytes = 26,
  kResultFile = 27,
};
// Fields of BatchRun and ResultsEnd.
constexpr uint32_t kRunFirst = 1, kRunCount = 2, kRunPosition = 3, kEndCancelled = 1;

// The end of the year 9999 and as far back: what a protobuf Timestamp can say.
constexpr int64_t kLatestUs = 253'402'300'799'000'000;

bool AllEqual(const std::vector<uint32_t>& column) {
  return std::all_of(column.begin(), column.end(), [&](uint32_t v) { return v == column[0]; });
}

// A column whose default is `absent`: left out if it holds nothing else.
void PutColumn(Field field, const std::vector<uint32_t>& column, uint32_t absent,
               std::string* out) {
  if (AllEqual(column) && column[0] == absent) return;
  wire::PutPackedField(field, column, out);
}

// A column that may be given as one entry when all are equal.
void PutUniformColumn(Field field, std::vector<uint32_t>& column, uint32_t absent,
                      std::string* out) {
  if (AllEqual(column)) column.resize(column[0] == absent ? 0 : 1);
  wire::PutPackedField(field, column, out);
}

void PutBlob(Field lengths_field, std::vector<uint32_t>& lengths, Field blob_field,
             const std::string& blob, std::string* out) {
  if (blob.empty()) return;
  PutUniformColumn(lengths_field, lengths, 0, out);
  wire::PutBytesField(blob_field, blob, out);
}

bool ReadRun(std::string_view bytes, std::vector<PositionedRun>* runs) {
  uint64_t first = 0, count = 0, position = 0;
  wire::Reader reader(bytes);
  while (reader.Next()) {
    switch (reader.field()) {
      case kRunFirst: reader.Varint(&first); break;
      case kRunCount: reader.Varint(&count); break;
      case kRunPosition: reader.Varint(&position); break;
      default: reader.Skip();
    }
  }
  if (!reader.ok() || first > UINT32_MAX || count == 0 || count > UINT32_MAX ||
      first + count > UINT32_MAX || position > UINT32_MAX) {
    return false;
  }
  runs->push_back({static_cast<TaskIndex>(first), static_cast<uint32_t>(count),
                   static_cast<uint32_t>(position)});
  return true;
}

bool ReadEnd(std::string_view bytes, std::vector<PositionedRun>* cancelled) {
  wire::Reader reader(bytes);
  while (reader.Next()) {
    std::string_view run;
    if (reader.field() != kEndCancelled) {
      reader.Skip();
      continue;
    }
    reader.Bytes(&run);
    if (!reader.ok() || !ReadRun(run, cancelled)) return false;
  }
  return reader.ok();
}

std::string EncodeRun(const PositionedRun& run) {
  std::string out;
  wire::PutVarintField(kRunFirst, run.first, &out);
  wire::PutVarintField(kRunCount, run.count, &out);
  if (run.position != 0) wire::PutVarintField(kRunPosition, run.position, &out);
  return out;
}

// Goes on to clients as a protobuf string, which refuse a whole message for one that is not UTF-8.
bool IsWorkerName(std::string_view name) {
  return name.size() <= 64 &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("result batch: ", what));
}

// The entry at `position` of a column that may be absent or hold one value for all.
uint32_t At(const std::vector<uint32_t>& column, uint32_t position, uint32_t absent) {
  if (column.empty()) return absent;
  return column.size() == 1 ? column[0] : column[position];
}

}  // namespace

void ResultBatchBuilder::Add(const ResultEntry& entry) {
  if (!runs_.empty() && runs_.back().end() == entry.index) {
    ++runs_.back().count;
  } else {
    runs_.push_back({entry.index, 1});
  }
  output_bytes_.push_back(static_cast<uint32_t>(entry.output.size()));
  output_.append(entry.output);
  error_output_bytes_.push_back(static_cast<uint32_t>(entry.error_output.size()));
  error_output_.append(entry.error_output);
  message_bytes_.push_back(static_cast<uint32_t>(entry.message.size()));
  message_.append(entry.message);
  result_file_bytes_.push_back(static_cast<uint32_t>(entry.result_file.size()));
  result_file_.append(entry.result_file);
  states_.push_back(static_cast<uint32_t>(entry.state));
  reasons_.push_back(static_cast<uint32_t>(entry.reason));
  attempts_.push_back(entry.attempt);
  exit_codes_.push_back(entry.exit_code);
  signals_.push_back(entry.signal);
  flags_.push_back(entry.flags);
  run_us_.push_back(entry.run_us);
  start_us_.push_back(entry.start_us);
}

size_t ResultBatchBuilder::bytes() const {
  return output_.size() + error_output_.size() + message_.size() + result_file_.size() +
         12 * output_bytes_.size() + 64;
}

std::string ResultBatchBuilder::Finish(std::string_view worker) {
  std::string out;
  if (empty()) return out;
  out.reserve(bytes());
  std::vector<uint32_t> firsts, counts;
  for (const Run& run : runs_) {
    firsts.push_back(run.first);
    counts.push_back(run.count);
  }
  wire::PutPackedField(kFirst, firsts, &out);
  wire::PutPackedField(kCount, counts, &out);
  PutColumn(kState, states_, static_cast<uint32_t>(TaskState::kSucceeded), &out);
  PutBlob(kOutputBytes, output_bytes_, kOutput, output_, &out);
  PutBlob(kErrorOutputBytes, error_output_bytes_, kErrorOutput, error_output_, &out);
  PutColumn(kReason, reasons_, 0, &out);
  PutBlob(kMessageBytes, message_bytes_, kMessage, message_, &out);
  PutColumn(kExitCode, exit_codes_, 0, &out);
  PutColumn(kSignal, signals_, 0, &out);
  PutColumn(kFlags, flags_, 0, &out);
  PutUniformColumn(kAttempt, attempts_, 1, &out);
  const int64_t start = *std::min_element(start_us_.begin(), start_us_.end());
  std::vector<uint32_t> offsets;
  offsets.reserve(start_us_.size());
  for (const int64_t at : start_us_) {
    offsets.push_back(static_cast<uint32_t>(std::min<int64_t>(at - start, UINT32_MAX)));
  }
  PutUniformColumn(kStartOffset, offsets, 0, &out);
  PutUniformColumn(kRunTime, run_us_, 0, &out);
  wire::PutVarintField(kStartTime, static_cast<uint64_t>(start), &out);
  wire::PutBytesField(kWorker, worker, &out);
  PutBlob(kResultFileBytes, result_file_bytes_, kResultFile, result_file_, &out);
  *this = ResultBatchBuilder();
  return out;
}

std::string EncodeEmptyResults(Run run, uint32_t attempt, int64_t start_us,
                               std::string_view worker) {
  std::string out;
  std::vector<uint32_t> attempts{attempt};
  wire::PutPackedField(kFirst, {run.first}, &out);
  wire::PutPackedField(kCount, {run.count}, &out);
  PutUniformColumn(kAttempt, attempts, 1, &out);
  wire::PutVarintField(kStartTime, static_cast<uint64_t>(start_us), &out);
  wire::PutBytesField(kWorker, worker, &out);
  return out;
}

std::string_view ResultBatch::Blob::At(uint32_t position) const {
  if (ends.empty()) return bytes.substr(size_t{position} * uniform, uniform);
  const uint32_t begin = position == 0 ? 0 : ends[position - 1];
  return bytes.substr(begin, ends[position] - begin);
}

absl::StatusOr<std::shared_ptr<const ResultBatch>> ResultBatch::Parse(Buffer wire) {
  std::shared_ptr<ResultBatch> batch(new ResultBatch());
  ResultBatch& b = *batch;
  std::vector<uint32_t> firsts, counts, output_bytes, error_output_bytes, message_bytes,
      result_file_bytes;
  uint64_t job = 0, start_time = 0;
  std::string_view part;
  wire::Reader reader(wire.view());
  while (reader.Next()) {
    switch (reader.field()) {
      case kJobId: reader.Varint(&job); break;
      case kCursor: reader.Varint(&b.cursor_); break;
      case kRuns:
        reader.Bytes(&part);
        if (reader.ok() && !ReadRun(part, &b.head_runs_))
          return Bad("a run of the head is malformed");
        break;
      case kEnd:
        reader.Bytes(&part);
        b.is_end_ = true;
        if (reader.ok() && !ReadEnd(part, &b.cancelled_)) return Bad("the end is malformed");
        break;
      case kFirst: reader.Packed(&firsts, kMaxBatchEntries); break;
      case kCount: reader.Packed(&counts, kMaxBatchEntries); break;
      case kState: reader.Packed(&b.states_, kMaxBatchEntries); break;
      case kOutputBytes: reader.Packed(&output_bytes, kMaxBatchEntries); break;
      case kOutput: reader.Bytes(&b.output_.bytes); break;
      case kErrorOutputBytes: reader.Packed(&error_output_bytes, kMaxBatchEntries); break;
      case kErrorOutput: reader.Bytes(&b.error_output_.bytes); break;
      case kReason: reader.Packed(&b.reasons_, kMaxBatchEntries); break;
      case kMessageBytes: reader.Packed(&message_bytes, kMaxBatchEntries); break;
      case kMessage: reader.Bytes(&b.message_.bytes); break;
      case kResultFileBytes: reader.Packed(&result_file_bytes, kMaxBatchEntries); break;
      case kResultFile: reader.Bytes(&b.result_file_.bytes); break;
      case kExitCode: reader.Packed(&b.exit_codes_, kMaxBatchEntries); break;
      case kSignal: reader.Packed(&b.signals_, kMaxBatchEntries); break;
      case kFlags: reader.Packed(&b.flags_, kMaxBatchEntries); break;
      case kAttempt: reader.Packed(&b.attempts_, kMaxBatchEntries); break;
      case kStartOffset: reader.Packed(&b.start_offset_us_, kMaxBatchEntries); break;
      case kRunTime: reader.Packed(&b.run_us_, kMaxBatchEntries); break;
      case kStartTime: reader.Varint(&start_time); break;
      case kWorker:
        reader.Bytes(&b.worker_);
        // The last one stands, but protobuf refuses a message for any of them.
        if (!IsWorkerName(b.worker_)) return Bad("`worker` is no name of a worker");
        break;
      default: reader.Skip();
    }
  }
  if (!reader.ok()) return Bad("not valid protobuf");
  if (firsts.size() != counts.size()) return Bad("`first` and `count` differ in length");
  uint64_t position = 0, next = 0;
  for (size_t i = 0; i < firsts.size(); ++i) {
    if (counts[i] == 0 || firsts[i] < next) return Bad("runs are not ascending and disjoint");
    b.body_runs_.push_back({firsts[i], counts[i], static_cast<uint32_t>(position)});
    position += counts[i];
    next = uint64_t{firsts[i]} + counts[i];
    if (position > kMaxBatchEntries || next > UINT32_MAX) return Bad("too many entries");
  }
  if (static_cast<int64_t>(start_time) > kLatestUs || static_cast<int64_t>(start_time) < -kLatestUs)
    return Bad("`start_time_us` is out of range");
  b.count_ = static_cast<uint32_t>(position);
  for (const uint32_t state : b.states_) {
    if (state < static_cast<uint32_t>(TaskState::kSucceeded) ||
        state > static_cast<uint32_t>(TaskState::kCancelled)) {
      return Bad("a state is not one a task ends in");
    }
  }
  b.job_ = JobId(job);
  b.start_time_us_ = static_cast<int64_t>(start_time);
  for (const auto* column : {&b.states_, &b.reasons_, &b.exit_codes_, &b.signals_, &b.flags_}) {
    if (!column->empty() && column->size() != b.count_) return Bad("a column has the wrong length");
  }
  for (const auto* column : {&b.attempts_, &b.start_offset_us_, &b.run_us_}) {
    if (column->size() > 1 && column->size() != b.count_)
      return Bad("a column has the wrong length");
  }
  auto take_blob = [&b](std::vector<uint32_t>& lengths, Blob* blob) {
    if (lengths.size() > 1 && lengths.size() != b.count_) return false;
    uint64_t total = 0;
    if (lengths.size() <= 1) {
      blob->uniform = lengths.empty() ? 0 : lengths[0];
      total = uint64_t{blob->uniform} * b.count_;
    } else {
      for (uint32_t& length : lengths) {
        total += length;
        if (total > UINT32_MAX) return false;
        length = static_cast<uint32_t>(total);
      }
      blob->ends = std::move(lengths);
    }
    return total == blob->bytes.size();
  };
  if (!take_blob(output_bytes, &b.output_) || !take_blob(error_output_bytes, &b.error_output_) ||
      !take_blob(message_bytes, &b.message_) || !take_blob(result_file_bytes, &b.result_file_)) {
    return Bad("lengths do not add up to their blob");
  }
  for (const PositionedRun& run : b.head_runs_) {
    if (uint64_t{run.position} + run.count > b.count_)
      return Bad("a run of the head lies beyond the columns");
  }
  b.wire_ = std::move(wire);
  return batch;
}

TaskState ResultBatch::State(uint32_t position) const {
  return static_cast<TaskState>(
      At(states_, position, static_cast<uint32_t>(TaskState::kSucceeded)));
}

std::vector<TimeCount> ResultBatch::RunTimes() const {
  if (run_us_.size() <= 1)
    return {{TimeHistogram::BucketOf(run_us_.empty() ? 0 : run_us_[0]), count_}};
  std::array<uint32_t, TimeHistogram::kBuckets> counts{};
  for (const uint32_t us : run_us_) ++counts[TimeHistogram::BucketOf(us)];
  std::vector<TimeCount> times;
  for (uint32_t bucket = 0; bucket < counts.size(); ++bucket) {
    if (counts[bucket] > 0) times.push_back({bucket, counts[bucket]});
  }
  return times;
}

ResultEntry ResultBatch::Entry(uint32_t position, TaskIndex index) const {
  ResultEntry entry;
  entry.index = index;
  entry.state = State(position);
  entry.reason = static_cast<Reason>(At(reasons_, position, 0));
  entry.attempt = At(attempts_, position, 1);
  entry.exit_code = At(exit_codes_, position, 0);
  entry.signal = At(signals_, position, 0);
  entry.flags = At(flags_, position, 0);
  entry.start_us = start_time_us_ + At(start_offset_us_, position, 0);
  entry.run_us = At(run_us_, position, 0);
  entry.output = output_.At(position);
  entry.error_output = error_output_.At(position);
  entry.message = message_.At(position);
  entry.result_file = result_file_.At(position);
  return entry;
}

std::string EncodeResultHead(JobId job, uint64_t cursor, const std::vector<PositionedRun>& runs) {
  std::string out;
  wire::PutVarintField(kJobId, job.value, &out);
  wire::PutVarintField(kCursor, cursor, &out);
  for (const PositionedRun& run : runs) wire::PutBytesField(kRuns, EncodeRun(run), &out);
  return out;
}

std::string EncodeResultsEnd(JobId job, uint64_t cursor, const std::vector<Run>& cancelled) {
  std::string end;
  for (const Run& run : cancelled) {
    wire::PutBytesField(kEndCancelled, EncodeRun({run.first, run.count, 0}), &end);
  }
  std::string out = EncodeResultHead(job, cursor, {});
  wire::PutBytesField(kEnd, end, &out);
  return out;
}

}  // namespace reeve
