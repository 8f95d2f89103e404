// Where the programs of Reeve are.
//
// Thread: any.

#ifndef REEVE_CLIENT_PROGRAMS_H_
#define REEVE_CLIENT_PROGRAMS_H_

#include <string>

#include "absl/status/statusor.h"

namespace reeve {

// Beside `reeve`, or where Bazel puts it: bazel-bin/`bazel_folder` beside bazel-bin/client.
// Errors: FAILED_PRECONDITION LOCAL.
absl::StatusOr<std::string> FindProgram(const std::string& name, const std::string& bazel_folder);

}  // namespace reeve

#endif  // REEVE_CLIENT_PROGRAMS_H_
