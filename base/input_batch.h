// Inputs of consecutive tasks: reads the wire bytes of reeve.v1.TaskBatch (and of
// AppendTasksRequest, whose fields 1 to 4 are the same) without copying the blob, and writes them.
//
// Unknown fields are skipped, so the bytes a client sent can lie in the store as they came.
//
// Thread: immutable once made.

#ifndef REEVE_BASE_INPUT_BATCH_H_
#define REEVE_BASE_INPUT_BATCH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/ids.h"

namespace reeve {

class InputBatch {
 public:
  // Errors: INVALID_ARGUMENT (reason BAD_REQUEST)      the columns do not fit each other, or not
  // protobuf.
  //                          (reason INPUT_TOO_LARGE)  an input over kMaxPayloadBytes; names its
  //                          position. (reason TOO_MANY_TASKS)   more than kMaxTasksPerBatch.
  // Cost:   4 bytes a task if lengths differ, O(1) otherwise.
  static absl::StatusOr<std::shared_ptr<const InputBatch>> Parse(Buffer wire);

  uint32_t count() const { return count_; }
  // Wire bytes as parsed.
  const Buffer& wire() const { return wire_; }
  // Bytes of all inputs.
  uint64_t payload_bytes() const { return blob_.size(); }

  // Input of the task at `position`. REQUIRES: position < count().
  std::string_view Input(uint32_t position) const;
  // Inputs of [position, position + count) one after the other; shares the owner of the wire bytes.
  Buffer Inputs(uint32_t position, uint32_t count) const;
  uint32_t InputBytes(uint32_t position) const {
    return static_cast<uint32_t>(End(position) - Begin(position));
  }
  // One for each input, or none.
  bool has_keys() const { return !keys_.empty(); }
  std::vector<InputKey> Keys() const;
  // All inputs are of the same length.
  bool uniform() const { return offsets_.empty(); }

 private:
  InputBatch() = default;
  uint64_t Begin(uint32_t position) const {
    return uniform() ? uint64_t{position} * uniform_bytes_
                     : (position == 0 ? 0 : offsets_[position - 1]);
  }
  uint64_t End(uint32_t position) const { return Begin(position + 1); }

  Buffer wire_;
  std::string_view blob_;  // Within wire_.
  std::string_view keys_;  // Likewise.
  uint32_t count_ = 0;
  uint32_t uniform_bytes_ = 0;
  std::vector<uint32_t> offsets_;  // End of each input, if lengths differ.
};

// Builds the bytes of a TaskBatch.
class InputBatchBuilder {
 public:
  void Add(std::string_view input);
  // With its key. All inputs of a batch have one, or none has.
  void Add(std::string_view input, const InputKey& key);
  uint32_t count() const { return static_cast<uint32_t>(lengths_.size()); }
  // Bytes of the inputs so far.
  size_t payload_bytes() const { return blob_.size(); }
  // The wire bytes; the builder is empty afterwards.
  std::string Finish();

 private:
  std::vector<uint32_t> lengths_;
  std::string blob_, keys_;
};

}  // namespace reeve

#endif  // REEVE_BASE_INPUT_BATCH_H_
