#include "base/wire.h"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace reeve::wire {
namespace {

// Bytes of a tag or length. Protobuf refuses longer ones, and what is taken here it must read
// later.
constexpr int kMost32 = 5;

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

char* WriteVarint(uint64_t value, char* out) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

void AppendVarint(uint64_t value, std::string* out) {
  char bytes[10];
  out->append(bytes, static_cast<size_t>(WriteVarint(value, bytes) - bytes));
}

}  // namespace

size_t VarintSize(uint64_t value) { return static_cast<size_t>(std::bit_width(value | 1) + 6) / 7; }

bool Reader::ReadVarint(uint64_t* value, int most_bytes) {
  uint64_t result = 0;
  for (int shift = 0; shift < 7 * most_bytes; shift += 7) {
    if (at_ == end_) break;
    const auto byte = static_cast<unsigned char>(*at_++);
    result |= shift < 64 ? uint64_t{byte & 0x7fu} << shift : 0;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  Fail();
  return false;
}

bool Reader::Next() {
  if (!ok_ || at_ == end_) return false;
  uint64_t tag;
  if (!ReadVarint(&tag, kMost32)) return false;
  if (tag > UINT32_MAX || (tag >> 3) == 0) {
    Fail();
    return false;
  }
  tag_ = static_cast<uint32_t>(tag);
  return true;
}

void Reader::Varint(uint64_t* value) {
  if ((tag_ & 7) != kVarint) return Fail();
  ReadVarint(value);
}

void Reader::Bytes(std::string_view* value) {
  uint64_t size;
  if ((tag_ & 7) != kBytes) return Fail();
  if (!ReadVarint(&size, kMost32)) return;
  if (size > static_cast<uint64_t>(end_ - at_)) return Fail();
  *value = std::string_view(at_, size);
  at_ += size;
}

void Reader::Packed(std::vector<uint32_t>* values, size_t limit) {
  uint64_t value;
  if ((tag_ & 7) == kVarint) {
    if (!ReadVarint(&value)) return;
    if (value > UINT32_MAX || values->size() >= limit) return Fail();
    values->push_back(static_cast<uint32_t>(value));
    return;
  }
  std::string_view column;
  Bytes(&column);
  if (!ok_) return;
  if (column.size() > limit * 5) return Fail();
  // A column may come in many pieces: grow by doubling, or copying them would take quadratic time.
  const size_t wanted = values->size() + column.size();
  if (wanted > values->capacity()) values->reserve(std::max(wanted, 2 * values->capacity()));
  const char* at = column.data();
  const char* const end = at + column.size();
  while (at != end) {
    // One byte is the common case by far.
    if (static_cast<unsigned char>(*at) < 0x80) {
      values->push_back(static_cast<unsigned char>(*at++));
      continue;
    }
    Reader entry(std::string_view(at, static_cast<size_t>(end - at)));
    if (!entry.ReadVarint(&value) || value > UINT32_MAX) return Fail();
    values->push_back(static_cast<uint32_t>(value));
    at = entry.at_;
  }
  if (values->size() > limit) Fail();
}

void Reader::Skip() {
  uint64_t ignored;
  std::string_view ignored_bytes;
  switch (tag_ & 7) {
    case kVarint: ReadVarint(&ignored); return;
    case kBytes: Bytes(&ignored_bytes); return;
    case kFixed64:
    case kFixed32: {
      const ptrdiff_t size = (tag_ & 7) == kFixed64 ? 8 : 4;
      if (end_ - at_ < size) return Fail();
      at_ += size;
      return;
    }
    default: Fail();  // Groups went out of use before Reeve began.
  }
}

void PutVarintField(uint32_t field, uint64_t value, std::string* out) {
  AppendVarint(uint64_t{field} << 3 | kVarint, out);
  AppendVarint(value, out);
}

void PutLengthPrefix(uint32_t field, uint64_t bytes, std::string* out) {
  AppendVarint(uint64_t{field} << 3 | kBytes, out);
  AppendVarint(bytes, out);
}

void PutBytesField(uint32_t field, std::string_view value, std::string* out) {
  PutLengthPrefix(field, value.size(), out);
  out->append(value);
}

void PutPackedField(uint32_t field, const std::vector<uint32_t>& values, std::string* out) {
  if (values.empty()) return;
  size_t bytes = 0;
  for (const uint32_t value : values) bytes += VarintSize(value);
  AppendVarint(uint64_t{field} << 3 | kBytes, out);
  AppendVarint(bytes, out);
  const size_t start = out->size();
  out->resize(start + bytes);
  char* at = out->data() + start;
  for (const uint32_t value : values) at = WriteVarint(value, at);
}

}  // namespace reeve::wire
