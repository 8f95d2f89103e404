// The one place that says who may call what: token, role, limits, and the audit log.
//
// Every method of every service asks Admit first; what each method asks for stands with it in
// services.proto (method_rules.h is made from there). Whose job it is, is looked at where jobs are
// found (job_finder.h).
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_DOORKEEPER_H_
#define REEVE_MASTER_SERVICE_DOORKEEPER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "grpcpp/grpcpp.h"
#include "master/access/access.h"
#include "master/access/audit_log.h"
#include "master/access/budgets.h"
#include "master/access/principal.h"
#include "master/service/method_rules.h"

namespace reeve {

// Somebody who was let in, for one call.
struct Caller {
  Principal principal;
  std::string token;  // As sent, to be looked at again; never logged.
  std::string peer;
  Method method{};
};

class Doorkeeper;

// A stream that was let in. Held for as long as its call lives, at most until OnDone.
class Guest {
 public:
  Guest() = default;
  Guest(Doorkeeper* door, uint64_t id, Caller caller)
      : door_(door), id_(id), caller_(std::move(caller)) {}
  Guest(Guest&& other) noexcept
      : door_(std::exchange(other.door_, nullptr)),
        id_(other.id_),
        caller_(std::move(other.caller_)) {}
  Guest& operator=(Guest&&) = delete;
  ~Guest() { End(); }

  const Caller& caller() const { return caller_; }
  // Charges bytes to the principal. Errors: RESOURCE_EXHAUSTED TOO_MANY_REQUESTS.
  absl::Status Charge(uint64_t bytes) const;
  // As Doorkeeper::Note.
  void Note(std::string subject, const absl::Status& result) const;
  void End();

 private:
  Doorkeeper* door_ = nullptr;  // Null: ended, or never let in.
  uint64_t id_ = 0;
  Caller caller_;
};

class Doorkeeper {
 public:
  struct Options {
    const Access* access = nullptr;  // Required, as is the next.
    AuditLog* audit = nullptr;
    PrincipalLimits limits;
    // On loopback there is nobody else, and it may create thousands of jobs a second.
    bool audit_jobs_of_root = false;
  };
  explicit Doorkeeper(const Options& options) : options_(options), budgets_(options.limits) {}

  // Errors: UNAUTHENTICATED    BAD_TOKEN, TOKEN_EXPIRED.
  //         PERMISSION_DENIED  NOT_PERMITTED: the token's roles are not the method's.
  //         RESOURCE_EXHAUSTED TOO_MANY_REQUESTS, with a hint when to come again.
  absl::StatusOr<Caller> Admit(const grpc::CallbackServerContext& context, Method method,
                               uint64_t bytes = 0);
  // Whether `authorization` is somebody's at all: for what has no method of ours (reflection).
  bool Knows(std::string_view authorization) const;

  // For a stream. Errors: as Admit; RESOURCE_EXHAUSTED TOO_MANY_REQUESTS: too many streams.
  absl::StatusOr<Guest> AdmitStream(grpc::CallbackServerContext* context, Method method,
                                    uint64_t bytes = 0);

  // Notes what came of a call that changes something.
  void Note(const Caller& caller, std::string subject, const absl::Status& result) const;

  // Ends streams whose token no longer counts. Called every second or so.
  void EndRevoked();

 private:
  friend class Guest;
  struct Open {
    std::string token;
    grpc::CallbackServerContext* context;
  };

  // Whose `authorization` it is, and with which token. Errors: as Admit.
  absl::StatusOr<Caller> CallerOf(std::string_view authorization) const;
  void Leave(uint64_t id);

  const Options options_;
  Budgets budgets_;
  Mutex mu_;
  std::map<uint64_t, Open> open_ ABSL_GUARDED_BY(mu_);
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_DOORKEEPER_H_
