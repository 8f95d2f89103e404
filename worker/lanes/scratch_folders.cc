#include "worker/lanes/scratch_folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/strings.h"

namespace reeve {
namespace {

void Remove(const std::string& path) {
  if (rmdir(path.c_str()) == 0) return;
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

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
}

ScratchFolders::~ScratchFolders() {
  MutexLock lock(&mu_);
  for (const Folder& folder : unused_) Remove(folder.path);
}

absl::StatusOr<ScratchFolders::Folder> ScratchFolders::Take() {
  Folder folder;
  {
    MutexLock lock(&mu_);
    if (!unused_.empty()) {
      folder = std::move(unused_.back());
      unused_.pop_back();
      return folder;
    }
    folder.path = StrCat(root_, "/", next_++);
  }
  if (mkdir(folder.path.c_str(), 0700) != 0 || stat(folder.path.c_str(), &folder.made) != 0) {
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
    Remove(folder.path);
  }
}

// Its last change tells of entries, modes, owners, attributes and names; that it is empty must be
// seen, too, because two changes within a tick of the clock may carry the same time.
bool ScratchFolders::IsUntouched(const Folder& folder) {
  const int fd = open(folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
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
