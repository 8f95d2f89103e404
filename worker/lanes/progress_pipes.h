// What commands say of how far they are: lines of a number from 0 to 1 (or 0 to 100 with a `%`) and
// a word about it, on the descriptor that REEVE_PROGRESS_FD names.
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

#include "worker/lanes/lane.h"

namespace reeve {

// Nothing if the line is none.
std::optional<AttemptProgress> ParseProgress(std::string_view line);

class ProgressPipes {
 public:
  ~ProgressPipes();

  // A pipe that nobody uses. Returns: its number; nothing if there are no descriptors.
  // `is_new`: to be watched from now on.
  std::optional<size_t> Take(bool* is_new);
  int read_end(size_t pipe) const { return pipes_[pipe].read_end; }
  int write_end(size_t pipe) const { return pipes_[pipe].write_end; }
  // Reads what is there. Returns: the last whole line that says something.
  std::optional<AttemptProgress> Read(size_t pipe);
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
