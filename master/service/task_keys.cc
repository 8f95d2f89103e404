#include "master/service/task_keys.h"

#include <string>

#include "absl/strings/ascii.h"
#include "base/json_field.h"
#include "base/strings.h"
#include "simdjson.h"
#include "xxhash.h"

namespace reeve {
namespace {

constexpr std::string_view kHost = "@host";

uint64_t HashOf(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }

std::string FieldOf(std::string_view input, std::string_view path) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element record;
  if (parser.parse(simdjson::padded_string(input)).get(record) != simdjson::SUCCESS) return {};
  return JsonField(record, path).value_or("");
}

// In lower case, without user, port and path.
std::string HostOf(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#\\"));
  url.remove_prefix(url.rfind('@') + 1);  // npos + 1 is 0.
  const size_t literal = url.rfind(']');  // Of an IPv6 address, which has colons itself.
  url = url.substr(0, url.find(':', literal == std::string_view::npos ? 0 : literal));
  return absl::AsciiStrToLower(ToAbsl(url));
}

std::string HostOfInput(std::string_view input) {
  const std::string_view text = ToStd(absl::StripAsciiWhitespace(ToAbsl(input)));
  return text.empty() || text.front() != '{' ? HostOf(text) : HostOf(FieldOf(text, "url"));
}

}  // namespace

bool IsTaskKeyPath(std::string_view path) {
  return path == "." || path == kHost || (path.size() <= 256 && IsFieldPath(path));
}

std::vector<uint64_t> TaskKeysOf(const InputBatch& batch, std::string_view path) {
  std::vector<uint64_t> keys(batch.count());
  for (uint32_t i = 0; i < batch.count(); ++i) {
    const std::string_view input = batch.Input(i);
    if (path == ".") {
      keys[i] = HashOf(input);
    } else {
      keys[i] = HashOf(path == kHost ? HostOfInput(input) : FieldOf(input, path.substr(1)));
    }
  }
  return keys;
}

}  // namespace reeve
