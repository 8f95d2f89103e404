// The key file of a worker: its own CURVE pair and the master's public keys. Written when it joins,
// and again when the master tells its next key.
//
//   worker_id 1f0c…
//   secret_key …           one entry a line, name and value
//
// Thread: any.

#ifndef REEVE_BASE_LINK_KEYS_H_
#define REEVE_BASE_LINK_KEYS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/zmq_curve.h"

namespace reeve {

struct LinkKeys {
  std::string worker_id;
  CurveKeys own;
  std::string server_key;       // Public, Z85.
  std::string next_server_key;  // The one after it; may be empty.
};

// Errors: NOT_FOUND; PERMISSION_DENIED  others than its owner may read it.
//         INVALID_ARGUMENT  something is missing or no key: says what.
absl::StatusOr<LinkKeys> ReadLinkKeys(const std::string& path);
// For its owner alone, whole or not at all.
absl::Status WriteLinkKeys(const std::string& path, const LinkKeys& keys);

}  // namespace reeve

#endif  // REEVE_BASE_LINK_KEYS_H_
