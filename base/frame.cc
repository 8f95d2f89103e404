#include "base/frame.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "xxhash.h"

namespace reeve {
namespace {

static_assert(std::endian::native == std::endian::little, "the head is copied, not converted");

struct WireHead {
  uint32_t magic;
  uint16_t protocol;
  uint16_t type;
  uint64_t epoch;
  uint64_t session;
  uint64_t number;
  uint64_t checksum;
};
static_assert(sizeof(WireHead) == kHeadBytes);

uint64_t Checksum(const WireHead& head, std::string_view body, std::string_view blob) {
  uint64_t sum = XXH3_64bits(&head, offsetof(WireHead, checksum));
  sum = XXH3_64bits_withSeed(body.data(), body.size(), sum);
  return XXH3_64bits_withSeed(blob.data(), blob.size(), sum);
}

}  // namespace

std::string EncodeHead(const FrameHead& head, std::string_view body, std::string_view blob) {
  WireHead wire{kFrameMagic,
                head.protocol,
                static_cast<uint16_t>(head.type),
                head.epoch.value,
                head.session.value,
                0,
                0};
  wire.checksum = Checksum(wire, body, blob);
  return std::string(reinterpret_cast<const char*>(&wire), sizeof wire);
}

absl::StatusOr<FrameHead> DecodeHead(std::string_view head, std::string_view body,
                                     std::string_view blob, uint16_t* protocol_seen) {
  if (head.size() != kHeadBytes) return absl::InvalidArgumentError("head of the wrong length");
  WireHead wire;
  std::memcpy(&wire, head.data(), sizeof wire);
  if (wire.magic != kFrameMagic) return absl::InvalidArgumentError("wrong magic");
  if (protocol_seen != nullptr) *protocol_seen = wire.protocol;
  if (wire.protocol != kLinkProtocol) {
    return absl::UnimplementedError(
        absl::StrCat("link protocol ", wire.protocol, ", this side speaks ", kLinkProtocol));
  }
  // After the version: another version may sum differently, and deserves an answer.
  if (wire.checksum != Checksum(wire, body, blob)) return absl::DataLossError("wrong checksum");
  if (wire.type == 0 || wire.type > kLastFrameType) {
    return absl::InvalidArgumentError(absl::StrCat("unknown type ", wire.type));
  }
  return FrameHead{static_cast<FrameType>(wire.type), wire.protocol, Epoch(wire.epoch),
                   SessionId(wire.session)};
}

}  // namespace reeve
