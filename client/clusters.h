// Where clusters are and how to get in: addresses, tokens, authorities, state folders.
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
// Of a worker: beside it, reeve-worker.
std::string DefaultWorkerFolder();
// Where the token of the cluster at `address` is kept: <config
// folder>/clusters/127.0.0.1_7520.token.
std::string TokenFileOf(const Address& address);

// Where the authority of that cluster is kept, beside the token; not there: it is not encrypted.
std::string AuthorityFileOf(const Address& address);

// What gets one in.
struct ClusterAccess {
  std::string token;      // Empty: none is known.
  std::string authority;  // PEM of what is trusted; empty: no TLS.
};

// For `address`: the token from `token_file` if given, otherwise from TokenFileOf(address), and the
// authority from AuthorityFileOf(address).
// Errors: a usage error if `token_file` cannot be read, if the token is not made of visible ASCII
// characters, or if it pins another authority than the one that is kept.
absl::StatusOr<ClusterAccess> FindAccess(const Address& address, const std::string& token_file);
// Keeps it for FindAccess.
absl::Status SaveAccess(const Address& address, const ClusterAccess& access);

// The fingerprint of the authority that a token pins: `rv1.ID.SECRET.FINGERPRINT`. Empty: none.
std::string PinnedBy(const std::string& token);

// Makes `folder` and what is above it, for the owner alone.
absl::Status MakeFolders(const std::string& folder);

}  // namespace reeve

#endif  // REEVE_CLIENT_CLUSTERS_H_
