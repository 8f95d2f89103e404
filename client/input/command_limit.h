// Limits of a command on the command line: `cpu=30s`, `memory=512M`, `file-size=1G`,
// `open-files=100`, `processes=50`, `core=1G`.
//
// Thread: none.

#ifndef REEVE_CLIENT_INPUT_COMMAND_LIMIT_H_
#define REEVE_CLIENT_INPUT_COMMAND_LIMIT_H_

#include <string_view>

#include "absl/status/status.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

// Sets what `text`, NAME=VALUE, says. Sizes are bytes, or have one of the suffixes K, M, G and T,
// powers of 1024; CPU time is rounded up to seconds. The master checks the ranges.
// Errors: a usage error that names the option.
absl::Status AddCommandLimit(std::string_view text, v1::CommandLimits* limits);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_COMMAND_LIMIT_H_
