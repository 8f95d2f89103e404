#include "base/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "base/strings.h"

namespace reeve {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return errno == EACCES
               ? absl::PermissionDeniedError(StrCat("cannot read ", path, ": ", strerror(errno)))
               : absl::NotFoundError(StrCat("cannot read ", path, ": ", strerror(errno)));
  }
  std::ostringstream content;
  content << file.rdbuf();
  std::string text = content.str();
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

absl::Status WriteSecretFile(const std::string& path, const std::string& content) {
  const std::string temporary = StrCat(path, ".new");
  unlink(temporary.c_str());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return absl::PermissionDeniedError(StrCat("cannot write ", temporary, ": ", strerror(errno)));
  const std::string line = content + "\n";
  const bool written =
      write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fsync(fd) == 0;
  close(fd);
  if (!written || rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::InternalError(StrCat("cannot write ", path, ": ", strerror(errno)));
  }
  // The new name must survive, too: a revoked key would be back after a power cut.
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int listing =
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (listing < 0) return absl::OkStatus();
  const bool is_kept = fsync(listing) == 0;
  close(listing);
  if (!is_kept) return absl::InternalError(StrCat("cannot sync the folder of ", path));
  return absl::OkStatus();
}

namespace {

// The process that noted its id in a lock was killed, but the kernel has not let go of all its
// threads yet: one may be writing to disk.
bool IsEnding(const std::string& lock_path) {
  const auto holder = ReadSmallFile(lock_path);
  uint64_t pid = 0;
  if (!holder.ok() || !absl::SimpleAtoi(ToAbsl(*holder), &pid)) return false;
  const auto stat = ReadSmallFile(StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return true;
  const size_t name_end = stat->rfind(") ");
  return name_end != std::string::npos && name_end + 2 < stat->size() &&
         ((*stat)[name_end + 2] == 'Z' || (*stat)[name_end + 2] == 'X');
}

bool Lock(int fd, const std::string& lock_path) {
  const absl::Time until = absl::Now() + absl::Seconds(10);
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (!IsEnding(lock_path) || absl::Now() > until) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(const std::string& path,
                                                               bool create) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (!create)
      return absl::NotFoundError(
          StrCat("there is no state folder ", path, " (start with --init to make one)"));
    std::filesystem::create_directories(path, error);
    if (error)
      return absl::PermissionDeniedError(
          StrCat("cannot make the state folder ", path, ": ", error.message()));
    chmod(path.c_str(), 0700);
  }
  const std::string lock_path = StrCat(path, "/LOCK");
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::PermissionDeniedError(
        StrCat("the state folder ", path, " is not writable: ", strerror(errno)));
  }
  if (!Lock(fd, lock_path)) {
    close(fd);
    const auto holder = ReadSmallFile(lock_path);
    return absl::FailedPreconditionError(StrCat("the state folder ", path, " is in use by process ",
                                                holder.ok() ? *holder : std::string("?")));
  }
  const std::string pid = StrCat(getpid(), "\n");
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    close(fd);
    return absl::PermissionDeniedError(
        StrCat("the state folder ", path, " is not writable: ", strerror(errno)));
  }
  return std::unique_ptr<StateFolder>(new StateFolder(path, fd));
}

StateFolder::~StateFolder() { close(lock_); }

void StateFolder::Mark(const std::string& name) {
  const int fd = open(StrCat(path_, "/", name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
}

void StateFolder::Unmark(const std::string& name) { unlink(StrCat(path_, "/", name).c_str()); }

bool StateFolder::HasMark(const std::string& name) const {
  return access(StrCat(path_, "/", name).c_str(), F_OK) == 0;
}

absl::StatusOr<std::string> StateFolder::ReadOrMake(const std::string& name,
                                                    const std::string& fresh) {
  const std::string file = StrCat(path_, "/", name);
  absl::StatusOr<std::string> there = ReadSmallFile(file);
  if (there.ok() || !absl::IsNotFound(there.status())) return there;
  if (absl::Status written = WriteSecretFile(file, fresh); !written.ok()) return written;
  return fresh;
}

}  // namespace reeve
