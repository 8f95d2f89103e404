#include "worker/lanes/progress_pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMaxLineBytes = 4'096;
// Reads at once: a command that never stops writing must not keep the others from being read.
constexpr int kMostReads = 16;

}  // namespace

std::optional<AttemptProgress> ParseProgress(std::string_view line) {
  const std::string_view text = ToStd(absl::StripAsciiWhitespace(ToAbsl(line)));
  const size_t space = text.find_first_of(" \t");
  std::string_view number = text.substr(0, space);
  const bool is_percent = !number.empty() && number.back() == '%';
  if (is_percent) number.remove_suffix(1);
  double done = 0;
  if (!absl::SimpleAtod(ToAbsl(number), &done) || !std::isfinite(done)) return std::nullopt;
  AttemptProgress progress;
  progress.permille = static_cast<uint32_t>(
      std::lround(std::clamp(is_percent ? done / 100 : done, 0.0, 1.0) * 1'000));
  if (space != std::string_view::npos) {
    const auto note = ToStd(absl::StripAsciiWhitespace(ToAbsl(text.substr(space))));
    progress.note = Beginning(note, kMaxProgressNoteBytes);
  }
  return progress;
}

ProgressPipes::~ProgressPipes() {
  for (const Pipe& pipe : pipes_) {
    close(pipe.read_end);
    close(pipe.write_end);
  }
}

std::optional<size_t> ProgressPipes::Take(bool* is_new) {
  *is_new = unused_.empty();
  if (!*is_new) {
    const size_t pipe = unused_.back();
    unused_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  pipes_.push_back({ends[0], ends[1], ""});
  return pipes_.size() - 1;
}

std::optional<AttemptProgress> ProgressPipes::Read(size_t number) {
  Pipe& pipe = pipes_[number];
  std::optional<AttemptProgress> newest;
  for (int i = 0; i < kMostReads; ++i) {
    char buffer[kMaxLineBytes];
    const ssize_t n = read(pipe.read_end, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    std::string_view rest(buffer, static_cast<size_t>(n));
    for (size_t end; (end = rest.find('\n')) != std::string_view::npos;
         rest.remove_prefix(end + 1)) {
      pipe.line.append(rest.substr(0, end));
      if (auto said = ParseProgress(pipe.line)) newest = std::move(said);
      pipe.line.clear();
    }
    pipe.line.append(rest.substr(0, kMaxLineBytes - std::min(kMaxLineBytes, pipe.line.size())));
  }
  return newest;
}

void ProgressPipes::GiveBack(size_t number) {
  Pipe& pipe = pipes_[number];
  char buffer[kMaxLineBytes];
  while (read(pipe.read_end, buffer, sizeof buffer) > 0 || errno == EINTR) {
  }
  pipe.line.clear();
  unused_.push_back(number);
}

}  // namespace reeve
