#include "master/store/disk_room.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

namespace reeve {
namespace {

constexpr uint64_t kMostReserve = 64u << 20;
constexpr uint64_t kLowBytes = uint64_t{1} << 30;

}  // namespace

DiskRoom::DiskRoom(const std::string& folder) : folder_(folder), file_(folder + "/reserve") {
  struct statvfs disk;
  if (statvfs(folder_.c_str(), &disk) != 0) return;
  const uint64_t size = uint64_t{disk.f_blocks} * disk.f_frsize;
  low_bytes_ = std::min(std::max(kLowBytes, size / 20), size / 10);
  reserve_bytes_ = std::min(kMostReserve, low_bytes_ / 4);
}

bool DiskRoom::is_low(uint64_t waiting_bytes) const {
  struct statvfs disk;
  if (statvfs(folder_.c_str(), &disk) != 0) return false;
  return uint64_t{disk.f_bavail} * disk.f_frsize < low_bytes_ + waiting_bytes;
}

void DiskRoom::KeepReserve() {
  struct stat there;
  if (is_low() || reserve_bytes_ == 0) return;
  if (stat(file_.c_str(), &there) == 0 && static_cast<uint64_t>(there.st_size) == reserve_bytes_)
    return;
  const int fd = open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const bool made = posix_fallocate(fd, 0, static_cast<off_t>(reserve_bytes_)) == 0;
  close(fd);
  if (!made) unlink(file_.c_str());
}

bool DiskRoom::GiveUpReserve() { return unlink(file_.c_str()) == 0; }

}  // namespace reeve
