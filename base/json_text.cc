#include "base/json_text.h"

#include "simdjson.h"

namespace reeve {
namespace {

void AppendEscaped(unsigned char byte, std::string* document) {
  constexpr char kHex[] = "0123456789abcdef";
  *document += "\\u00";
  *document += kHex[byte >> 4];
  *document += kHex[byte & 15];
}

}  // namespace

bool IsUtf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

void AppendJson(std::string_view text, std::string* document) {
  const bool is_utf8 = IsUtf8(text);
  *document += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      *document += {'\\', c};
    } else if (c == '\n') {
      *document += "\\n";
    } else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_utf8)) {
      AppendEscaped(byte, document);
    } else {
      *document += c;
    }
  }
  *document += '"';
}

std::string JsonString(std::string_view text) {
  std::string document;
  AppendJson(text, &document);
  return document;
}

}  // namespace reeve
