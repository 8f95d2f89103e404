#include "client/output/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "client/output/json.h"

namespace reeve {
namespace {

// Returns: 0, or errno.
int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

Console::Console()
    : stdout_is_terminal_(isatty(STDOUT_FILENO) == 1),
      stderr_is_terminal_(isatty(STDERR_FILENO) == 1) {
  // A reader that goes away is an answer of Out, not a death.
  std::signal(SIGPIPE, SIG_IGN);
}

bool Console::Out(std::string_view bytes) {
  MutexLock lock(&mu_);
  if (out_error_ != 0 || bytes.empty()) return out_error_ == 0;
  HideProgress();
  out_error_ = WriteAll(STDOUT_FILENO, bytes);
  ShowProgress();
  return out_error_ == 0;
}

int Console::out_error() const {
  MutexLock lock(&mu_);
  return out_error_;
}

void Console::Err(std::string_view bytes) {
  if (bytes.empty()) return;
  MutexLock lock(&mu_);
  HideProgress();
  WriteAll(STDERR_FILENO, bytes);
  ShowProgress();
}

void Console::Note(std::string_view message) {
  if (!is_quiet_) Err(StrCat("reeve: ", message, "\n"));
}

void Console::Fail(const absl::Status& status) {
  if (!is_json_) {
    Err(StrCat("reeve: ", status.message(), "\n"));
    return;
  }
  JsonWriter json;
  json.BeginObject().Key("error").BeginObject();
  json.Key("code").String(ToStd(absl::StatusCodeToString(status.code())));
  json.Key("reason").String(ErrorReason(status));
  json.Key("message").String(ToStd(status.message()));
  json.EndObject().EndObject();
  Err(json.text() + "\n");
}

void Console::SetProgress(std::string line) {
  if (!stderr_is_terminal_) return;
  MutexLock lock(&mu_);
  HideProgress();
  progress_ = std::move(line);
  ShowProgress();
}

void Console::HideProgress() {
  if (is_shown_) WriteAll(STDERR_FILENO, "\r\x1b[K");
  is_shown_ = false;
}

void Console::ShowProgress() {
  if (progress_.empty()) return;
  // One line, however narrow: what wraps could not be taken back.
  winsize size = {};
  const bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  const size_t width = is_known ? size.ws_col - 1u : progress_.size();
  WriteAll(STDERR_FILENO, std::string_view(progress_).substr(0, width));
  is_shown_ = true;
}

}  // namespace reeve
