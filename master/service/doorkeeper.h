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
#include <functional>
#include <map>
#include <memory>
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
#include "master/access/principal.h"
#include "master/service/method_rules.h"

namespace reeve {

// Of each principal but root. Rates are per second, with as much again at once.
struct PrincipalLimits {
  double requests = 1'000;
  double bytes = 64 << 20;  // Of requests and appended tasks.
  uint32_t streams = 256;   // At once.
};

// Somebody who was let in, for one call.
struct Caller {
  Principal principal;
  std::string token;  // As sent, to be looked at again; never logged.
  std::string peer;
  Method method{};
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
  // Held by a stream for as long as its call lives, at most until OnDone.
  class Stay {
   public:
    Stay() = default;
    Stay(Doorkeeper* door, uint64_t id) : door_(door), id_(id) {}
    Stay(Stay&& other) noexcept : door_(std::exchange(other.door_, nullptr)), id_(other.id_) {}
    Stay& operator=(Stay&& other) noexcept {
      std::swap(door_, other.door_);
      std::swap(id_, other.id_);
      return *this;
    }
    ~Stay() { End(); }
    void End() {
      if (door_ != nullptr) std::exchange(door_, nullptr)->Leave(id_);
    }
    // Charges bytes to the principal. Errors: RESOURCE_EXHAUSTED TOO_MANY_REQUESTS.
    absl::Status Charge(uint64_t bytes) {
      return door_ == nullptr ? absl::OkStatus() : door_->ChargeStay(id_, bytes);
    }

   private:
    Doorkeeper* door_ = nullptr;
    uint64_t id_ = 0;
  };

  explicit Doorkeeper(const Options& options) : options_(options) {}

  // Errors: UNAUTHENTICATED    BAD_TOKEN, TOKEN_EXPIRED.
  //         PERMISSION_DENIED  NOT_PERMITTED: the token's roles are not the method's.
  //         RESOURCE_EXHAUSTED TOO_MANY_REQUESTS, with a hint when to come again.
  absl::StatusOr<Caller> Admit(const grpc::CallbackServerContext& context, Method method,
                               uint64_t bytes = 0);
  // Whether `authorization` is somebody's at all: for what has no method of ours (reflection).
  bool Knows(std::string_view authorization) const;

  struct Guest {
    Caller caller;
    Stay stay;
  };
  // For a stream. Errors: as Admit; RESOURCE_EXHAUSTED TOO_MANY_REQUESTS: too many streams.
  absl::StatusOr<Guest> AdmitStream(grpc::CallbackServerContext* context, Method method,
                                    uint64_t bytes = 0);

  // Notes what came of a call that changes something.
  void Note(const Caller& caller, std::string subject, const absl::Status& result) const;

  // Ends streams whose token no longer counts. Called every second or so.
  void EndRevoked();

 private:
  struct Budget {
    double requests = 0, bytes = 0;
    absl::Duration at;
    uint32_t streams = 0;
  };
  struct Open {
    std::string principal;
    std::string token;
    grpc::CallbackServerContext* context;
  };

  absl::Status Spend(const std::string& principal, double requests, double bytes);
  Budget& BudgetOf(const std::string& principal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status ChargeStay(uint64_t id, uint64_t bytes);
  void Leave(uint64_t id);

  const Options options_;
  mutable Mutex mu_;
  std::map<std::string, Budget> budgets_ ABSL_GUARDED_BY(mu_);  // Of a principal.
  std::map<uint64_t, Open> open_ ABSL_GUARDED_BY(mu_);
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_DOORKEEPER_H_
