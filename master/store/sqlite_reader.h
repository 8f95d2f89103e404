// Reads of the durable store, on a connection of their own.
//
// Thread: one.

#ifndef REEVE_MASTER_STORE_SQLITE_READER_H_
#define REEVE_MASTER_STORE_SQLITE_READER_H_

#include <memory>
#include <string>

#include "master/store/store.h"

namespace reeve {

// Errors: what the database says.
absl::StatusOr<std::unique_ptr<StoreReader>> OpenSqliteReader(const std::string& path);

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_SQLITE_READER_H_
