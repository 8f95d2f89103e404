// Random identifiers from the kernel's generator.

#ifndef REEVE_BASE_UUID_H_
#define REEVE_BASE_UUID_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace reeve {

// A UUID of version 7: sorts by time of making. 36 characters.
std::string MakeUuid();
// Never 0.
uint64_t RandomId();
// `bytes` random bytes as lower-case hex.
std::string RandomHex(size_t bytes);

}  // namespace reeve

#endif  // REEVE_BASE_UUID_H_
