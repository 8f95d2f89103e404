// The version of all programs of this tree.

#ifndef REEVE_BASE_VERSION_H_
#define REEVE_BASE_VERSION_H_

namespace reeve {
inline constexpr char kVersion[] = "0.1.0";
}  // namespace reeve

#endif  // REEVE_BASE_VERSION_H_
