// The authority of a cluster, fetched from its master and known by its fingerprint: what a token
// pins is what is trusted, and nobody in between can put another in its place.
//
// Thread: any.

#ifndef REEVE_CLIENT_PINNED_AUTHORITY_H_
#define REEVE_CLIENT_PINNED_AUTHORITY_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/clusters.h"

namespace reeve {

// Begins TLS with the master and takes the authority out of the chain it shows. Nothing of ours is
// sent. Returns: PEM.
// Errors: UNAVAILABLE      not reached, or it speaks no TLS.
//         UNAUTHENTICATED  BAD_CERTIFICATE: it shows another authority.
absl::StatusOr<std::string> FetchAuthority(const Address& address, const std::string& fingerprint);

}  // namespace reeve

#endif  // REEVE_CLIENT_PINNED_AUTHORITY_H_
