// Who calls, and what they may do.
//
// Thread: none; a value.

#ifndef REEVE_MASTER_ACCESS_PRINCIPAL_H_
#define REEVE_MASTER_ACCESS_PRINCIPAL_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reeve {

// Bits, numbered as reeve.v1.Token.Role.
enum Role : uint32_t {
  kRoleSubmit = 1u << 1,  // Creates jobs; sees and controls its own.
  kRoleRead = 1u << 2,    // Sees all; changes nothing.
  kRoleAdmin = 1u << 3,   // Everything.
  kRoleWorker = 1u << 4,  // Enrols a worker; nothing else.
};

// The holder of the state folder's own token.
inline constexpr char kRootPrincipal[] = "root";

struct Principal {
  std::string name;
  uint32_t roles = 0;                 // Of Role.
  std::vector<std::string> handlers;  // That its jobs may use; empty: all.

  bool may_use(std::string_view handler) const {
    return handlers.empty() ||
           std::find(handlers.begin(), handlers.end(), handler) != handlers.end();
  }
  bool has(uint32_t any_of) const { return (roles & any_of) != 0; }
  // Jobs of `owner`; empty: of before there were owners, or of root.
  bool sees(std::string_view owner) const {
    return has(kRoleRead | kRoleAdmin) || (has(kRoleSubmit) && owner == name);
  }
  bool controls(std::string_view owner) const {
    return has(kRoleAdmin) || (has(kRoleSubmit) && owner == name);
  }
  bool sees_all() const { return has(kRoleRead | kRoleAdmin); }
  bool controls_all() const { return has(kRoleAdmin); }
};

}  // namespace reeve

#endif  // REEVE_MASTER_ACCESS_PRINCIPAL_H_
