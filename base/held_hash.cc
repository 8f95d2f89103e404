#include "base/held_hash.h"

#include "xxhash.h"

namespace reeve {

uint64_t HeldHash::Finish() const {
  return XXH3_64bits(words_.data(), words_.size() * sizeof(uint64_t));
}

}  // namespace reeve
