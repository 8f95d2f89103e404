// The handler `http`: one request a task, tried again where that is safe. docs/handlers.md says
// what goes in and comes out.
//
// Thread: the async lane's.

#ifndef REEVE_WORKER_HTTP_HTTP_HANDLER_H_
#define REEVE_WORKER_HTTP_HTTP_HANDLER_H_

#include <string>

#include "worker/http/http_client.h"
#include "worker/sdk/async.h"

namespace reeve {

struct HttpHandlerOptions {
  // Bodies may be written to files below this folder; "": none may.
  std::string files_root;
  // Before the second try; twice as long before each further one, and half of it to all of it by
  // chance.
  absl::Duration first_backoff = absl::Milliseconds(500);
  absl::Duration longest_backoff = absl::Seconds(30);
  // An answer that asks for more patience (Retry-After) is the last.
  absl::Duration longest_retry_after = absl::Minutes(5);
};

// `client` outlives the handler.
AsyncHandler MakeHttpHandler(HttpClient* client, const HttpHandlerOptions& options);

}  // namespace reeve

#endif  // REEVE_WORKER_HTTP_HTTP_HANDLER_H_
