#include "base/json_field.h"

#include "absl/strings/str_split.h"
#include "base/strings.h"

namespace reeve {

bool IsFieldPath(std::string_view path) {
  if (path.size() < 2 || path[0] != '.') return false;
  for (const char c : path) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.';
    if (!word) return false;
  }
  return path.back() != '.' && path.find("..") == std::string_view::npos;
}

std::optional<std::string> JsonField(simdjson::dom::element record, std::string_view path) {
  simdjson::dom::element at = record;
  for (const absl::string_view key : absl::StrSplit(ToAbsl(path), '.')) {
    simdjson::dom::element next;
    if (at[ToStd(key)].get(next) != simdjson::SUCCESS) return std::nullopt;
    at = next;
  }
  std::string_view text;
  if (at.get(text) == simdjson::SUCCESS) return std::string(text);
  return std::string(simdjson::minify(at));
}

}  // namespace reeve
