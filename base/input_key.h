// Keys of inputs (reeve.v1.TaskBatch.keys) as bytes, and made from names.
//
// Handlers use KeyOf for TaskContext::AddInput.
//
// Thread: none.

#ifndef REEVE_BASE_INPUT_KEY_H_
#define REEVE_BASE_INPUT_KEY_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace reeve {

// The key of what is called `name` (a URL, a path): its XXH3-128 in the canonical form, high byte
// first, so that a client in any language can come to the same.
InputKey KeyOf(std::string_view name);

// REQUIRES: bytes.size() == kInputKeyBytes.
InputKey KeyFromBytes(std::string_view bytes);
void AppendKey(const InputKey& key, std::string* bytes);
std::string EncodeKeys(const std::vector<InputKey>& keys);
// Returns: false if `bytes` are not whole keys.
bool DecodeKeys(std::string_view bytes, std::vector<InputKey>* keys);

}  // namespace reeve

#endif  // REEVE_BASE_INPUT_KEY_H_
