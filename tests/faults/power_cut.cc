// A library for LD_PRELOAD that lies between a program and the system.
//
// POWER_CUT_LOG names a file, POWER_CUT_FOLDER a folder: every write, truncation and sync of a file
// in that folder is noted in the log, with its bytes. A test kills the program and rebuilds the
// folder from the log as a power cut would have left it: what was synced is there, of what was not
// only some. Records: one letter (`w` write, `t` truncate, `s` sync), then little-endian u32 length
// of the path, u64 offset or size, u32 length of the bytes, the path, the bytes.
//
// FAIL_MALLOC_AT=N makes the N-th allocation of 64 bytes or more fail, once, counted from the
// moment the file that FAIL_MALLOC_WHEN names exists.

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

template <typename Function>
Function Next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

std::mutex mutex;

int Log() {
  static const int fd = [] {
    const char* path = std::getenv("POWER_CUT_LOG");
    return path == nullptr ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }();
  return fd;
}

// The path of `fd` if it is in the folder, else "".
const char* PathOf(int fd, char (&path)[PATH_MAX]) {
  static const char* folder = std::getenv("POWER_CUT_FOLDER");
  path[0] = '\0';
  if (folder == nullptr) return path;
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = '\0';
  if (std::strncmp(path, folder, std::strlen(folder)) != 0) path[0] = '\0';
  return path;
}

void Note(char what, int fd, uint64_t at, const void* bytes, uint32_t count) {
  static const auto next_write = Next<ssize_t (*)(int, const void*, size_t)>("write");
  char path[PATH_MAX];
  if (Log() < 0 || fd == Log() || *PathOf(fd, path) == '\0') return;
  const uint32_t length = static_cast<uint32_t>(std::strlen(path));
  char head[17];
  head[0] = what;
  std::memcpy(head + 1, &length, 4);
  std::memcpy(head + 5, &at, 8);
  std::memcpy(head + 13, &count, 4);
  const std::lock_guard<std::mutex> lock(mutex);
  if (next_write(Log(), head, sizeof head) < 0 || next_write(Log(), path, length) < 0) std::abort();
  if (count > 0 && next_write(Log(), bytes, count) != static_cast<ssize_t>(count)) std::abort();
}

std::atomic<long> allocations{0};
std::atomic<bool> counting{false};

bool FailNow(size_t size) {
  static const long at = [] {
    const char* text = std::getenv("FAIL_MALLOC_AT");
    return text == nullptr ? 0L : std::atol(text);
  }();
  if (at == 0 || size < 64) return false;
  if (!counting.load(std::memory_order_relaxed)) {
    static const char* when = std::getenv("FAIL_MALLOC_WHEN");
    static std::atomic<unsigned> looks{0};
    if (looks.fetch_add(1) % 64 != 0 || when == nullptr || access(when, F_OK) != 0) return false;
    counting.store(true);
  }
  return allocations.fetch_add(1) + 1 == at;
}

}  // namespace

extern "C" {

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) {
  static const auto next = Next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  const ssize_t written = next(fd, bytes, count, at);
  if (written > 0) Note('w', fd, static_cast<uint64_t>(at), bytes, static_cast<uint32_t>(written));
  return written;
}
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  return pwrite64(fd, bytes, count, at);
}

int ftruncate64(int fd, off64_t size) {
  static const auto next = Next<int (*)(int, off64_t)>("ftruncate64");
  const int rc = next(fd, size);
  if (rc == 0) Note('t', fd, static_cast<uint64_t>(size), nullptr, 0);
  return rc;
}
int ftruncate(int fd, off_t size) noexcept { return ftruncate64(fd, size); }

int fdatasync(int fd) {
  static const auto next = Next<int (*)(int)>("fdatasync");
  const int rc = next(fd);
  if (rc == 0) Note('s', fd, 0, nullptr, 0);
  return rc;
}
int fsync(int fd) {
  static const auto next = Next<int (*)(int)>("fsync");
  const int rc = next(fd);
  if (rc == 0) Note('s', fd, 0, nullptr, 0);
  return rc;
}

void* __libc_malloc(size_t size);
void* malloc(size_t size) {
  if (FailNow(size)) {
    errno = ENOMEM;
    return nullptr;
  }
  return __libc_malloc(size);
}

}  // extern "C"
