// Names of secrets: what a worker's owner calls them, and how commands find them.
//
// Thread: any.

#ifndef REEVE_BASE_SECRET_NAME_H_
#define REEVE_BASE_SECRET_NAME_H_

#include <string>
#include <string_view>

namespace reeve {

inline constexpr int kMaxSecretsOfJob = 32;

// 1 to 128 characters of A-Z, a-z, 0-9, `.`, `_`, `-`, the first no `.`: the name of a file and
// nothing else.
bool IsSecretName(std::string_view name);

// The variable with the path of its file: REEVE_SECRET_DB_PASSWORD_FILE for `db-password`.
std::string SecretVariable(std::string_view name);

}  // namespace reeve

#endif  // REEVE_BASE_SECRET_NAME_H_
