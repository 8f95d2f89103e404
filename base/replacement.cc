#include "base/replacement.h"

#include <optional>

#include "base/json_field.h"
#include "base/strings.h"
#include "simdjson.h"

namespace reeve {
namespace {

// A template may name its input many times; no system takes so long a command.
constexpr size_t kMaxExpandedBytes = 4u << 20;

std::string_view BaseName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos || path.size() == 1 ? path : path.substr(slash + 1);
}

std::string_view Folder(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A dot at the beginning of the base name is no extension.
std::string_view NoExtension(std::string_view path) {
  const size_t dot = path.rfind('.');
  const size_t slash = path.rfind('/');
  const size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  return dot == std::string_view::npos || dot <= base ? path : path.substr(0, dot);
}

absl::StatusOr<std::string> Field(simdjson::dom::element record, std::string_view path) {
  auto field = JsonField(record, path);
  if (field.has_value()) return *std::move(field);
  return absl::InvalidArgumentError(StrCat("the record has no field `", path, "`"));
}

}  // namespace

std::vector<Template::Piece> Template::Parse(std::string_view argument, bool json) {
  std::vector<Piece> pieces;
  std::string text;
  const auto flush = [&] {
    if (!text.empty()) pieces.push_back({Kind::kText, std::exchange(text, {})});
  };
  // The next `}`; looked for again only once it is passed, or many `{` would take quadratic time.
  size_t next_close = argument.find('}');
  for (size_t i = 0; i < argument.size();) {
    if (next_close < i) next_close = argument.find('}', i);
    const size_t close = argument[i] == '{' ? next_close : std::string_view::npos;
    std::optional<Piece> found;
    if (close != std::string_view::npos) {
      const std::string_view inside = argument.substr(i + 1, close - i - 1);
      if (inside.empty()) found = Piece{Kind::kInput, {}};
      if (inside == ".") found = Piece{Kind::kNoExtension, {}};
      if (inside == "/") found = Piece{Kind::kBase, {}};
      if (inside == "//") found = Piece{Kind::kFolder, {}};
      if (inside == "/.") found = Piece{Kind::kBaseNoExtension, {}};
      if (inside == "#") found = Piece{Kind::kNumber, {}};
      if (json && IsFieldPath(inside)) found = Piece{Kind::kField, std::string(inside.substr(1))};
    }
    if (!found.has_value()) {
      text += argument[i++];
      continue;
    }
    flush();
    pieces.push_back(std::move(*found));
    i = close + 1;
  }
  flush();
  return pieces;
}

Template::Template(const std::vector<std::string>& argv, const Options& options)
    : options_(options) {
  for (const std::string& argument : argv) {
    arguments_.push_back(Parse(argument, options.json));
    for (const Piece& piece : arguments_.back()) {
      uses_fields_ = uses_fields_ || piece.kind == Kind::kField;
      uses_input_ = uses_input_ || (piece.kind != Kind::kText && piece.kind != Kind::kNumber);
    }
  }
}

absl::StatusOr<std::vector<std::string>> Template::Expand(std::string_view input,
                                                          uint32_t index) const {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element record;
  if (options_.json) {
    const auto error = parser.parse(simdjson::padded_string(input)).get(record);
    if (error != simdjson::SUCCESS) {
      return absl::InvalidArgumentError(
          StrCat("not a JSON record: ", std::string(simdjson::error_message(error))));
    }
  }
  std::vector<std::string> argv;
  argv.reserve(arguments_.size());
  size_t total = 0;
  for (const std::vector<Piece>& pieces : arguments_) {
    std::string argument;
    for (const Piece& piece : pieces) {
      std::string value;
      switch (piece.kind) {
        case Kind::kText: argument += piece.text; continue;
        case Kind::kInput: value = input; break;
        case Kind::kNoExtension: value = NoExtension(input); break;
        case Kind::kBase: value = BaseName(input); break;
        case Kind::kFolder: value = Folder(input); break;
        case Kind::kBaseNoExtension: value = NoExtension(BaseName(input)); break;
        case Kind::kNumber: value = StrCat(uint64_t{index} + 1); break;
        case Kind::kField: {
          auto field = Field(record, piece.text);
          if (!field.ok()) return field.status();
          value = std::move(*field);
        }
      }
      argument += options_.shell ? ShellQuote(value) : value;
      if (total + argument.size() > kMaxExpandedBytes) {
        return absl::InvalidArgumentError("the command with its input put in is over 4 MiB");
      }
    }
    if (argument.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError("the input holds a NUL byte, which no argument can");
    }
    total += argument.size();
    argv.push_back(std::move(argument));
  }
  return argv;
}

std::string ShellQuote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

absl::StatusOr<std::vector<std::string>> SplitArgv(std::string_view input) {
  if (input.empty() || input.back() != '\0') {
    return absl::InvalidArgumentError(
        "the input is not a list of arguments, each followed by a NUL byte");
  }
  std::vector<std::string> argv;
  while (!input.empty()) {
    const size_t nul = input.find('\0');
    argv.emplace_back(input.substr(0, nul));
    input.remove_prefix(nul + 1);
  }
  return argv;
}

}  // namespace reeve
