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
constexpr absl::Duration kLongestAgain = absl::Hours(24);

}  // namespace

namespace {

// `TEXT` of `WORD TEXT`, from its first byte that is no blank.
std::optional<std::string_view> AfterWord(std::string_view line, std::string_view word) {
  if (line.rfind(word, 0) != 0) return std::nullopt;
  line.remove_prefix(word.size());
  if (!line.empty() && line.front() != ' ' && line.front() != '\t') return std::nullopt;
  return ToStd(absl::StripAsciiWhitespace(ToAbsl(line)));
}

// `30s`, `1.5h`, or a number of seconds.
std::optional<absl::Duration> ParseWait(std::string_view text) {
  absl::Duration wait;
  double seconds = 0;
  if (absl::SimpleAtod(ToAbsl(text), &seconds) && std::isfinite(seconds)) {
    wait = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(std::string(text), &wait)) {
    return std::nullopt;
  }
  return std::clamp(wait, absl::ZeroDuration(), kLongestAgain);
}

// Nothing if the line is none.
std::optional<AttemptProgress> ParseProgress(std::string_view text) {
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

}  // namespace

void TakeLine(std::string_view line, CommandWords* words) {
  const std::string_view text = ToStd(absl::StripAsciiWhitespace(ToAbsl(line)));
  if (const auto details = AfterWord(text, "details"); details.has_value()) {
    // The next attempt gets them as a variable of its environment.
    if (CheckDetails(*details).ok() && details->find('\0') == std::string_view::npos)
      words->details = std::string(*details);
  } else if (text == "permanent") {
    words->permanent = true;
    words->again.reset();
  } else if (const auto again = AfterWord(text, "again"); again.has_value()) {
    const auto wait = ParseWait(*again);
    if (!wait.has_value()) return;
    words->permanent = false;
    words->again = wait;
  } else if (auto progress = ParseProgress(text); progress.has_value()) {
    words->progress = *std::move(progress);
  }
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

void ProgressPipes::Read(size_t number, CommandWords* words) {
  Pipe& pipe = pipes_[number];
  for (int i = 0; i < kMostReads; ++i) {
    char buffer[kMaxLineBytes];
    const ssize_t n = read(pipe.read_end, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    std::string_view rest(buffer, static_cast<size_t>(n));
    for (size_t end; (end = rest.find('\n')) != std::string_view::npos;
         rest.remove_prefix(end + 1)) {
      pipe.line.append(rest.substr(0, end));
      TakeLine(pipe.line, words);
      pipe.line.clear();
    }
    pipe.line.append(rest.substr(0, kMaxLineBytes - std::min(kMaxLineBytes, pipe.line.size())));
  }
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
