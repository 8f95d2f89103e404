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

// The certificate that the master shows, PEM. What it is worth is not looked at.
// Errors: UNAVAILABLE  not reached, or it speaks no TLS.
absl::StatusOr<std::string> FetchCertificate(const Address& address);

// Whether something answers at this port of the host. Errors: UNAVAILABLE, with the reason.
absl::Status TryConnect(const Address& address);

}  // namespace reeve

#endif  // REEVE_CLIENT_PINNED_AUTHORITY_H_
