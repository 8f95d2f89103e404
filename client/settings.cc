#include "client/settings.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/strings.h"
#include "client/clusters.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

struct KnownKey {
  const char* key;
  const char* variable;
};
constexpr std::array<KnownKey, 4> kKeys = {{{"master", "REEVE_MASTER"},
                                            {"token_file", "REEVE_TOKEN_FILE"},
                                            {"state_dir", "REEVE_STATE_DIR"},
                                            {"quiet", "REEVE_QUIET"}}};

bool IsKnown(const std::string& key) {
  for (const KnownKey& known : kKeys) {
    if (key == known.key) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Settings> Settings::Load() {
  return LoadFrom({".reeve.yaml", ConfigFolder() + "/config.yaml", "/etc/reeve/config.yaml"});
}

absl::StatusOr<Settings> Settings::LoadFrom(const std::vector<std::string>& files) {
  Settings settings;
  for (const KnownKey& known : kKeys) {
    const char* value = std::getenv(known.variable);
    if (value != nullptr && *value != '\0') settings.values_.emplace(known.key, value);
  }
  for (const std::string& file : files) {
    if (access(file.c_str(), F_OK) != 0) continue;
    if (const absl::Status status = settings.AddFile(file); !status.ok()) return status;
  }
  return settings;
}

absl::Status Settings::AddFile(const std::string& path) {
  // yaml-cpp reports by exceptions; none leaves this function.
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (root.IsNull()) return absl::OkStatus();
    if (!root.IsMap()) return UsageError(StrCat(path, ": want `name: value` lines"));
    for (const auto& entry : root) {
      const std::string key = entry.first.as<std::string>();
      if (!IsKnown(key)) {
        return UsageError(
            StrCat(path, ": unknown key '", key, "'; known: master, token_file, state_dir, quiet"));
      }
      values_.emplace(key, entry.second.as<std::string>());
    }
  } catch (const std::exception& error) {
    return UsageError(StrCat("cannot read ", path, ": ", error.what()));
  }
  return absl::OkStatus();
}

void Settings::Set(const std::string& key, const std::string& value) {
  if (!value.empty()) values_[key] = value;
}

std::string Settings::Get(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::string() : found->second;
}

absl::StatusOr<bool> Settings::GetBool(const std::string& key) const {
  const std::string value = absl::AsciiStrToLower(Get(key));
  if (value.empty() || value == "false" || value == "no" || value == "0") return false;
  if (value == "true" || value == "yes" || value == "1") return true;
  return UsageError(StrCat("setting '", key, "': '", value, "' is neither true nor false"));
}

}  // namespace reeve
