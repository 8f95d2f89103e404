#include "master/store/chunk_rows.h"

#include "base/input_key.h"
#include "base/strings.h"
#include "master/store/row_codec.h"
#include "master/store/sqlite_rows.h"

namespace reeve {
namespace {

SqliteStatement& OfJob(SqliteStatement* read, JobId job) {
  return read->Bind(RowId(job, 0)).Bind(RowId(job, UINT32_MAX));
}

// The chunk of the row that the statement is at; null: there is none. Rows ascend.
ChunkImage* ChunkOf(const SqliteStatement& row, std::vector<ChunkImage>::iterator* at,
                    std::vector<ChunkImage>* chunks) {
  const auto first = static_cast<TaskIndex>(row.Int(0));
  while (*at != chunks->end() && (*at)->run.first < first) ++*at;
  return *at == chunks->end() || (*at)->run.first != first ? nullptr : &**at;
}

}  // namespace

absl::Status ReadChunkRows(SqliteStatement* read, JobId job, std::vector<ChunkImage>* chunks) {
  OfJob(read, job);
  for (;;) {
    const auto row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    ChunkImage& chunk = chunks->emplace_back();
    chunk.run = {static_cast<TaskIndex>(read->Int(0)), static_cast<uint32_t>(read->Int(1))};
    chunk.birth = {Epoch(static_cast<uint64_t>(read->Int(2))), static_cast<uint64_t>(read->Int(3))};
    chunk.bytes = static_cast<uint64_t>(read->Int(4));
  }
}

absl::Status ReadKeyedRows(SqliteStatement* read, JobId job, std::vector<ChunkImage>* chunks,
                           std::vector<InputKey>* keys) {
  OfJob(read, job);
  auto at = chunks->begin();
  for (;;) {
    const auto row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    ChunkImage* chunk = ChunkOf(*read, &at, chunks);
    if (chunk == nullptr ||
        Checksum(StrCat(read->Bytes(1), read->Bytes(4)), read->Bytes(3)) != read->Int(2) ||
        !DecodePositions(read->Bytes(1), chunk->run.count, &chunk->positions) ||
        !DecodeKeys(read->Bytes(3), keys) ||
        !DecodeTaskKeys(read->Bytes(4), chunk->run.count, &chunk->task_keys)) {
      read->Reset();
      return Damaged("keys", job);
    }
  }
}

absl::Status ReadSharedRows(SqliteStatement* read, JobId job, std::vector<ChunkImage>* chunks) {
  OfJob(read, job);
  auto at = chunks->begin();
  for (;;) {
    const auto row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    ChunkImage* chunk = ChunkOf(*read, &at, chunks);
    if (chunk == nullptr) {
      read->Reset();
      return Damaged("inputs", job);
    }
    chunk->source = JobId(static_cast<uint64_t>(read->Int(1)) >> 32);
  }
}

}  // namespace reeve
