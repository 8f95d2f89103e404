// Rows of inputs without their bytes, as the start of a master and the retry of tasks need them.
//
// Thread: the connection's.

#ifndef REEVE_MASTER_STORE_CHUNK_ROWS_H_
#define REEVE_MASTER_STORE_CHUNK_ROWS_H_

#include <vector>

#include "absl/status/status.h"
#include "base/ids.h"
#include "master/scheduler/image.h"
#include "master/store/sqlite.h"

namespace reeve {

inline constexpr char kSelectChunks[] =
    "SELECT id, count, birth_epoch, birth_counter, size FROM inputs WHERE id BETWEEN ? AND ? ORDER "
    "BY id";
inline constexpr char kSelectKeyedInputs[] =
    "SELECT id, positions, crc, keys, task_keys FROM keyed_inputs WHERE id BETWEEN ? AND ? ORDER "
    "BY "
    "id";
inline constexpr char kSelectSharedInputs[] =
    "SELECT id, source FROM shared_inputs WHERE id BETWEEN ? AND ? ORDER BY id";

// `read`: a statement of the text above. Errors of all: DATA_LOSS; those of the database.
absl::Status ReadChunkRows(SqliteStatement* read, JobId job, std::vector<ChunkImage>* chunks);
// Adds positions and keys of tasks to `chunks`, and input keys to `keys`.
absl::Status ReadKeyedRows(SqliteStatement* read, JobId job, std::vector<ChunkImage>* chunks,
                           std::vector<InputKey>* keys);
// Says whose the inputs are.
absl::Status ReadSharedRows(SqliteStatement* read, JobId job, std::vector<ChunkImage>* chunks);

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_CHUNK_ROWS_H_
