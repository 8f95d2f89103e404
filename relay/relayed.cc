#include "relay/relayed.h"

#include <utility>

#include "base/strings.h"
#include "base/wire.h"
#include "reeve/link/v1/link.pb.h"

namespace reeve {
namespace {

// Fields of link.v1.Relayed and its Part.
constexpr uint32_t kParts = 1;
enum Field : uint32_t {
  kSession = 1,
  kEpoch = 2,
  kType = 3,
  kBody = 4,
  kBlobBytes = 5,
  kConnection = 6,
  kUser = 7,
};
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

// By hand: no memory before a bound was checked, and bodies stay where they are.
absl::Status ReadPart(std::string_view wire, const Buffer& body, const Buffer& blob, size_t* offset,
                      RelayedPart* part) {
  uint64_t session = 0, epoch = 0, type = 0, blob_bytes = 0;
  std::string_view part_body, connection, user;
  wire::Reader reader(wire);
  while (reader.Next()) {
    switch (reader.field()) {
      case kSession: reader.Varint(&session); break;
      case kEpoch: reader.Varint(&epoch); break;
      case kType: reader.Varint(&type); break;
      case kBody: reader.Bytes(&part_body); break;
      case kBlobBytes: reader.Varint(&blob_bytes); break;
      case kConnection: reader.Bytes(&connection); break;
      case kUser: reader.Bytes(&user); break;
      default: reader.Skip();
    }
  }
  if (!reader.ok()) return Malformed("not a part of a Relayed");
  if (type == 0 || type > kLastFrameType) return Malformed("unknown type");
  if (connection.empty() || connection.size() > kMaxConnectionBytes || user.size() > kMaxUserBytes)
    return Malformed("a connection or a user out of bounds");
  if (blob_bytes > blob.size() - *offset) return Malformed("blobs are longer than the blob");
  part->head = {
      .type = static_cast<FrameType>(type), .epoch = Epoch(epoch), .session = SessionId(session)};
  part->connection = std::string(connection);
  part->user = std::string(user);
  if (!part_body.empty())
    part->body = body.Slice(part_body.data() - body.view().data(), part_body.size());
  part->blob = blob.Slice(*offset, blob_bytes);
  *offset += blob_bytes;
  return absl::OkStatus();
}

}  // namespace

RelayedFrame EncodeRelayed(const std::vector<RelayedPart>& parts) {
  link::v1::Relayed wire;
  for (const RelayedPart& part : parts) {
    link::v1::Relayed::Part* out = wire.add_parts();
    out->set_session(part.head.session.value);
    out->set_epoch(part.head.epoch.value);
    out->set_type(static_cast<uint32_t>(part.head.type));
    out->set_body(part.body.view().data(), part.body.size());
    out->set_blob_bytes(static_cast<uint32_t>(part.blob.size()));
    out->set_connection(part.connection);
    out->set_user(part.user);
  }
  return {wire.SerializeAsString(), Joined(parts)};
}

absl::StatusOr<std::vector<RelayedPart>> DecodeRelayed(const Buffer& body, const Buffer& blob) {
  std::vector<RelayedPart> parts;
  size_t offset = 0;
  std::string_view wire;
  wire::Reader reader(body.view());
  while (reader.Next()) {
    if (reader.field() != kParts) {
      reader.Skip();
      continue;
    }
    reader.Bytes(&wire);
    if (!reader.ok()) break;
    if (parts.size() == kMaxRelayedParts) return Malformed("too many messages in one");
    if (absl::Status s = ReadPart(wire, body, blob, &offset, &parts.emplace_back()); !s.ok())
      return s;
  }
  if (!reader.ok()) return Malformed("not a Relayed");
  if (parts.empty()) return Malformed("no message");
  if (offset != blob.size()) return Malformed("bytes that belong to no message");
  return parts;
}

}  // namespace reeve
