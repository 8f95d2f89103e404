// Text of unknown origin as UTF-8, and as JSON strings for documents that are written by hand
// because they are made by the million.
//
// Thread: any.

#ifndef REEVE_BASE_JSON_TEXT_H_
#define REEVE_BASE_JSON_TEXT_H_

#include <string>
#include <string_view>

namespace reeve {

bool IsUtf8(std::string_view text);
// What is not UTF-8 is read as ISO 8859-1.
std::string AsUtf8(std::string_view text);

// Appends `text` in quotes. The document is valid whatever comes, see AsUtf8.
void AppendJson(std::string_view text, std::string* document);
std::string JsonString(std::string_view text);

}  // namespace reeve

#endif  // REEVE_BASE_JSON_TEXT_H_
