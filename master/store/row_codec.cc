#include "master/store/row_codec.h"

#include <cstring>

#include "base/wire.h"

namespace reeve {
namespace {

using Column = std::vector<uint32_t>;

// The fields of an ending, behind those of counts.
constexpr uint32_t kFirstOfEnding = 14;

// The details of an outcome, behind the columns of outcomes; once for each that has some.
constexpr uint32_t kDetailsField = 14;

// Reads columns 1..N of a message. Those after the first `required` were added
// later: where they are absent they are zeros.
bool ReadColumns(std::string_view bytes, std::vector<Column>* columns, size_t required = SIZE_MAX) {
  wire::Reader reader(bytes);
  while (reader.Next()) {
    const uint32_t field = reader.field();
    if (field >= 1 && field <= columns->size()) {
      reader.Packed(&(*columns)[field - 1], kMaxTasksPerJob);
    } else {
      reader.Skip();
    }
  }
  for (size_t i = required; i < columns->size(); ++i) {
    if ((*columns)[i].empty()) (*columns)[i].resize(columns->front().size());
  }
  for (const Column& column : *columns) {
    if (column.size() != columns->front().size()) return false;
  }
  return reader.ok();
}

bool Sound(TaskIndex first, uint32_t count) {
  return count > 0 && uint64_t{first} + count <= kMaxTasksPerJob;
}

std::string WriteColumns(const std::vector<Column>& columns) {
  std::string bytes;
  for (size_t i = 0; i < columns.size(); ++i) wire::PutPackedField(i + 1, columns[i], &bytes);
  return bytes;
}

}  // namespace

std::string EncodeRuns(const std::vector<Run>& runs) {
  std::vector<Column> c(2);
  for (const Run& run : runs) {
    c[0].push_back(run.first);
    c[1].push_back(run.count);
  }
  return WriteColumns(c);
}

bool DecodeRuns(std::string_view bytes, std::vector<Run>* runs) {
  std::vector<Column> c(2);
  if (!ReadColumns(bytes, &c)) return false;
  for (size_t i = 0; i < c[0].size(); ++i) {
    if (!Sound(c[0][i], c[1][i])) return false;
    runs->push_back({c[0][i], c[1][i]});
  }
  return true;
}

std::string EncodePositions(const PositionsRef& positions) {
  return positions == nullptr ? std::string() : EncodeRuns(positions->Runs());
}

bool DecodePositions(std::string_view bytes, uint32_t count, PositionsRef* positions) {
  std::vector<Run> runs;
  if (!DecodeRuns(bytes, &runs)) return false;
  if (runs.empty()) return true;
  auto decoded = std::make_shared<Positions>();
  uint32_t next = 0;
  for (const Run run : runs) {
    if (run.first < next || run.end() > kMaxTasksPerBatch) return false;
    for (uint32_t i = run.first; i < run.end(); ++i) decoded->Add(i);
    next = run.end();
  }
  const bool sound = decoded->count() == count;
  *positions = std::move(decoded);
  return sound;
}

std::string EncodeResultRuns(const std::vector<ResultRun>& runs) {
  std::vector<Column> c(4);
  for (const ResultRun& run : runs) {
    c[0].push_back(run.run.first);
    c[1].push_back(run.run.count);
    c[2].push_back(run.run.position);
    c[3].push_back(static_cast<uint32_t>(run.state));
  }
  return WriteColumns(c);
}

bool DecodeResultRuns(std::string_view bytes, std::vector<ResultRun>* runs) {
  std::vector<Column> c(4);
  if (!ReadColumns(bytes, &c)) return false;
  for (size_t i = 0; i < c[0].size(); ++i) {
    if (!Sound(c[0][i], c[1][i]) || c[3][i] > static_cast<uint32_t>(TaskState::kExpired) ||
        !IsTerminal(static_cast<TaskState>(c[3][i]))) {
      return false;
    }
    runs->push_back({{c[0][i], c[1][i], c[2][i]}, static_cast<TaskState>(c[3][i])});
  }
  return true;
}

std::string EncodeRetries(const std::vector<RetryOutcome>& retries) {
  std::vector<Column> c(13);
  for (const RetryOutcome& retry : retries) {
    const auto due = static_cast<uint64_t>(absl::ToUnixMillis(retry.due));
    c[0].push_back(retry.run.first);
    c[1].push_back(retry.run.count);
    c[2].push_back(static_cast<uint32_t>(retry.reason));
    c[3].push_back(retry.failed_attempts);
    c[4].push_back(retry.suspicions);
    c[5].push_back(retry.crashes);
    c[6].push_back(static_cast<uint32_t>(due >> 32));
    c[7].push_back(static_cast<uint32_t>(due));
    c[8].push_back(static_cast<uint32_t>(retry.lease.epoch.value));
    c[9].push_back(static_cast<uint32_t>(retry.lease.seq.value >> 32));
    c[10].push_back(static_cast<uint32_t>(retry.lease.seq.value));
    c[11].push_back(static_cast<uint32_t>(retry.death >> 32));
    c[12].push_back(static_cast<uint32_t>(retry.death));
  }
  std::string bytes = WriteColumns(c);
  for (size_t i = 0; i < retries.size(); ++i) {
    if (retries[i].details.empty()) continue;
    std::string details;
    wire::PutVarintField(1, i, &details);
    wire::PutBytesField(2, retries[i].details, &details);
    wire::PutBytesField(kDetailsField, details, &bytes);
  }
  return bytes;
}

// Of one outcome of a row, which begins at `first`, by its place there.
bool DecodeDetails(std::string_view bytes, size_t first, std::vector<RetryOutcome>* retries) {
  uint64_t place = 0;
  std::string_view details;
  wire::Reader reader(bytes);
  while (reader.Next()) {
    switch (reader.field()) {
      case 1: reader.Varint(&place); break;
      case 2: reader.Bytes(&details); break;
      default: reader.Skip();
    }
  }
  if (!reader.ok() || place >= retries->size() - first || details.size() > kMaxDetailsBytes)
    return false;
  (*retries)[first + place].details = std::string(details);
  return true;
}

bool DecodeRetries(std::string_view bytes, std::vector<RetryOutcome>* retries) {
  std::vector<Column> c(13);
  if (!ReadColumns(bytes, &c, 8)) return false;
  const size_t first = retries->size();
  for (size_t i = 0; i < c[0].size(); ++i) {
    const auto due = static_cast<int64_t>(uint64_t{c[6][i]} << 32 | c[7][i]);
    if (!Sound(c[0][i], c[1][i]) || c[2][i] > UINT8_MAX) return false;
    retries->push_back({{c[0][i], c[1][i]},
                        static_cast<Reason>(c[2][i]),
                        c[3][i],
                        c[4][i],
                        c[5][i],
                        absl::FromUnixMillis(due),
                        {Epoch(c[8][i]), LeaseSeq(uint64_t{c[9][i]} << 32 | c[10][i])},
                        uint64_t{c[11][i]} << 32 | c[12][i],
                        {}});
  }
  wire::Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() != kDetailsField) {
      reader.Skip();
      continue;
    }
    std::string_view details;
    reader.Bytes(&details);
    if (!DecodeDetails(details, first, retries)) return false;
  }
  return reader.ok();
}

