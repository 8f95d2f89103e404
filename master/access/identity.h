// What a master that listens beyond loopback proves itself by, in its state folder:
//
//   ca.pem ca.key     the cluster's authority, made once
//   server.pem        key, certificate and authority, renewed in good time
//   link.keys         two CURVE secret keys: the one of now, and the one that will be next; and
//   when
//                     they last changed
//   join_token        a token with the role worker, for the line that `up` prints
//
// Thread: any.

#ifndef REEVE_MASTER_ACCESS_IDENTITY_H_
#define REEVE_MASTER_ACCESS_IDENTITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/certificate.h"
#include "base/mutex.h"
#include "base/zmq_curve.h"

namespace reeve {

class MasterIdentity {
 public:
  // Makes what is not there. `names`: hosts and addresses that clients may check the certificate
  // for; kServerName is always among them.
  // Errors: FAILED_PRECONDITION  a file is damaged or cannot be written.
  static absl::StatusOr<std::unique_ptr<MasterIdentity>> Open(const std::string& folder,
                                                              const std::string& cluster_id,
                                                              std::vector<std::string> names,
                                                              absl::Time now);

  const std::string& fingerprint() const { return fingerprint_; }
  std::string certificate_file() const { return folder_ + "/server.pem"; }
  std::string authority_file() const { return folder_ + "/ca.pem"; }
  std::string join_token_file() const { return folder_ + "/join_token"; }

  CurveKeys current() const;
  std::string next_public_key() const;

  // A new certificate with a new key, if a third of the time of this one is left or a name is new.
  absl::Status Renew(absl::Time now);
  // A new certificate in any case; the next CURVE key becomes the current one, another is made to
  // be next. Not twice in a minute: workers must learn the next one before it counts. Errors:
  // FAILED_PRECONDITION  KEYS_CHANGED.
  absl::Status Rotate(absl::Time now);

 private:
  MasterIdentity(std::string folder, std::vector<std::string> names)
      : folder_(std::move(folder)), names_(std::move(names)) {}
  absl::Status LoadAuthority(const std::string& cluster_id, absl::Time now);
  absl::Status LoadLinkKeys();
  absl::Status SaveLinkKeys() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Issue(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string folder_;
  const std::vector<std::string> names_;
  CertifiedKey authority_;
  std::string fingerprint_;
  mutable Mutex mu_;
  CurveKeys current_ ABSL_GUARDED_BY(mu_), next_ ABSL_GUARDED_BY(mu_);
  absl::Time rotated_ ABSL_GUARDED_BY(mu_) = absl::UnixEpoch();
};

}  // namespace reeve

#endif  // REEVE_MASTER_ACCESS_IDENTITY_H_
