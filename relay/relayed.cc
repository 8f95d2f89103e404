#include "relay/relayed.h"

#include <utility>

#include "base/strings.h"
#include "reeve/link/v1/link.pb.h"

namespace reeve {
namespace {

constexpr size_t kMaxConnectionBytes = 255, kMaxUserBytes = 64;

absl::Status Malformed(std::string_view what) { return absl::InvalidArgumentError(ToAbsl(what)); }

Buffer Joined(const std::vector<RelayedPart>& parts) {
  if (parts.size() == 1) return parts.front().blob;
  size_t bytes = 0;
  for (const RelayedPart& part : parts) bytes += part.blob.size();
  std::string all;
  all.reserve(bytes);
  for (const RelayedPart& part : parts) all += part.blob.view();
  return Buffer(std::move(all));
}

}  // namespace

RelayedFrame EncodeRelayed(const std::vector<RelayedPart>& parts) {
  link::v1::Relayed wire;
  for (const RelayedPart& part : parts) {
    wire.add_session(part.head.session.value);
    wire.add_epoch(part.head.epoch.value);
    wire.add_type(static_cast<uint32_t>(part.head.type));
    wire.add_body(part.body.view().data(), part.body.size());
    wire.add_blob_bytes(static_cast<uint32_t>(part.blob.size()));
    wire.add_connection(part.connection);
    wire.add_user(part.user);
  }
  return {wire.SerializeAsString(), Joined(parts)};
}

absl::StatusOr<std::vector<RelayedPart>> DecodeRelayed(const Buffer& body, const Buffer& blob) {
  link::v1::Relayed wire;
  if (!wire.ParseFromArray(body.view().data(), static_cast<int>(body.size())))
    return Malformed("not a Relayed");
  const int n = wire.session_size();
  if (n == 0 || n > kMaxRelayedParts) return Malformed("no or too many messages in one");
  if (wire.epoch_size() != n || wire.type_size() != n || wire.body_size() != n ||
      wire.blob_bytes_size() != n || wire.connection_size() != n || wire.user_size() != n)
    return Malformed("columns of relayed messages differ");
  std::vector<RelayedPart> parts(n);
  size_t offset = 0;
  for (int i = 0; i < n; ++i) {
    RelayedPart& part = parts[i];
    if (wire.type(i) == 0 || wire.type(i) > kLastFrameType) return Malformed("unknown type");
    if (wire.connection(i).empty() || wire.connection(i).size() > kMaxConnectionBytes ||
        wire.user(i).size() > kMaxUserBytes)
      return Malformed("a connection or a user out of bounds");
    if (wire.blob_bytes(i) > blob.size() - offset)
      return Malformed("blobs are longer than the blob");
    part.head = {.type = static_cast<FrameType>(wire.type(i)),
                 .epoch = Epoch(wire.epoch(i)),
                 .session = SessionId(wire.session(i))};
    part.connection = std::move(*wire.mutable_connection(i));
    part.user = std::move(*wire.mutable_user(i));
    part.body = Buffer(std::move(*wire.mutable_body(i)));
    part.blob = blob.Slice(offset, wire.blob_bytes(i));
    offset += wire.blob_bytes(i);
  }
  if (offset != blob.size()) return Malformed("bytes that belong to no message");
  return parts;
}

}  // namespace reeve
