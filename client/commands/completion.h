// Shell completion, written from the tree of verbs.
//
// Thread: none.

#ifndef REEVE_CLIENT_COMMANDS_COMPLETION_H_
#define REEVE_CLIENT_COMMANDS_COMPLETION_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace reeve {

// A verb, with what may follow it.
struct CommandTree {
  std::string name;
  std::string description;
  std::vector<std::string> options;  // `--json`, `-q`.
  std::vector<CommandTree> verbs;
};

// The script for `bash`, `zsh` or `fish`. Errors: a usage error for another shell.
absl::StatusOr<std::string> CompletionScript(const CommandTree& root, std::string_view shell);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_COMPLETION_H_
