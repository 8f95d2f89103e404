#include "base/host_key.h"

#include <unistd.h>

#include <fstream>

#include "xxhash.h"

namespace reeve {
namespace {

std::string FirstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::string HostKey() {
  const std::string ids = FirstLine("/etc/machine-id") + "/" +
                          FirstLine("/proc/sys/kernel/random/boot_id") + "/" + HostName();
  const XXH128_hash_t hash = XXH3_128bits(ids.data(), ids.size());
  return std::string(reinterpret_cast<const char*>(&hash), sizeof hash);
}

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace reeve
