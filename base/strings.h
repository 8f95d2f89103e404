// Between std::string_view, which our code uses, and absl::string_view, which in Debian's Abseil is
// a type of its own and does not convert.

#ifndef REEVE_BASE_STRINGS_H_
#define REEVE_BASE_STRINGS_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace reeve {

inline absl::string_view ToAbsl(std::string_view s) {
  return absl::string_view(s.data(), s.size());
}
inline std::string_view ToStd(absl::string_view s) { return std::string_view(s.data(), s.size()); }

namespace internal {
template <typename T>
decltype(auto) StrCatArgument(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return ToAbsl(value);
  } else {
    return (value);
  }
}
}  // namespace internal

// absl::StrCat that also takes std::string_view.
template <typename... T>
std::string StrCat(const T&... parts) {
  return absl::StrCat(internal::StrCatArgument(parts)...);
}
template <typename... T>
void StrAppend(std::string* out, const T&... parts) {
  absl::StrAppend(out, internal::StrCatArgument(parts)...);
}

// The beginning of UTF-8 text: at most `bytes`, whole characters.
inline std::string_view Beginning(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

}  // namespace reeve

#endif  // REEVE_BASE_STRINGS_H_
