// Messages of several workers in one frame, between a relay and the master's collector: the wire
// form of link.v1.Relayed. Bodies and blobs are moved, never parsed.
//
// Thread: a builder belongs to one thread.

#ifndef REEVE_RELAY_RELAYED_H_
#define REEVE_RELAY_RELAYED_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/frame.h"
#include "base/ids.h"

namespace reeve {

// Messages that one frame may hold.
inline constexpr size_t kMaxRelayedParts = 1'024;
// Bodies above this are not relayed: with what goes around it a frame could be larger than any may
// be.
inline constexpr size_t kMaxRelayedBody = kMaxMessageBytes - 1'024;

struct RelayedPart {
  FrameHead head;
  std::string connection;  // 1 to 255 bytes.
  std::string user;        // At most 64 bytes.
  Buffer body;             // At most kMaxRelayedBody.
  Buffer blob;             // At most kMaxMessageBytes.

  size_t bytes() const { return body.size() + blob.size(); }
};

struct RelayedFrame {
  std::string body;
  Buffer blob;
};

// REQUIRES: the sums of bodies and of blobs keep within the bounds of one part, and there are at
// most kMaxRelayedParts. Cost: the bytes are copied, but not a blob that is alone.
RelayedFrame EncodeRelayed(const std::vector<RelayedPart>& parts);

// Errors: INVALID_ARGUMENT  not protobuf, no part or too many, or a part does not fit the blob.
// Note:   of each part, `type` may be any. Bodies and blobs are not copied.
absl::StatusOr<std::vector<RelayedPart>> DecodeRelayed(const Buffer& body, const Buffer& blob);

}  // namespace reeve

#endif  // REEVE_RELAY_RELAYED_H_
