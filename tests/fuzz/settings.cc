// The configuration file: whatever it holds, reading ends with settings or a usage error.

#include "client/settings.h"

#include <sys/mman.h>
#include <unistd.h>

#include "client/exit_code.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  const int fd = memfd_create("config", MFD_CLOEXEC);
  Require(fd >= 0 && write(fd, input.data(), input.size()) == static_cast<ssize_t>(input.size()),
          "the test has a file");
  const auto settings = Settings::LoadFrom({"/proc/self/fd/" + std::to_string(fd)});
  close(fd);
  if (!settings.ok()) {
    Require(!settings.status().message().empty(), "an error says what is wrong");
    return;
  }
  for (const char* key : {"master", "token_file", "state_dir", "quiet"}) (void)settings->Get(key);
  Require(settings->Get("unknown").empty(), "nothing unknown is kept");
  (void)settings->GetBool("quiet");
}

}  // namespace reeve::fuzz
