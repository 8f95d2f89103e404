#include "worker/runtime/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <utility>

#include "base/interval_set.h"
#include "base/log.h"
#include "base/mutex.h"

namespace reeve {
namespace {

constexpr uint64_t kBlockBytes = 4096;

uint32_t Blocks(uint64_t bytes) {
  return static_cast<uint32_t>((bytes + kBlockBytes - 1) / kBlockBytes);
}

}  // namespace

struct Spool::Shared {
  explicit Shared(SpoolOptions given) : options(std::move(given)) {}
  ~Shared() {
    if (map != nullptr) munmap(map, options.file_bytes);
    if (fd >= 0) close(fd);
  }

  bool OpenFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  std::optional<Run> Take(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  const SpoolOptions options;
  Mutex mu;
  uint64_t in_memory ABSL_GUARDED_BY(mu) = 0;
  uint64_t in_file ABSL_GUARDED_BY(mu) = 0;
  IntervalSet free_blocks ABSL_GUARDED_BY(mu);
  bool tried ABSL_GUARDED_BY(mu) = false;
  int fd = -1;          // Set once.
  char* map = nullptr;  // Set once; read only.
};

bool Spool::Shared::OpenFile() {
  if (std::exchange(tried, true)) return map != nullptr;
  fd = open(options.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  void* mapped = MAP_FAILED;
  if (fd >= 0 && ftruncate(fd, static_cast<off_t>(options.file_bytes)) == 0)
    mapped = mmap(nullptr, options.file_bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    REEVE_LOG_WARNING("no file for results, they stay in memory folder={} why={}", options.folder,
                      strerror(errno));
    return false;
  }
  map = static_cast<char*>(mapped);
  free_blocks.Add({0, Blocks(options.file_bytes)});
  return true;
}

// First fit; results are small against the file.
std::optional<Run> Spool::Shared::Take(uint64_t bytes) {
  const uint32_t wanted = Blocks(bytes);
  for (std::optional<Run> run = free_blocks.FirstRun(); run.has_value();
       run = free_blocks.FirstRun(run->end())) {
    if (run->count < wanted) continue;
    free_blocks.Remove({run->first, wanted});
    return Run{run->first, wanted};
  }
  return std::nullopt;
}

Spool::Spool(SpoolOptions options) : shared_(std::make_shared<Shared>(std::move(options))) {}

Buffer Spool::Keep(std::string bytes) {
  const uint64_t size = bytes.size();
  std::optional<Run> blocks;
  {
    MutexLock lock(&shared_->mu);
    const bool fits = shared_->in_memory + size <= shared_->options.memory_bytes;
    if (!fits && size > 0 && shared_->OpenFile()) blocks = shared_->Take(size);
    if (!blocks.has_value()) shared_->in_memory += size;
    if (blocks.has_value()) shared_->in_file += size;
  }
  const auto give_back = [shared = shared_, size](std::optional<Run> room) {
    MutexLock lock(&shared->mu);
    (room.has_value() ? shared->in_file : shared->in_memory) -= size;
    if (room.has_value()) shared->free_blocks.Add(*room);
  };
  if (blocks.has_value()) {
    // By pwrite: a store through the mapping would be a signal where the disk is full.
    const uint64_t offset = blocks->first * kBlockBytes;
    if (pwrite(shared_->fd, bytes.data(), size, static_cast<off_t>(offset)) ==
        static_cast<ssize_t>(size)) {
      const std::shared_ptr<const void> owner(
          static_cast<const void*>(shared_->map + offset),
          [give_back, blocks](const void*) { give_back(blocks); });
      return Buffer(owner, {shared_->map + offset, size});
    }
    give_back(blocks);
    MutexLock lock(&shared_->mu);
    shared_->in_memory += size;
  }
  auto held = std::make_unique<const std::string>(std::move(bytes));
  const std::string_view view = *held;
  const std::shared_ptr<const void> owner(held.release(), [give_back](const void* string) {
    delete static_cast<const std::string*>(string);
    give_back(std::nullopt);
  });
  return Buffer(owner, view);
}

uint64_t Spool::memory_bytes() const {
  MutexLock lock(&shared_->mu);
  return shared_->in_memory;
}

uint64_t Spool::file_bytes() const {
  MutexLock lock(&shared_->mu);
  return shared_->in_file;
}

}  // namespace reeve
