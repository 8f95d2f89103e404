// The head of a link message: what is accepted encodes to the same bytes again.

#include "base/frame.h"

#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  const std::string_view head = input.substr(0, kHeadBytes);
  const Parts parts = Split(input.substr(head.size()));
  const auto decoded = DecodeHead(head, parts.first, parts.second);
  if (decoded.ok()) {
    std::string again = EncodeHead(*decoded, parts.first, parts.second);
    // The reserved number is the one field that is not handed on.
    if (std::memcmp(head.data() + 24, "\0\0\0\0\0\0\0\0", 8) == 0) {
      Require(again == head, "a head that was accepted encodes to itself");
    }
  }
  // The checksum keeps the fuzzer out, so a right one is made from the same bytes.
  FrameHead made;
  made.type = static_cast<FrameType>(1 + input.size() % kLastFrameType);
  made.session = SessionId(input.size());
  const std::string encoded = EncodeHead(made, parts.first, parts.second);
  const auto back = DecodeHead(encoded, parts.first, parts.second);
  Require(back.ok() && back->type == made.type && back->session == made.session,
          "what is encoded is decoded");
}

}  // namespace reeve::fuzz
