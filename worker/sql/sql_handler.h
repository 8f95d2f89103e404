// The handler `sql`: a transaction a task, on PostgreSQL. docs/handlers.md says what goes in and
// comes out.
//
// Thread: the async lane's.

#ifndef REEVE_WORKER_SQL_SQL_HANDLER_H_
#define REEVE_WORKER_SQL_SQL_HANDLER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/sdk/async.h"
#include "worker/sql/sql_pool.h"

namespace reeve {

// By name; a job that names none uses the first.
using SqlPools = std::vector<std::pair<std::string, std::unique_ptr<SqlPool>>>;

// `pools` outlive the handler. REQUIRES: at least one.
AsyncHandler MakeSqlHandler(const SqlPools* pools);

}  // namespace reeve

#endif  // REEVE_WORKER_SQL_SQL_HANDLER_H_
