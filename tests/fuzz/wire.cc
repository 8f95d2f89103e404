// The reader of protobuf wire bytes: views stay within the message, columns survive a round trip.

#include "base/wire.h"

#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

void ReadOne(std::string_view input, wire::Reader* reader, std::vector<uint32_t>* column) {
  uint64_t number = 0;
  std::string_view bytes;
  switch (reader->field() % 4) {
    case 0: reader->Varint(&number); break;
    case 1:
      reader->Bytes(&bytes);
      Require(bytes.empty() || (bytes.data() >= input.data() &&
                                bytes.data() + bytes.size() <= input.data() + input.size()),
              "bytes lie within the message");
      break;
    case 2: reader->Packed(column, 1000); break;
    default: reader->Skip();
  }
}

}  // namespace

void Fuzz(std::string_view input) {
  std::vector<uint32_t> column;
  wire::Reader reader(input);
  size_t fields = 0;
  while (reader.Next()) {
    ReadOne(input, &reader, &column);
    ++fields;
  }
  Require(fields <= input.size(), "every field takes at least a byte");
  if (!reader.ok()) return;
  Require(column.size() <= 1000, "a column that is accepted keeps its limit");
  std::string again;
  wire::PutPackedField(2, column, &again);
  std::vector<uint32_t> back;
  wire::Reader second(again);
  while (second.Next()) second.Packed(&back);
  Require(second.ok() && back == column, "a column that is written reads the same");
}

}  // namespace reeve::fuzz
