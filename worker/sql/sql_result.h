// What a statement gave, as JSON.
//
// Private to worker/sql.
//
// Thread: none.

#ifndef REEVE_WORKER_SQL_SQL_RESULT_H_
#define REEVE_WORKER_SQL_SQL_RESULT_H_

#include <postgresql/libpq-fe.h>

#include <cstdint>
#include <string>
#include <vector>

namespace reeve {

// {"command":"SELECT 2","row_count":2,"rows":[{"id":1,"name":"a"},…]}; without "rows" if the
// statement has none to give.
//
// Numbers, booleans and JSON are themselves, as PostgreSQL writes them; NaN, infinities and
// everything else are strings in PostgreSQL's text form. A second column of a name gets `_2`, and
// so on.
class SqlResult {
 public:
  // Appends the rows of a result of status PGRES_SINGLE_TUPLE or PGRES_TUPLES_OK, which is also the
  // end of them.
  void AddRows(const PGresult* result);
  // The end of a statement, PGRES_TUPLES_OK or PGRES_COMMAND_OK. Empty afterwards.
  std::string Finish(PGresult* result);

  size_t bytes() const { return rows_.size(); }

 private:
  void NameColumns(const PGresult* result);

  std::vector<std::string> names_;  // As JSON, with the colon.
  std::string rows_;
  bool has_rows_ = false;
};

}  // namespace reeve

#endif  // REEVE_WORKER_SQL_SQL_RESULT_H_
