#include "worker/lanes/scratch_folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/beneath.h"
#include "base/strings.h"

namespace reeve {
namespace {

bool IsEmpty(int folder) {
  alignas(dirent64) char entries[1024];
  bool empty = true;
  for (ssize_t n; (n = getdents64(folder, entries, sizeof entries)) != 0;) {
    if (n < 0) return false;
    for (ssize_t at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      const std::string_view name = entry->d_name;
      empty = empty && (name == "." || name == "..");
      at += entry->d_reclen;
    }
  }
  return empty;
}

}  // namespace

ScratchFolders::ScratchFolders(const std::string& root) : root_(root) {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
  std::filesystem::create_directories(root_, ignored);
  root_fd_ = open(root_.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

ScratchFolders::~ScratchFolders() {
  {
    MutexLock lock(&mu_);
    for (const Folder& folder : unused_) Remove(folder);
  }
  if (root_fd_ >= 0) close(root_fd_);
}

void ScratchFolders::Remove(const Folder& folder) const {
  if (root_fd_ < 0 || unlinkat(root_fd_, folder.name.c_str(), AT_REMOVEDIR) == 0) return;
  std::error_code ignored;
  // Through the descriptor, because the root's own name may mean something else by now. What is
  // below is removed by descriptors, too, and links are removed themselves.
  std::filesystem::remove_all(StrCat("/proc/self/fd/", root_fd_, "/", folder.name), ignored);
}

absl::StatusOr<ScratchFolders::Folder> ScratchFolders::Take() {
  Folder folder;
  for (;;) {
    {
      MutexLock lock(&mu_);
      if (unused_.empty()) {
        folder.name = StrCat(next_++);
        break;
      }
      folder = std::move(unused_.back());
      unused_.pop_back();
    }
    // It lay there for a while, and other tasks are of the same user.
    if (IsUntouched(folder)) return folder;
    Remove(folder);
  }
  folder.path = StrCat(root_, "/", folder.name);
  if (mkdirat(root_fd_, folder.name.c_str(), 0700) != 0 ||
      fstatat(root_fd_, folder.name.c_str(), &folder.made, AT_SYMLINK_NOFOLLOW) != 0) {
    return absl::InternalError(
        StrCat("cannot make the scratch folder ", folder.path, ": ", strerror(errno)));
  }
  return folder;
}

void ScratchFolders::GiveBack(Folder folder) {
  if (IsUntouched(folder)) {
    MutexLock lock(&mu_);
    unused_.push_back(std::move(folder));
  } else {
    Remove(folder);
  }
}

int ScratchFolders::OpenFile(const Folder& folder, std::string_view file) const {
  return OpenBeneath(root_fd_, StrCat(folder.name, "/", file), O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

// Its last change tells of entries, modes, owners, attributes and names; that it is empty must be
// seen, too, because two changes within a tick of the clock may carry the same time.
bool ScratchFolders::IsUntouched(const Folder& folder) const {
  const int fd = OpenBeneath(root_fd_, folder.name, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return false;
  struct stat now {};
  const bool same = fstat(fd, &now) == 0 && now.st_ino == folder.made.st_ino &&
                    now.st_dev == folder.made.st_dev && now.st_mode == folder.made.st_mode &&
                    now.st_ctim.tv_sec == folder.made.st_ctim.tv_sec &&
                    now.st_ctim.tv_nsec == folder.made.st_ctim.tv_nsec && IsEmpty(fd);
  close(fd);
  return same;
}

}  // namespace reeve
