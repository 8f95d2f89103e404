#include "base/secret_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace reeve {

bool IsSecretName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

std::string SecretVariable(std::string_view name) {
  std::string variable = "REEVE_SECRET_";
  for (const unsigned char c : name)
    variable += absl::ascii_isalnum(c) ? absl::ascii_toupper(c) : '_';
  return variable + "_FILE";
}

}  // namespace reeve
