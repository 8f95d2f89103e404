// Where the inputs of tasks come from: arguments, a range, or records of a stream (lines,
// NUL-separated, JSON lines).
//
// A stream is read as it comes and never further than asked, so a million lines take the memory of
// one batch, and a slow producer's line is handed on at once.
//
// Thread: one.

#ifndef REEVE_CLIENT_INPUT_INPUT_SOURCE_H_
#define REEVE_CLIENT_INPUT_INPUT_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/input/array_expression.h"

namespace reeve {

class InputSource {
 public:
  // Takes one input; the view is valid during the call. Returns: whether there is room for another.
  using Taker = std::function<bool(std::string_view)>;

  virtual ~InputSource() = default;

  // Hands what is at hand to `take` until it has no more room; waits only while nothing is.
  //
  // Returns: false at the end of the inputs.
  // Errors:  a usage error for a record that cannot be a task; everything before it was handed on.
  // CANCELLED if the file descriptor
  //          `wake_fd` became readable while waiting.
  virtual absl::StatusOr<bool> Fill(const Taker& take) = 0;
};

std::unique_ptr<InputSource> MakeArgumentSource(std::vector<std::string> arguments);
// The values in decimal.
std::unique_ptr<InputSource> MakeArraySource(const ArrayExpression& array);

struct RecordFormat {
  char delimiter = '\n';
  // Every record must be a JSON document; empty lines are skipped.
  bool is_json = false;
  // Above 0: whole records together, each with its delimiter, up to so many bytes an input; fewer
  // when nothing more is at hand. A longer record is an input of its own.
  size_t block_bytes = 0;
  // For messages: `in.jsonl`, `standard input`.
  std::string name;
};
// Reads `fd`, which stays open and belongs to the caller.
std::unique_ptr<InputSource> MakeRecordSource(int fd, int wake_fd, RecordFormat format);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_INPUT_SOURCE_H_
