#include "base/failpoint.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr int kExitFault = 70;
constexpr size_t kMaxPoints = 64;

struct Point {
  std::string name;
  enum class Action { kKill, kExit, kStall, kError } action = Action::kKill;
  absl::Duration stall;
  uint64_t at_hit = 1;
  std::atomic<uint64_t>* hits = nullptr;  // Shared with forked processes.
};

// Never destroyed: threads may pass points until the process ends.
std::vector<Point>& Points() {
  static auto* points = new std::vector<Point>();
  return *points;
}

absl::Status Malformed(absl::string_view text) {
  return absl::InvalidArgumentError(StrCat("REEVE_FAILPOINTS: `", ToStd(text),
                                           "` is not NAME=kill|exit70|error|stall:SECONDS[:HIT]"));
}

absl::Status Parse(absl::string_view text, Point* point) {
  const std::vector<std::string> halves = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (halves.size() != 2 || halves[0].empty()) return Malformed(text);
  point->name = halves[0];
  std::vector<std::string> parts = absl::StrSplit(halves[1], ':');
  size_t next = 1;
  if (parts[0] == "kill") {
    point->action = Point::Action::kKill;
  } else if (parts[0] == "exit70") {
    point->action = Point::Action::kExit;
  } else if (parts[0] == "error") {
    point->action = Point::Action::kError;
  } else if (parts[0] == "stall" && parts.size() > 1) {
    double seconds = 0;
    if (!absl::SimpleAtod(parts[next++], &seconds) || seconds < 0) return Malformed(text);
    point->action = Point::Action::kStall;
    point->stall = absl::Seconds(seconds);
  } else {
    return Malformed(text);
  }
  if (next < parts.size() &&
      (!absl::SimpleAtoi(parts[next++], &point->at_hit) || point->at_hit < 1))
    return Malformed(text);
  return next == parts.size() ? absl::OkStatus() : Malformed(text);
}

// Returns: whether the point asks for an error.
bool Fire(const Point& point) {
  REEVE_LOG_WARNING("failpoint fires name={} hit={}", point.name, point.at_hit);
  switch (point.action) {
    case Point::Action::kKill: kill(getpid(), SIGKILL); break;
    case Point::Action::kExit: _exit(kExitFault);
    case Point::Action::kStall: absl::SleepFor(point.stall); break;
    case Point::Action::kError: return true;
  }
  return false;
}

}  // namespace

namespace internal_failpoint {

std::atomic<bool> any{false};

bool Hit(std::string_view name) {
  bool error = false;
  for (const Point& point : Points()) {
    if (point.name == name && point.hits->fetch_add(1) + 1 == point.at_hit) error |= Fire(point);
  }
  return error;
}

}  // namespace internal_failpoint

absl::Status InitFailpoints() {
  const char* text = std::getenv("REEVE_FAILPOINTS");
  if (text == nullptr || *text == '\0') return absl::OkStatus();
  void* shared = mmap(nullptr, kMaxPoints * sizeof(std::atomic<uint64_t>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return absl::ResourceExhaustedError("no memory for failpoints");
  auto* counters = static_cast<std::atomic<uint64_t>*>(shared);
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    if (Points().size() == kMaxPoints) return Malformed(text);
    Point point;
    if (absl::Status status = Parse(part, &point); !status.ok()) return status;
    point.hits = new (counters + Points().size()) std::atomic<uint64_t>(0);
    Points().push_back(std::move(point));
  }
  internal_failpoint::any.store(true);
  return absl::OkStatus();
}

}  // namespace reeve
