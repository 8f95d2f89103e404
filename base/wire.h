// Reading and writing the few protobuf wire forms that column batches need, without generated code.
//
// Not CodedInputStream: that copies blobs, and a copy of every payload at every stage is what
// columns are there to avoid.
//
// Thread: none.

#ifndef REEVE_BASE_WIRE_H_
#define REEVE_BASE_WIRE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reeve::wire {

// Walks the fields of one message.
//
//   wire::Reader reader(bytes);
//   while (reader.Next()) {
//     switch (reader.field()) {
//       case 2: reader.Packed(&lengths); break;
//       case 3: reader.Bytes(&blob); break;
//       default: reader.Skip();
//     }
//   }
//   if (!reader.ok()) …
//
// Exactly one of the reading methods is called per field. One that does not fit the field's wire
// type, or runs over the end, makes ok() false and Next() end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool Next();
  uint32_t field() const { return tag_ >> 3; }
  bool ok() const { return ok_; }

  void Varint(uint64_t* value);
  void Bytes(std::string_view* value);
  // Appends a packed (or single) column; values over 32 bits or more than `limit` entries in all
  // are an error.
  void Packed(std::vector<uint32_t>* values, size_t limit = 1u << 20);
  void Skip();

 private:
  bool ReadVarint(uint64_t* value, int most_bytes = 10);
  void Fail() {
    ok_ = false;
    at_ = end_;
  }

  const char* at_;
  const char* end_;
  uint32_t tag_ = 0;
  bool ok_ = true;
};

void PutVarintField(uint32_t field, uint64_t value, std::string* out);
void PutBytesField(uint32_t field, std::string_view value, std::string* out);
// Only tag and length of a length-delimited field; `bytes` of content must follow.
void PutLengthPrefix(uint32_t field, uint64_t bytes, std::string* out);
// Nothing is written for an empty column.
void PutPackedField(uint32_t field, const std::vector<uint32_t>& values, std::string* out);
size_t VarintSize(uint64_t value);

}  // namespace reeve::wire

#endif  // REEVE_BASE_WIRE_H_
