// Where settings come from: flags > REEVE_* environment > ./.reeve.yaml >
// ~/.config/reeve/config.yaml > /etc/reeve/config.yaml.
//
//   key         environment        meaning
//   master      REEVE_MASTER       HOST:PORT of the master
//   token_file  REEVE_TOKEN_FILE   file with the token
//   state_dir   REEVE_STATE_DIR    state folder of `up` and `down`
//   quiet       REEVE_QUIET        true or false
//
// Thread: none.

#ifndef REEVE_CLIENT_SETTINGS_H_
#define REEVE_CLIENT_SETTINGS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reeve {

class Settings {
 public:
  // Reads environment and files. Errors: a usage error for an unknown key or a file that is no
  // mapping of names to values.
  static absl::StatusOr<Settings> Load();
  // As Load, with the files given, the most important first; files that are not there are skipped.
  static absl::StatusOr<Settings> LoadFrom(const std::vector<std::string>& files);

  // What a flag says; stands above all else. An empty value is none.
  void Set(const std::string& key, const std::string& value);

  // "" if nothing says anything.
  std::string Get(const std::string& key) const;
  // Errors: a usage error if the value is neither true nor false.
  absl::StatusOr<bool> GetBool(const std::string& key) const;

 private:
  absl::Status AddFile(const std::string& path);

  std::map<std::string, std::string> values_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_SETTINGS_H_
