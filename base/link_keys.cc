#include "base/link_keys.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <sstream>

#include "base/state_folder.h"
#include "base/strings.h"

namespace reeve {

absl::StatusOr<LinkKeys> ReadLinkKeys(const std::string& path) {
  const auto text = ReadSmallFile(path);
  if (!text.ok()) return text.status();
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(
        StrCat("the key file ", path, " can be read by others; chmod 600 it"));
  }
  std::map<std::string, std::string> entries;
  std::istringstream in(*text);
  for (std::string name, value; in >> name >> value;) entries[name] = value;
  LinkKeys keys{entries["worker_id"],
                {PublicKeyOf(entries["secret_key"]), entries["secret_key"]},
                entries["server_key"],
                entries["next_server_key"]};
  const auto bad = [&path](std::string_view what) {
    return absl::InvalidArgumentError(StrCat("the key file ", path, ": ", what, "; join again"));
  };
  if (keys.worker_id.empty()) return bad("no worker_id");
  if (keys.own.public_key.empty()) return bad("secret_key is no key");
  if (!IsCurveKey(keys.server_key)) return bad("server_key is no key");
  if (!keys.next_server_key.empty() && !IsCurveKey(keys.next_server_key))
    return bad("next_server_key is no key");
  return keys;
}

absl::Status WriteLinkKeys(const std::string& path, const LinkKeys& keys) {
  std::string text = StrCat("worker_id ", keys.worker_id, "\nsecret_key ", keys.own.secret_key,
                            "\nserver_key ", keys.server_key);
  if (!keys.next_server_key.empty()) text += StrCat("\nnext_server_key ", keys.next_server_key);
  return WriteSecretFile(path, text);
}

}  // namespace reeve
