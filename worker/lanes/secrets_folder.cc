#include "worker/lanes/secrets_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/beneath.h"
#include "base/secret_name.h"
#include "base/strings.h"

namespace reeve {
namespace {

// Returns: "" if nobody but the worker's user and root has anything to do with it.
std::string WhyNotPrivate(const struct stat& found) {
  if (found.st_uid != geteuid() && found.st_uid != 0)
    return "it belongs to another user than the worker's";
  if ((found.st_mode & 077) != 0) return "others than its owner may use it";
  return {};
}

}  // namespace

SecretsFolder::~SecretsFolder() {
  if (fd_ >= 0) close(fd_);
}

SecretsFolder::SecretsFolder(SecretsFolder&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

SecretsFolder& SecretsFolder::operator=(SecretsFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

absl::StatusOr<SecretsFolder> SecretsFolder::Open(const std::string& path) {
  SecretsFolder folder;
  std::error_code ignored;
  // A command has another working directory.
  folder.path_ = std::filesystem::absolute(path, ignored).lexically_normal().string();
  folder.fd_ = open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat found {};
  if (folder.fd_ < 0 || fstat(folder.fd_, &found) != 0)
    return absl::FailedPreconditionError(
        StrCat("the secrets folder ", path, ": ", strerror(errno)));
  if (const std::string why = WhyNotPrivate(found); !why.empty()) {
    return absl::FailedPreconditionError(
        StrCat("the secrets folder ", path, ": ", why, "; chmod 700, files 600"));
  }
  return folder;
}

absl::StatusOr<std::string> SecretsFolder::PathOf(std::string_view name) const {
  const auto refused = [&](std::string_view why) {
    return absl::PermissionDeniedError(StrCat("secret `", name, "`: ", why));
  };
  if (!IsSecretName(name)) return absl::PermissionDeniedError("a secret has an impossible name");
  if (fd_ < 0) return refused("the worker has none (--secrets-dir)");
  const int fd = OpenBeneath(fd_, std::string(name), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  const int why_not = errno;
  struct stat found {};
  const bool is_found = fd >= 0 && fstat(fd, &found) == 0;
  if (fd >= 0) close(fd);
  if (!is_found) {
    return refused(why_not == ENOENT  ? "the worker has no such secret"
                   : why_not == ELOOP ? "it is a symbolic link"
                                      : strerror(why_not));
  }
  if (!S_ISREG(found.st_mode)) return refused("it is no regular file");
  if (const std::string why = WhyNotPrivate(found); !why.empty()) return refused(why);
  return StrCat(path_, path_.ends_with('/') ? "" : "/", name);
}

}  // namespace reeve
