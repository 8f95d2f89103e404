// The access file: tokens of those who call, and keys of the workers that may connect.
//
//   rv1.<token id>.<secret>[.<fingerprint of the cluster's authority>]
//
// Of a token only the SHA-256 of its secret is kept. Everything is in memory; a change is in the
// file, synced, before it counts. A principal may have several tokens: to change one without a
// pause, make the next, hand it out, revoke the first.
//
// Thread: any.

#ifndef REEVE_MASTER_ACCESS_ACCESS_H_
#define REEVE_MASTER_ACCESS_ACCESS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "master/access/principal.h"

namespace reeve {

struct TokenEntry {
  std::string token_id;
  std::string principal;
  uint32_t roles = 0;
  std::string secret_sha256;
  absl::Time create_time;
  absl::Time expire_time = absl::InfiniteFuture();
  std::vector<std::string> handlers;  // Empty: all.
};

struct WorkerEntry {
  std::string worker_id;
  std::string public_key;  // CURVE, Z85.
  std::string hostname;
  std::string enrolled_by;
  absl::Time enrol_time;
  bool is_relay = false;
};

class Access {
 public:
  struct Options {
    std::string file;         // Need not be there yet.
    std::string root_token;   // Of kRootPrincipal, who may do everything.
    std::string fingerprint;  // Of the authority; appended to tokens; empty: there is none.
  };
  struct NewToken {
    TokenEntry entry;
    std::string text;  // Told once.
  };

  // Errors: FAILED_PRECONDITION  the file is damaged: says where; or the root token is empty, which
  //                              anybody could send.
  static absl::StatusOr<std::unique_ptr<Access>> Open(Options options);

  // ---- Who calls ----

  // Errors: UNAUTHENTICATED BAD_TOKEN (wrong or revoked), TOKEN_EXPIRED.
  absl::StatusOr<Principal> Identify(std::string_view token, absl::Time now) const;

  // `principal`: 1 to 64 of a-z, 0-9, `.`, `_` and `-`, not `root`. `roles`: at least one.
  // `handlers`: at most 100 names of 1 to 64 characters; empty: all.
  // Errors: INVALID_ARGUMENT; RESOURCE_EXHAUSTED  kMaxEntries; INTERNAL  the file.
  absl::StatusOr<NewToken> CreateToken(const std::string& principal, uint32_t roles,
                                       absl::Time expire_time, absl::Time now,
                                       std::vector<std::string> handlers = {});
  std::vector<TokenEntry> ListTokens() const;
  // By id, or all of a principal. Returns: how many. Errors: NOT_FOUND; INTERNAL.
  absl::StatusOr<size_t> RevokeTokens(const std::string& id_or_principal);

  // ---- Which workers connect ----

  // Binds `worker_id` to a key. Again with the same key: changes nothing.
  // Errors: INVALID_ARGUMENT  a key or id that is none.
  //         ALREADY_EXISTS    WORKER_ENROLLED: id or key are bound otherwise; revoke it first.
  absl::Status EnrolWorker(WorkerEntry entry);
  std::vector<WorkerEntry> ListWorkers() const;
  // By worker id. Errors: NOT_FOUND; INTERNAL.
  absl::Status RevokeWorker(const std::string& worker_id);

  bool IsEnrolled(const std::string& public_key) const;
  // The worker or relay this key is of. Errors: NOT_FOUND.
  absl::StatusOr<WorkerEntry> WorkerOf(const std::string& public_key) const;

  // Takes the file as it is now. Errors: as Open; nothing changed.
  absl::Status Reload();

  static constexpr size_t kMaxEntries = 10'000;  // Of tokens, and of workers.

 private:
  explicit Access(Options options) : options_(std::move(options)) {}

  struct Entries {
    std::map<std::string, TokenEntry> tokens;    // By id.
    std::map<std::string, WorkerEntry> workers;  // By public key.
  };
  absl::StatusOr<Entries> Read() const;
  absl::Status Write(const Entries& entries) const;
  // Those of now, for a change.
  Entries Copy() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  // Writes first; the change counts if that is done.
  absl::Status Replace(Entries entries) ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);

  const Options options_;
  // One change at a time. Taken before mu_, which is not held while the file is synced: the loop
  // asks with every frame.
  Mutex changing_;
  mutable Mutex mu_;
  Entries entries_ ABSL_GUARDED_BY(mu_);
};

// `submit`, `read`, `admin`, `worker` for each bit.
std::vector<std::string> RoleNames(uint32_t roles);
// Errors: INVALID_ARGUMENT  not a role.
absl::StatusOr<uint32_t> ParseRole(std::string_view name);

}  // namespace reeve

#endif  // REEVE_MASTER_ACCESS_ACCESS_H_
