#include "tests/simulation/isolated.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>

namespace reeve::sim {
namespace {

// What the child tells its parent, in shared memory: it survives the child's death.
struct Shared {
  uint64_t seed = 0;
  uint64_t hash = 0, events = 0, seeds = 0;
  Counters counters{};
  char broken[256] = {};
};

void Tell(Shared* shared, const Outcome& outcome) {
  shared->hash = Mix(shared->hash, outcome.hash);
  shared->events += outcome.events;
  ++shared->seeds;
  for (int i = 0; i < kSeenCount; ++i) shared->counters[i] += outcome.counters[i];
  std::strncpy(shared->broken, outcome.broken.c_str(), sizeof shared->broken - 1);
}

std::string LastWords(int fd) {
  char text[256] = {};
  const off_t end = lseek(fd, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, end - static_cast<off_t>(sizeof text) + 1);
  const ssize_t got = pread(fd, text, sizeof text - 1, from);
  std::string words(text, static_cast<size_t>(std::max<ssize_t>(0, got)));
  while (!words.empty() && words.back() == '\n') words.pop_back();
  const size_t line = words.rfind('\n');
  return line == std::string::npos ? words : words.substr(line + 1);
}

// Runs `body` in a child. Its death is a broken invariant of the seed it was at.
Shared InChild(const std::function<void(Shared*)>& body) {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* shared = new (memory) Shared();
  const int words = memfd_create("words", MFD_CLOEXEC);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(words, STDERR_FILENO);
    body(shared);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0) && shared->broken[0] == '\0') {
    const std::string why = LastWords(words);
    std::strncpy(shared->broken, why.empty() ? "the process died" : why.c_str(),
                 sizeof shared->broken - 1);
  }
  const Shared copy = *shared;
  close(words);
  munmap(memory, sizeof(Shared));
  return copy;
}

}  // namespace

Outcome RunIsolated(const SimConfig& config) {
  const Shared shared = InChild([&config](Shared* out) { Tell(out, Simulate(config)); });
  return {shared.broken, shared.hash, shared.events, shared.counters};
}

SimConfig ConfigOf(uint64_t seed, Modes modes) {
  const bool liveness = modes == Modes::kLiveness || (modes == Modes::kBoth && seed % 2 != 0);
  return ExpandSeed(seed, liveness ? Mode::kLiveness : Mode::kSafety);
}

BatchResult RunSeeds(uint64_t first, uint64_t count, Modes modes) {
  const Shared shared = InChild([&](Shared* out) {
    for (uint64_t seed = first; seed < first + count && out->broken[0] == '\0'; ++seed) {
      out->seed = seed;
      Tell(out, Simulate(ConfigOf(seed, modes)));
    }
  });
  BatchResult result;
  result.seeds = shared.seeds;
  result.events = shared.events;
  result.hash = shared.hash;
  result.counters = shared.counters;
  if (shared.broken[0] == '\0') return result;
  result.failed = ConfigOf(shared.seed, modes);
  result.outcome.broken = shared.broken;
  return result;
}

}  // namespace reeve::sim
