#include "worker/supervisor/command_basics.h"

#include <sys/mman.h>
#include <unistd.h>

extern char** environ;

namespace reeve {

std::vector<std::string> InheritedEnvironment() {
  std::vector<std::string> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('='));
    if (name == "PATH" || name == "HOME" || name == "LANG" || name == "TZ" || name == "TERM" ||
        name.rfind("LC_", 0) == 0) {
      kept.emplace_back(text);
    }
  }
  return kept;
}

int OpenAsInput(std::string_view content) {
  const int fd = memfd_create("stdin", MFD_CLOEXEC);
  if (fd < 0) return -1;
  while (!content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n <= 0) break;
    content.remove_prefix(static_cast<size_t>(n));
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

}  // namespace reeve
