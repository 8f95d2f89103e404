// Replacement strings: an expansion has as many arguments as the template and no NUL; quoted text
// is one word for a shell. First byte: bit 0 JSON, bit 1 shell. Then two parts: template and input.

#include "base/replacement.h"

#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  const Template::Options options{(input[0] & 1) != 0, (input[0] & 2) != 0};
  const Parts parts = Split(input.substr(1));
  const std::vector<std::string> argv = {"program", std::string(parts.first)};
  const Template made(argv, options);
  const auto expanded = made.Expand(parts.second, 6);
  if (expanded.ok()) {
    Require(expanded->size() == argv.size(), "every argument is expanded");
    Require((*expanded)[0] == "program", "text without replacement strings stays");
    Require((*expanded)[1].find('\0') == std::string::npos, "no argument holds a NUL");
    if (parts.first.find('{') == std::string_view::npos)
      Require((*expanded)[1] == parts.first, "text without braces stays");
    if (parts.first == "{}" && !options.shell)
      Require((*expanded)[1] == parts.second, "{} is the input, untouched");
  }
  const std::string quoted = ShellQuote(parts.second);
  std::string plain;
  for (size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted.compare(i, 4, "'\\''") == 0) i += 3;
    plain += quoted[i];
  }
  Require(plain == parts.second, "quoting can be undone");
  if (const auto split = SplitArgv(parts.second); split.ok()) {
    std::string joined;
    for (const std::string& one : *split) joined += one + '\0';
    Require(joined == parts.second, "arguments join to the input");
  }
}

}  // namespace reeve::fuzz
