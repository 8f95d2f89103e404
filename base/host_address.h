// Hosts and ports as people write them.
//
// Thread: any. Names are looked up, which may take seconds.

#ifndef REEVE_BASE_HOST_ADDRESS_H_
#define REEVE_BASE_HOST_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace reeve {

// Whether nobody but this machine reaches it there: every address that `host` stands for is
// loopback, also as an IPv4 address within IPv6. A name that cannot be looked up is not.
bool IsLoopbackHost(const std::string& host);

// Whether it stands for every address of the machine: `0.0.0.0`, `::`, `*`.
bool IsWildcardHost(std::string_view host);

// `10.0.0.5:7520`, `[fd00::5]:7520`.
std::string WithPort(std::string_view host, uint32_t port);

struct HostPort {
  std::string host;  // Without brackets.
  uint16_t port = 0;
};
// `HOST:PORT`, `[IPV6]:PORT`. Errors: INVALID_ARGUMENT.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

}  // namespace reeve

#endif  // REEVE_BASE_HOST_ADDRESS_H_
