// Where clusters are and how to get in: addresses, tokens, state folders.
//
// Thread: none; reads the environment and files.

#ifndef REEVE_CLIENT_CLUSTERS_H_
#define REEVE_CLIENT_CLUSTERS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reeve {

inline constexpr uint16_t kDefaultPort = 7520;

struct Address {
  std::string host = "127.0.0.1";
  uint16_t port = kDefaultPort;

  std::string ToString() const;  // `host:port`
  bool is_loopback() const;
};

// `host`, `host:port`, `:port`, `[::1]:port`. Errors: a usage error.
absl::StatusOr<Address> ParseAddress(std::string_view text);

// ~/.config/reeve, or under $XDG_CONFIG_HOME.
std::string ConfigFolder();
// $XDG_STATE_HOME/reeve, by default ~/.local/state/reeve.
std::string DefaultStateFolder();
// Where the token of the cluster at `address` is kept: <config
// folder>/clusters/127.0.0.1_7520.token.
std::string TokenFileOf(const Address& address);

// The token for `address`: from `token_file` if given, otherwise from TokenFileOf(address); empty
// if that is not there. Errors: a usage error if `token_file` cannot be read, or if the token is
// not made of visible ASCII characters.
absl::StatusOr<std::string> FindToken(const Address& address, const std::string& token_file);

// Makes `folder` and what is above it, for the owner alone.
absl::Status MakeFolders(const std::string& folder);

}  // namespace reeve

#endif  // REEVE_CLIENT_CLUSTERS_H_
