// Where a master listens, and whether it is protected there.
//
// Thread: none. Names are looked up, which may take seconds.

#ifndef REEVE_MASTER_ACCESS_LISTENING_H_
#define REEVE_MASTER_ACCESS_LISTENING_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace reeve {

struct ListenFlags {
  std::vector<std::string> hosts;  // Empty: 127.0.0.1. `*` is read as 0.0.0.0.
  bool encrypt = false;            // Also on loopback.
  bool plaintext = false;          // No encryption; beyond loopback only with the next.
  bool insecure = false;
};

struct Listening {
  std::vector<std::string> hosts;  // Each once.
  bool is_protected = false;       // TLS and CURVE on all of them.
  bool is_open = false;            // Beyond loopback, and not protected.

  // `SCHEME` + `HOST:PORT` of each.
  std::vector<std::string> Addresses(uint32_t port, std::string_view scheme = "") const;
  // What the certificate is for: these, `further`, this machine's name and loopback.
  std::vector<std::string> Names(const std::vector<std::string>& further) const;
};

// Beyond loopback everything is encrypted and nobody is let in without a key or token. Loopback is
// always among the hosts: the people and workers of this machine keep their address.
// Errors: FAILED_PRECONDITION  what is plain would be reached from elsewhere: says how to do it
//                              right.
//         INVALID_ARGUMENT     flags that contradict each other.
absl::StatusOr<Listening> DecideListening(const ListenFlags& flags);

}  // namespace reeve

#endif  // REEVE_MASTER_ACCESS_LISTENING_H_
