// What a relay and the master's collector say to each other: accepted parts keep within the frame,
// and encode to what decodes to the same parts.

#include "relay/relayed.h"

#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

bool Same(const RelayedPart& a, const RelayedPart& b) {
  return a.head.type == b.head.type && a.head.epoch == b.head.epoch &&
         a.head.session == b.head.session && a.connection == b.connection && a.user == b.user &&
         a.body.view() == b.body.view() && a.blob.view() == b.blob.view();
}

}  // namespace

void Fuzz(std::string_view input) {
  const Parts halves = Split(input);
  const auto parts = DecodeRelayed(Borrow(halves.first), Borrow(halves.second));
  if (!parts.ok()) return;
  Require(!parts->empty() && parts->size() <= kMaxRelayedParts, "some parts, not too many");
  size_t bytes = 0;
  for (const RelayedPart& part : *parts) {
    Require(!part.connection.empty() && part.connection.size() <= 255, "each has a connection");
    bytes += part.blob.size();
  }
  Require(bytes == halves.second.size(), "blobs are the whole blob");
  const RelayedFrame frame = EncodeRelayed(*parts);
  const auto again = DecodeRelayed(Buffer(frame.body), frame.blob);
  Require(again.ok() && again->size() == parts->size(), "what was decoded encodes");
  for (size_t i = 0; i < parts->size(); ++i)
    Require(Same((*parts)[i], (*again)[i]), "and is the same");
}

}  // namespace reeve::fuzz