std::string EncodeCounts(const TaskCounts& counts) {
  std::string bytes;
  const uint64_t values[] = {counts.total,     counts.scheduled, counts.ready,     counts.assigned,
                             counts.succeeded, counts.failed,    counts.cancelled, counts.retried};
  for (uint32_t i = 0; i < 8; ++i) wire::PutVarintField(i + 1, values[i], &bytes);
  // Of jobs that accept inputs only.
  if (counts.duplicate_inputs > 0) wire::PutVarintField(9, counts.duplicate_inputs, &bytes);
  if (counts.dropped_inputs > 0) wire::PutVarintField(10, counts.dropped_inputs, &bytes);
  if (counts.blocked > 0) wire::PutVarintField(12, counts.blocked, &bytes);
  if (counts.expired > 0) wire::PutVarintField(13, counts.expired, &bytes);
  for (const auto& [name, value] : counts.counters) {
    std::string counter;
    wire::PutBytesField(1, name, &counter);
    wire::PutVarintField(2, static_cast<uint64_t>(value), &counter);
    wire::PutBytesField(11, counter, &bytes);
  }
  return bytes;
}

bool DecodeCounter(std::string_view bytes, std::map<std::string, int64_t>* counters) {
  std::string_view name;
  uint64_t value = 0;
  wire::Reader reader(bytes);
  while (reader.Next()) {
    switch (reader.field()) {
      case 1: reader.Bytes(&name); break;
      case 2: reader.Varint(&value); break;
      default: reader.Skip();
    }
  }
  (*counters)[std::string(name)] = static_cast<int64_t>(value);
  return reader.ok();
}

