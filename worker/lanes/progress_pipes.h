// What commands say while they run, in lines on the descriptor that REEVE_PROGRESS_FD names:
//
//   0.5 half of the pages    How far it is, from 0 to 1 (or 0 to 100 with a `%`), and a word about
//   it. details TEXT             For the next attempt, at most kMaxDetailsBytes; the newest counts.
//   permanent                Should it fail, trying again cannot help.
//   again 30s                Should it fail: try again after so long, and do not count this
//   attempt.
//
// Of the last two the newest counts. Other lines mean nothing.
//
// A pipe a slot, kept from one command to the next.
//
// Private to worker/lanes.
//
// Thread: none.

#ifndef REEVE_WORKER_LANES_PROGRESS_PIPES_H_
#define REEVE_WORKER_LANES_PROGRESS_PIPES_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "worker/lanes/lane.h"

namespace reeve {

struct CommandWords {
  std::optional<AttemptProgress> progress;  // Without details.
  std::optional<std::string> details;
  bool permanent = false;
  std::optional<absl::Duration> again;
};

// Adds what a line says, if it says something.
void TakeLine(std::string_view line, CommandWords* words);

class ProgressPipes {
 public:
  ~ProgressPipes();

  // A pipe that nobody uses. Returns: its number; nothing if there are no descriptors.
  // `is_new`: to be watched from now on.
  std::optional<size_t> Take(bool* is_new);
  int read_end(size_t pipe) const { return pipes_[pipe].read_end; }
  int write_end(size_t pipe) const { return pipes_[pipe].write_end; }
  // Reads what is there, and adds what its whole lines say.
  void Read(size_t pipe, CommandWords* words);
  // The command has ended, and all of its group.
  void GiveBack(size_t pipe);

 private:
  struct Pipe {
    int read_end = -1, write_end = -1;
    std::string line;  // Not whole yet.
  };
  std::vector<Pipe> pipes_;
  std::vector<size_t> unused_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_PROGRESS_PIPES_H_
