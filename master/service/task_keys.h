// What groups the tasks of a job: a field of each input, as a number that is equal for equal keys.
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_TASK_KEYS_H_
#define REEVE_MASTER_SERVICE_TASK_KEYS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/input_batch.h"

namespace reeve {

// `.` (the whole input), a path of fields, `.a.b`, or `@host` (the host of a URL).
bool IsTaskKeyPath(std::string_view path);

// Of each input. One that is no JSON record, or lacks the field, has the key of an empty text. For
// `@host` the URL is the input, or the field `url` of one that is a record; what is no URL likewise
// has the key of an empty text.
// REQUIRES: IsTaskKeyPath(path).
std::vector<uint64_t> TaskKeysOf(const InputBatch& batch, std::string_view path);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_TASK_KEYS_H_