bool DecodeCounts(std::string_view bytes, TaskCounts* counts) {
  uint64_t* const values[] = {&counts->total,         &counts->scheduled, &counts->ready,
                              &counts->assigned,      &counts->succeeded, &counts->failed,
                              &counts->cancelled,     &counts->retried,   &counts->duplicate_inputs,
                              &counts->dropped_inputs};
  wire::Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() >= 1 && reader.field() <= 10) {
      reader.Varint(values[reader.field() - 1]);
    } else if (reader.field() == 11) {
      std::string_view counter;
      reader.Bytes(&counter);
      if (!DecodeCounter(counter, &counts->counters)) return false;
    } else if (reader.field() == 12) {
      reader.Varint(&counts->blocked);
    } else if (reader.field() == 13) {
      reader.Varint(&counts->expired);
    } else {
      reader.Skip();
    }
  }
  return reader.ok();
}

std::string EncodeEnding(bool paused, const Ending& ending) {
  std::string bytes;
  const uint64_t values[] = {paused, static_cast<uint64_t>(ending.as),
                             static_cast<uint64_t>(ending.cause), ending.halted};
  for (uint32_t i = 0; i < 4; ++i) {
    if (values[i] > 0) wire::PutVarintField(kFirstOfEnding + i, values[i], &bytes);
  }
  return bytes;
}

bool DecodeEnding(std::string_view bytes, bool* paused, Ending* ending) {
  uint64_t values[4] = {};
  wire::Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() >= kFirstOfEnding && reader.field() < kFirstOfEnding + 4) {
      reader.Varint(&values[reader.field() - kFirstOfEnding]);
    } else {
      reader.Skip();
    }
  }
  const auto as = static_cast<JobState>(values[1]);
  if (!reader.ok() || values[0] > 1 || values[3] > 1 || values[1] > UINT8_MAX ||
      (as != JobState::kUnspecified && !IsTerminal(as)) ||
      values[2] > static_cast<uint64_t>(Cause::kAbandoned)) {
    return false;
  }
  *paused = values[0] != 0;
  *ending = {as, static_cast<Cause>(values[2]), values[3] != 0};
  return true;
}

std::string EncodeTaskKeys(const std::vector<uint64_t>& keys) {
  return {reinterpret_cast<const char*>(keys.data()), keys.size() * sizeof(uint64_t)};
}

bool DecodeTaskKeys(std::string_view bytes, uint32_t count, std::vector<uint64_t>* keys) {
  if (bytes.empty()) return true;
  if (bytes.size() != count * sizeof(uint64_t)) return false;
  keys->resize(count);
  std::memcpy(keys->data(), bytes.data(), bytes.size());
  return true;
}

}  // namespace reeve
