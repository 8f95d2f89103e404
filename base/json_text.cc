#include "base/json_text.h"

#include "simdjson.h"

namespace reeve {
namespace {

void AppendEscaped(char c, std::string* document) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  switch (c) {
    case '"':
    case '\\': *document += {'\\', c}; break;
    case '\n': *document += "\\n"; break;
    case '\r': *document += "\\r"; break;
    case '\t': *document += "\\t"; break;
    default: *document += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
  }
}

}  // namespace

bool IsUtf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string AsUtf8(std::string_view text) {
  if (IsUtf8(text)) return std::string(text);
  std::string utf8;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += {static_cast<char>(0xc0 | byte >> 6), static_cast<char>(0x80 | (byte & 0x3f))};
    }
  }
  return utf8;
}

void AppendJson(std::string_view text, std::string* document) {
  const bool is_utf8 = IsUtf8(text);
  *document += '"';
  size_t plain = 0;  // From here on nothing needs an escape.
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_plain = byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f;
    if (is_plain && (byte < 0x80 || is_utf8)) continue;
    document->append(text, plain, i - plain);
    AppendEscaped(text[i], document);
    plain = i + 1;
  }
  document->append(text, plain);
  *document += '"';
}

std::string JsonString(std::string_view text) {
  std::string document;
  AppendJson(text, &document);
  return document;
}

}  // namespace reeve
