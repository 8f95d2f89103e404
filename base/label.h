// Labels of workers: what their owners say of them.
//
// Thread: any.

#ifndef REEVE_BASE_LABEL_H_
#define REEVE_BASE_LABEL_H_

#include <string_view>

namespace reeve {

// 1 to 63 of a-z, 0-9, `.`, `_`, `-`, `/`; the value at most 63 printable ASCII characters.
inline bool IsLabel(std::string_view name, std::string_view value) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
  if (name.empty() || name.size() > 63 || value.size() > 63) return false;
  if (name.find_first_not_of(kAllowed) != std::string_view::npos) return false;
  for (const char c : value) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

}  // namespace reeve

#endif  // REEVE_BASE_LABEL_H_
