#include "client/input/command_line.h"

#include <algorithm>
#include <numeric>

#include "client/exit_code.h"

namespace reeve {
namespace {

// Levenshtein distance, with a swap of neighbours counted as one.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, change});
      const bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_swap) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

absl::StatusOr<CommandLine> SplitCommandLine(const std::vector<std::string>& arguments) {
  CommandLine line;
  std::vector<std::string>* into = &line.options;
  for (const std::string& argument : arguments) {
    if (argument == ":::") {
      if (line.arguments.has_value()) return UsageError("only one ':::' may be given");
      into = &line.arguments.emplace();
    } else if (argument == "--" && !line.command.has_value() && !line.arguments.has_value()) {
      into = &line.command.emplace();
    } else {
      into->push_back(argument);
    }
  }
  return line;
}

std::string Suggest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace reeve
