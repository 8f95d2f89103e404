#include "base/input_key.h"

#include <cstring>

#include "xxhash.h"

namespace reeve {

static_assert(sizeof(InputKey) == kInputKeyBytes);

InputKey KeyOf(std::string_view name) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(name.data(), name.size()));
  InputKey key;
  std::memcpy(key.words, canonical.digest, kInputKeyBytes);
  return key;
}

InputKey KeyFromBytes(std::string_view bytes) {
  InputKey key;
  std::memcpy(key.words, bytes.data(), kInputKeyBytes);
  return key;
}

void AppendKey(const InputKey& key, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(key.words), kInputKeyBytes);
}

std::string EncodeKeys(const std::vector<InputKey>& keys) {
  return std::string(reinterpret_cast<const char*>(keys.data()), keys.size() * kInputKeyBytes);
}

bool DecodeKeys(std::string_view bytes, std::vector<InputKey>* keys) {
  if (bytes.size() % kInputKeyBytes != 0) return false;
  if (bytes.empty()) return true;
  // Not reserve: what is decoded piece by piece must grow by more than each piece.
  const size_t before = keys->size();
  keys->resize(before + bytes.size() / kInputKeyBytes);
  std::memcpy(keys->data() + before, bytes.data(), bytes.size());
  return true;
}

}  // namespace reeve
