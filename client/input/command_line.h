// What stands on a command line beside verbs and options: the command behind `--` and the arguments
// behind `:::`.
//
//   reeve map --ordered -- wc -c {} ::: a.log b.log
//             options      command     arguments
//
// Thread: none.

#ifndef REEVE_CLIENT_INPUT_COMMAND_LINE_H_
#define REEVE_CLIENT_INPUT_COMMAND_LINE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace reeve {

struct CommandLine {
  std::vector<std::string> options;                 // Verb and options, without the program's name.
  std::optional<std::vector<std::string>> command;  // Behind `--`.
  std::optional<std::vector<std::string>> arguments;  // Behind the first `:::`.
};

// Errors: a usage error for a second `:::`.
absl::StatusOr<CommandLine> SplitCommandLine(const std::vector<std::string>& arguments);

// The candidate nearest to `word`, if it is near enough to be what was meant; "" otherwise.
std::string Suggest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_COMMAND_LINE_H_
