// The JSON that the handler `http` takes and gives.
//
// Private to worker/http.
//
// Thread: any.

#ifndef REEVE_WORKER_HTTP_HTTP_RECORD_H_
#define REEVE_WORKER_HTTP_HTTP_RECORD_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/http/http_client.h"

namespace reeve {

struct HttpOrder {
  HttpRequest request;
  uint32_t tries = 3;
  bool are_tries_given = false;  // For any method then; otherwise idempotent ones alone.
  bool any_status = false;       // An answer of 400 and above is a result, too.
  bool include_headers = false;
  std::string file;  // Below the root for files.
};

// Reads a record, or a URL alone; what it leaves out comes from the job's `params`.
//
// Errors: INVALID_ARGUMENT  no JSON object, an unknown field, a value of another type or out of
// range; names the field.
absl::StatusOr<HttpOrder> ParseHttpOrder(std::string_view input,
                                         const std::map<std::string, std::string>& params);

// The result of a task. `answer` has no error.
std::string HttpResult(const HttpOrder& order, const HttpAnswer& answer, uint32_t tries);

}  // namespace reeve

#endif  // REEVE_WORKER_HTTP_HTTP_RECORD_H_
