// Who did what: a line of JSON for every call that changes something, and for those turned away.
//
//   {"time":"…","principal":"alice","peer":"ipv4:10.0.0.7:4711","method":"reeve.v1.JobService/CancelJob",
//    "subject":"job 42","result":"OK"}
//
// Never a payload, never a token. Written by a thread of its own; when the disk does not keep up,
// lines are dropped and their number is written once it does. At kMaxBytes the file becomes
// `audit.log.1`, the one before it goes.
//
// Thread: any.

#ifndef REEVE_MASTER_ACCESS_AUDIT_LOG_H_
#define REEVE_MASTER_ACCESS_AUDIT_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace reeve {

struct AuditEntry {
  absl::Time time;
  std::string principal;  // Empty: not known.
  std::string peer;
  std::string_view method;  // A literal.
  std::string subject;      // `job 42`, `worker w-3`; may be empty.
  std::string result;       // OK, or the reason of an error.
};

class AuditLog {
 public:
  // `file`: made (0600) if it is not there.
  explicit AuditLog(std::string file);
  ~AuditLog();

  void Note(AuditEntry entry);

  static constexpr uint64_t kMaxBytes = 64u << 20;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One line, without its newline; control characters are escaped.
std::string AuditLine(const AuditEntry& entry);

}  // namespace reeve

#endif  // REEVE_MASTER_ACCESS_AUDIT_LOG_H_
