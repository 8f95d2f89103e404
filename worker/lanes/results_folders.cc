#include "worker/lanes/results_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "base/strings.h"

namespace reeve {
namespace {

absl::Status Failed(const std::string& path) {
  return absl::InternalError(StrCat("cannot make ", path, ": ", strerror(errno)));
}

absl::Status WriteFile(const std::string& path, std::string_view content) {
  // Read only: other attempts read it, too.
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
  if (fd < 0) return Failed(path);
  absl::Status written;
  while (!content.empty() && written.ok()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n > 0) content.remove_prefix(static_cast<size_t>(n));
    if (n < 0 && errno != EINTR) written = Failed(path);
  }
  close(fd);
  return written;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ResultsFolders::Folder>> ResultsFolders::Of(
    const JobContext& job) {
  if (job.predecessors.empty()) return nullptr;
  std::erase_if(held_, [](const auto& held) { return held.second.expired(); });
  if (const auto held = held_.find(job.job); held != held_.end())
    if (auto folder = held->second.lock(); folder != nullptr) return folder;
  auto taken = folders_->Take();
  if (!taken.ok()) return taken.status();
  const auto folder = std::make_shared<const Folder>(folders_, *std::move(taken));
  for (const PredecessorResults& predecessor : job.predecessors) {
    const std::string path = StrCat(folder->path(), "/", predecessor.name);
    // Two dependencies may have one name.
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed(path);
    for (const auto& [index, result] : predecessor.results) {
      const std::string file = StrCat(path, "/", index);
      if (absl::Status s = WriteFile(file, result); !s.ok()) return s;
    }
  }
  held_[job.job] = folder;
  return folder;
}

}  // namespace reeve
