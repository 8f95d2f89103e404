#include "base/input_batch.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/input_key.h"
#include "base/strings.h"
#include "base/wire.h"

namespace reeve {
namespace {

// Fields of reeve.v1.TaskBatch.
constexpr uint32_t kTaskCount = 1, kInputBytes = 2, kInputs = 3, kKeys = 4;

absl::Status BadBatch(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", what);
}

absl::Status TooLarge(size_t position, uint32_t bytes) {
  return MakeError(absl::StatusCode::kInvalidArgument, "INPUT_TOO_LARGE",
                   StrCat("input ", position, " of the batch has ", bytes,
                          " bytes; an input may have at most ", kMaxPayloadBytes));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const InputBatch>> InputBatch::Parse(Buffer wire) {
  uint64_t count = 0;
  std::vector<uint32_t> lengths;
  std::string_view blob, keys;
  wire::Reader reader(wire.view());
  while (reader.Next()) {
    switch (reader.field()) {
      case kTaskCount: reader.Varint(&count); break;
      case kInputBytes: reader.Packed(&lengths, kMaxTasksPerBatch); break;
      case kInputs: reader.Bytes(&blob); break;
      case kKeys: reader.Bytes(&keys); break;
      default: reader.Skip();
    }
  }
  if (!reader.ok()) return BadBatch("the task batch is not valid protobuf");
  if (count > kMaxTasksPerBatch) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TOO_MANY_TASKS",
                     StrCat("a batch may have at most ", kMaxTasksPerBatch, " tasks, not ", count));
  }
  if (lengths.size() > 1 && lengths.size() != count) {
    return BadBatch(StrCat("input_bytes has ", lengths.size(), " entries for ", count, " tasks"));
  }
  if (!keys.empty() && keys.size() != count * kInputKeyBytes)
    return BadBatch(StrCat("keys has ", keys.size(), " bytes for ", count, " tasks; each has 16"));
  std::shared_ptr<InputBatch> batch(new InputBatch());
  batch->count_ = static_cast<uint32_t>(count);
  uint64_t total = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > kMaxPayloadBytes) return TooLarge(i, lengths[i]);
    total += lengths[i];
  }
  if (lengths.size() <= 1) {
    batch->uniform_bytes_ = lengths.empty() ? 0 : lengths[0];
    total = uint64_t{batch->uniform_bytes_} * count;
  } else {
    // The lengths become their own prefix sums in place.
    for (size_t i = 1; i < lengths.size(); ++i) lengths[i] += lengths[i - 1];
    batch->offsets_ = std::move(lengths);
  }
  if (total != blob.size()) {
    return BadBatch(
        StrCat("input_bytes add up to ", total, " but inputs has ", blob.size(), " bytes"));
  }
  batch->wire_ = std::move(wire);
  batch->blob_ = blob;
  batch->keys_ = keys;
  return batch;
}

std::string_view InputBatch::Input(uint32_t position) const {
  return blob_.substr(Begin(position), InputBytes(position));
}

Buffer InputBatch::Inputs(uint32_t position, uint32_t count) const {
  const uint64_t begin = Begin(position), end = Begin(position + count);
  // Without any bytes there may be no blob on the wire, and then no place in it to count from.
  if (blob_.empty()) return {};
  return wire_.Slice(static_cast<size_t>(blob_.data() - wire_.view().data()) + begin, end - begin);
}

std::vector<InputKey> InputBatch::Keys() const {
  std::vector<InputKey> keys;
  DecodeKeys(keys_, &keys);
  return keys;
}

void InputBatchBuilder::Add(std::string_view input, const InputKey& key) {
  Add(input);
  AppendKey(key, &keys_);
}

void InputBatchBuilder::Add(std::string_view input) {
  lengths_.push_back(static_cast<uint32_t>(input.size()));
  blob_.append(input);
}

std::string InputBatchBuilder::Finish() {
  std::string out;
  if (!lengths_.empty()) {
    out.reserve(blob_.size() + keys_.size() + lengths_.size() * 2 + 32);
    wire::PutVarintField(kTaskCount, lengths_.size(), &out);
    const bool uniform =
        std::all_of(lengths_.begin(), lengths_.end(), [&](uint32_t n) { return n == lengths_[0]; });
    if (uniform) lengths_.resize(1);
    wire::PutPackedField(kInputBytes, lengths_, &out);
    wire::PutBytesField(kInputs, blob_, &out);
    if (!keys_.empty()) wire::PutBytesField(kKeys, keys_, &out);
  }
  lengths_.clear();
  blob_.clear();
  keys_.clear();
  return out;
}

}  // namespace reeve
