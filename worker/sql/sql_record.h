// The JSON that the handler `sql` takes and gives.
//
// Private to worker/sql.
//
// Thread: any.

#ifndef REEVE_WORKER_SQL_SQL_RECORD_H_
#define REEVE_WORKER_SQL_SQL_RECORD_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/sql/sql_pool.h"

namespace reeve {

struct SqlOrder {
  SqlTransaction transaction;
  std::string database;  // "": the first.
  uint32_t tries = 3;
  bool has_list = false;  // The record has `statements`: the result is a list, too.
};

// Reads a record, a list of parameters for the job's statement, or a text: its one parameter, or,
// if the job has no statement, the statement. What a record leaves out comes from the job's
// `params`.
//
// Errors: INVALID_ARGUMENT  no JSON, an unknown field, a value of another type; names the field.
absl::StatusOr<SqlOrder> ParseSqlOrder(std::string_view input,
                                       const std::map<std::string, std::string>& params);

// The result of a task: that of its statement, or {"results":[…]}.
std::string SqlTaskResult(const SqlOrder& order, const std::vector<std::string>& results);

}  // namespace reeve

#endif  // REEVE_WORKER_SQL_SQL_RECORD_H_
