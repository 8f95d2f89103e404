// What is read of a job's record without parsing all of it.
//
// Thread: any.

#ifndef REEVE_MASTER_STORE_JOB_RECORD_H_
#define REEVE_MASTER_STORE_JOB_RECORD_H_

#include <string>

#include "base/buffer.h"

namespace reeve {

// The principal that created the job of this reeve.store.v1.JobRecord; empty: root.
std::string OwnerOf(const Buffer& record);

// TaskKey.path of its specification; empty: it has none.
std::string TaskKeyPathOf(const Buffer& record);

// The job tries tasks of another one again.
bool IsRetry(const Buffer& record);

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_JOB_RECORD_H_
