// A worker whose handler `journal` leaves a trace of each execution and returns something that can
// be checked.
//
// REEVE_JOURNAL names a file; two lines a task are appended to it, the second before the result
// exists:
//
//   s JOB INDEX ATTEMPT PID NANOSECONDS      (started)
//   e JOB INDEX ATTEMPT PID NANOSECONDS      (ended)
//
// each forced to the disk unless REEVE_JOURNAL_SYNC is 0. The result is the SHA-256 of the input, a
// blank, and the input. An input may begin with words that say how to run, each followed by a
// blank:
//
//   sleep=S     sleeps S seconds, wakes when cancelled        stubborn=S  sleeps without looking up
//   big=N       returns N bytes                               segv        dies of a bad pointer
//   kill        kills its process                             throw       throws
//   fail        returns an error

#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "worker/sdk/worker.h"

namespace {

int OpenJournal() {
  const char* path = std::getenv("REEVE_JOURNAL");
  const int fd = path == nullptr ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd >= 0) return fd;
  std::fprintf(stderr, "journal_worker: REEVE_JOURNAL is not set or cannot be opened\n");
  std::exit(78);
}

void Note(char what, reeve::TaskContext& task) {
  static const int fd = OpenJournal();
  static const bool sync = [] {
    const char* text = std::getenv("REEVE_JOURNAL_SYNC");
    return text == nullptr || std::string_view(text) != "0";
  }();
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  char line[128];
  const int length =
      std::snprintf(line, sizeof line, "%c %llu %u %u %d %lld\n", what,
                    static_cast<unsigned long long>(task.job().value), task.index(), task.attempt(),
                    getpid(), static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec);
  // One write: lines of threads and processes do not mix.
  if (write(fd, line, static_cast<size_t>(length)) != length) std::abort();
  if (sync && fdatasync(fd) != 0) std::abort();
}

std::string Sha256(std::string_view bytes) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash, &size, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", hash[i]);
    hex += digits;
  }
  return hex;
}

void Crash() {
  volatile int* nowhere = nullptr;
  *nowhere = 1;
}

// Does what the words at the front ask for. Returns: an error to return, or how many bytes to
// return instead of the usual (0: the usual).
absl::StatusOr<size_t> Obey(reeve::TaskContext& task, std::string_view input) {
  size_t big = 0;
  while (!input.empty()) {
    const std::string_view word = input.substr(0, input.find(' '));
    const std::string_view name = word.substr(0, word.find('='));
    const std::string value(name.size() < word.size() ? word.substr(name.size() + 1) : "");
    if (name == "sleep") {
      if (!task.Sleep(absl::Seconds(std::atof(value.c_str()))))
        return absl::CancelledError("woken");
    } else if (name == "stubborn") {
      absl::SleepFor(absl::Seconds(std::atof(value.c_str())));
    } else if (name == "big") {
      big = static_cast<size_t>(std::atoll(value.c_str()));
    } else if (name == "segv") {
      Crash();
    } else if (name == "kill") {
      kill(getpid(), SIGKILL);
    } else if (name == "throw") {
      throw std::runtime_error("thrown on request");
    } else if (name == "fail") {
      return absl::InternalError("failed on request");
    } else {
      break;
    }
    input.remove_prefix(std::min(input.size(), word.size() + 1));
  }
  return big;
}

absl::StatusOr<std::string> Journal(reeve::TaskContext& task, std::string_view input) {
  Note('s', task);
  const absl::StatusOr<size_t> obeyed = Obey(task, input);
  Note('e', task);
  if (!obeyed.ok()) return obeyed.status();
  if (*obeyed > 0) return std::string(*obeyed, 'x');
  return Sha256(input) + " " + std::string(input);
}

}  // namespace

int main(int argc, char** argv) {
  reeve::Worker worker;
  worker.Handle("journal", Journal);
  return worker.Main(argc, argv);
}
