// How the rules of a job are written, on the command line and in graph files: what is tried again,
// when to stop, keys, resources, labels, dependencies.
//
// Errors, of all: a usage error that names the option and says what it may be. Thread: none.

#ifndef REEVE_CLIENT_INPUT_JOB_RULES_H_
#define REEVE_CLIENT_INPUT_JOB_RULES_H_

#include <google/protobuf/duration.pb.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

void SetDuration(absl::Duration from, google::protobuf::Duration* to);

// The name of a queue or a schedule: 1 to 64 of `a-z A-Z 0-9 . _ -`.
absl::Status CheckName(std::string_view option, std::string_view name);

// `2s` or `2s,1m`: the longest wait before the second attempt, and before any.
absl::Status SetBackoff(std::string_view text, v1::RetryPolicy* retry);
// `75,TIMEOUT,signalled`: exit codes and names of reasons.
absl::Status AddRetryOn(std::string_view text, v1::RetryPolicy* retry);
absl::StatusOr<v1::Task::Reason> ParseReason(std::string_view option, std::string_view text);
// 1 to 255.
absl::StatusOr<uint32_t> ParseExitCode(std::string_view option, std::string_view text);

// `5/s`, `100/1m`, `5/s:10` with a burst of ten.
absl::StatusOr<v1::Rate> ParseRate(std::string_view option, std::string_view text);
// `key=.host:2`: of --limit. `key=.host:5/s`: of --rate.
bool IsKeyRule(std::string_view text);
absl::Status AddKeyLimit(std::string_view text, v1::TaskKey* key);
absl::Status AddKeyRate(std::string_view text, v1::TaskKey* key);

// `team=blue`.
absl::Status AddLabel(std::string_view text, v1::JobSpec* spec);
// `zone=eu`, `zone!=eu`, `gpu`, `!gpu`.
absl::Status CheckLabelTerm(std::string_view option, std::string_view text);
// `cpus=2`, `memory=512M`.
absl::Status AddResource(std::string_view text, v1::JobSpec* spec);

// `3`, `10%`, `success`, each also with `,soft`: of --halt.
absl::Status AddStopRules(std::string_view text, v1::StopRule* stop);

// `42:failure` → `42` and ON_FAILURE; `42` → ON_SUCCESS.
struct NamedDependency {
  std::string job;
  v1::Dependency::Condition condition = v1::Dependency::ON_SUCCESS;
};
// Parts with commas between.
absl::StatusOr<std::vector<NamedDependency>> ParseDependencies(std::string_view text);
absl::StatusOr<v1::Dependency::Condition> ParseCondition(std::string_view option,
                                                         std::string_view text);
// Of a folder of results: 1 to 64 of `A-Z a-z 0-9 _ -`.
absl::Status CheckFolderName(std::string_view option, std::string_view name);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_JOB_RULES_H_
