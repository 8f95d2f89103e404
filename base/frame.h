// The head of every link message and its checksum.
//
// A message is three frames: head (40 bytes), body (a protobuf of reeve/link/v1) and blob (may be
// empty). All numbers are little-endian:
//
//   offset  0  u32  magic "REV1" (0x31564552)
//           4  u16  protocol version
//           6  u16  type
//           8  u64  epoch: the master's; 0 before the first Welcome
//          16  u64  session
//          24  u64  number: reserved for the type (0)
//          32  u64  XXH3-64 over bytes 0..31 of the head, then the body, then the blob (chained,
//          seeded by the sum so far)
//
// Raw bytes that a port scanner or an HTTP client sends reach a ZeroMQ socket as messages
// (reliability.md Z14); magic and checksum turn them away.

#ifndef REEVE_BASE_FRAME_H_
#define REEVE_BASE_FRAME_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/ids.h"

namespace reeve {

inline constexpr uint32_t kFrameMagic = 0x31564552;
inline constexpr uint16_t kLinkProtocol = 1;
inline constexpr size_t kHeadBytes = 40;
inline constexpr size_t kFrameCount = 3;

enum class FrameType : uint16_t {
  kHello = 1,
  kWelcome = 2,
  kWhoAreYou = 3,
  kHeartbeat = 4,
  kHeartbeatAck = 5,
  kAssign = 6,
  kRecall = 7,
  kRecalled = 8,
  kCancel = 9,
  kRelease = 10,
  kResults = 11,
  kResultAck = 12,
  kOutput = 13,
  kDrain = 14,
  kGoodbye = 15,
  kRelayed = 16,
  kRelayedAck = 17,
};
inline constexpr uint16_t kLastFrameType = 17;

struct FrameHead {
  FrameType type = FrameType::kHello;
  uint16_t protocol = kLinkProtocol;
  Epoch epoch;
  SessionId session;
};

// The head for `body` and `blob`, kHeadBytes long.
std::string EncodeHead(const FrameHead& head, std::string_view body, std::string_view blob);

// Errors: INVALID_ARGUMENT  wrong length, magic or type: not one of ours.
//         UNIMPLEMENTED     another protocol version; `*protocol_seen` tells which, if given.
//         DATA_LOSS         the checksum is wrong.
absl::StatusOr<FrameHead> DecodeHead(std::string_view head, std::string_view body,
                                     std::string_view blob, uint16_t* protocol_seen = nullptr);

}  // namespace reeve

#endif  // REEVE_BASE_FRAME_H_
