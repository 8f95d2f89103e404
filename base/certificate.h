// The cluster's own certificate authority: made once, signs the certificates of its masters, and is
// what clients trust. PEM in, PEM out; keys are ECDSA on P-256.
//
// Thread: any.

#ifndef REEVE_BASE_CERTIFICATE_H_
#define REEVE_BASE_CERTIFICATE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

struct x509_st;  // OpenSSL's X509.

namespace reeve {

// The name every server certificate holds besides its addresses: what a client that trusts the
// authority asks for, whatever address it used.
inline constexpr char kServerName[] = "reeve-master";

struct CertifiedKey {
  std::string certificate;  // PEM; of a server: its own, then the authority's.
  std::string key;          // PEM, a secret.
};

// An authority for `cluster`, valid for 20 years from `now`.
absl::StatusOr<CertifiedKey> MakeAuthority(const std::string& cluster, absl::Time now);

// A server certificate of `authority` from an hour before `now` until `valid` after it, for
// kServerName and `names`, each a host name or an IP address.
// Errors: INVALID_ARGUMENT  the authority or a name cannot be used.
absl::StatusOr<CertifiedKey> IssueServer(const CertifiedKey& authority,
                                         const std::vector<std::string>& names, absl::Time now,
                                         absl::Duration valid);

std::string PemOf(x509_st* certificate);

// When the first certificate of `pem` ends. Errors: INVALID_ARGUMENT.
absl::StatusOr<absl::Time> EndOf(const std::string& pem);
// Whether the first certificate of `pem` is for all of `names` and kServerName.
bool IsFor(const std::string& pem, const std::vector<std::string>& names);

// SHA-256 over the first certificate of `pem`, 64 hexadecimal digits: what a token pins.
// Errors: INVALID_ARGUMENT  no certificate.
absl::StatusOr<std::string> Fingerprint(const std::string& pem);

// SHA-256, 64 hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);
// Takes as long for a wrong secret as for the right one of the same length.
bool SameSecret(std::string_view a, std::string_view b);

}  // namespace reeve

#endif  // REEVE_BASE_CERTIFICATE_H_
