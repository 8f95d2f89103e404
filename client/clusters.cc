#include "client/clusters.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/certificate.h"
#include "base/error.h"
#include "base/host_address.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

std::string Home() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  const passwd* entry = getpwuid(getuid());
  return entry != nullptr ? entry->pw_dir : "/";
}

// A folder of the XDG specification, which asks to ignore relative paths.
std::string XdgFolder(const char* variable, const char* fallback) {
  const char* value = std::getenv(variable);
  if (value != nullptr && *value == '/') return StrCat(value, "/reeve");
  return StrCat(Home(), "/", fallback, "/reeve");
}

bool IsSendable(const std::string& token) {
  return std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

std::string Address::ToString() const { return WithPort(host, port); }

bool Address::is_loopback() const { return IsLoopbackHost(host); }

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  Address address;
  const absl::Status bad =
      UsageError(StrCat("'", text, "' is not an address; give HOST:PORT, e.g. 127.0.0.1:7520"));
  std::string_view host = text, port;
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return bad;
    host = text.substr(1, close - 1);
    if (host.find(':') == std::string_view::npos) return bad;
    std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return bad;
    if (!rest.empty()) port = rest.substr(1);
  } else if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos || port.empty()) return bad;
  }
  if (text.empty() || host.find_first_of("/[]") != std::string_view::npos) return bad;
  if (!host.empty()) address.host = std::string(host);
  uint32_t number = address.port;
  if (!port.empty() &&
      (!absl::SimpleAtoi(ToAbsl(port), &number) || number == 0 || number > 65535)) {
    return bad;
  }
  address.port = static_cast<uint16_t>(number);
  return address;
}

std::string ConfigFolder() { return XdgFolder("XDG_CONFIG_HOME", ".config"); }
std::string DefaultStateFolder() { return XdgFolder("XDG_STATE_HOME", ".local/state"); }
std::string DefaultWorkerFolder() { return DefaultStateFolder() + "-worker"; }

namespace {
std::string FileOf(const Address& address, std::string_view suffix) {
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  return StrCat(ConfigFolder(), "/clusters/", host, "_", address.port, suffix);
}
}  // namespace

std::string TokenFileOf(const Address& address) { return FileOf(address, ".token"); }
std::string AuthorityFileOf(const Address& address) { return FileOf(address, ".ca"); }

std::string PinnedBy(const std::string& token) {
  const std::vector<std::string> parts = absl::StrSplit(token, '.');
  return parts.size() == 4 && parts[0] == "rv1" ? parts[3] : "";
}

absl::StatusOr<ClusterAccess> FindAccess(const Address& address, const std::string& token_file) {
  ClusterAccess access;
  const absl::StatusOr<std::string> token =
      ReadSmallFile(token_file.empty() ? TokenFileOf(address) : token_file);
  if (token.ok()) {
    access.token = *token;
  } else if (!token_file.empty() || !absl::IsNotFound(token.status())) {
    return UsageError(StrCat("cannot read the token: ", token.status().message()));
  }
  // gRPC ends the program over a header it cannot send.
  if (!IsSendable(access.token))
    return UsageError("the token file holds something else than one line of visible characters");
  const absl::StatusOr<std::string> authority = ReadSmallFile(AuthorityFileOf(address));
  if (authority.ok()) access.authority = *authority + "\n";
  const std::string pinned = PinnedBy(access.token);
  if (!access.authority.empty() && !pinned.empty() &&
      Fingerprint(access.authority).value_or("") != pinned) {
    return UsageError(StrCat("the token is of another cluster than the one known at ",
                             address.ToString(), "; `reeve context add ", address.ToString(),
                             " --token-file FILE` if that has changed"));
  }
  return access;
}

absl::Status SaveAccess(const Address& address, const ClusterAccess& access) {
  const std::string token_file = TokenFileOf(address), authority_file = AuthorityFileOf(address);
  absl::Status status = MakeFolders(token_file.substr(0, token_file.rfind('/')));
  if (status.ok()) status = WriteSecretFile(token_file, access.token);
  if (access.authority.empty()) {
    unlink(authority_file.c_str());
  } else if (status.ok()) {
    status = WriteSecretFile(authority_file, access.authority);
  }
  if (status.ok()) return status;
  return MakeError(absl::StatusCode::kFailedPrecondition, "LOCAL", ToStd(status.message()));
}

absl::Status MakeFolders(const std::string& folder) {
  for (size_t slash = 1; slash != std::string::npos;) {
    slash = folder.find('/', slash);
    const std::string part = folder.substr(0, slash);
    if (!part.empty() && mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "LOCAL",
                       StrCat("cannot make ", part, ": ", strerror(errno)));
    }
    if (slash != std::string::npos) ++slash;
  }
  return absl::OkStatus();
}

}  // namespace reeve
