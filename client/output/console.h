// Standard output for results, standard error for messages and the progress line.
//
// Everything is written whole, at once, so that lines of tasks never mix, and the progress line
// steps aside for the rest.
//
// Thread: all methods from any.

#ifndef REEVE_CLIENT_OUTPUT_CONSOLE_H_
#define REEVE_CLIENT_OUTPUT_CONSOLE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/mutex.h"

namespace reeve {

class Console {
 public:
  Console();

  // From now on: JSON on stdout and for errors; no notes and no progress.
  void set_json(bool json) { is_json_ = json; }
  void set_quiet(bool quiet) { is_quiet_ = quiet; }
  bool is_json() const { return is_json_; }
  bool is_quiet() const { return is_quiet_; }
  // A progress line can be drawn.
  bool has_progress_line() const { return !is_quiet_ && stderr_is_terminal_; }
  bool stdout_is_terminal() const { return stdout_is_terminal_; }

  // Returns: false once standard output takes nothing any more (see out_error).
  bool Out(std::string_view bytes);
  // Why not (errno); 0 while all is well.
  int out_error() const;
  void Err(std::string_view bytes);
  // `reeve: MESSAGE` on standard error, unless quiet.
  void Note(std::string_view message);
  // The error a command ends with, as text or, with --json, as a document.
  void Fail(const absl::Status& status);
  // Shows `line` as the last one of the terminal; "" takes it away.
  void SetProgress(std::string line);

 private:
  void HideProgress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ShowProgress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Set once.
  bool is_json_ = false;
  bool is_quiet_ = false;
  const bool stdout_is_terminal_;
  const bool stderr_is_terminal_;

  mutable Mutex mu_;
  std::string progress_ ABSL_GUARDED_BY(mu_);
  bool is_shown_ ABSL_GUARDED_BY(mu_) = false;
  int out_error_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_OUTPUT_CONSOLE_H_
