// The handler `http`: one request a task, tried again where that is safe. docs/handlers.md says
// what goes in and comes out.
//
// Thread: the async lane's.

#ifndef REEVE_WORKER_HTTP_HTTP_HANDLER_H_
#define REEVE_WORKER_HTTP_HTTP_HANDLER_H_

#include <string>

#include "worker/http/http_client.h"
#include "worker/http/http_tries.h"
#include "worker/sdk/async.h"

namespace reeve {

struct HttpHandlerOptions {
  // Bodies may be written to files below this folder; "": none may.
  std::string files_root;
  HttpPatience patience;
};

// `client` outlives the handler.
AsyncHandler MakeHttpHandler(HttpClient* client, const HttpHandlerOptions& options);

}  // namespace reeve

#endif  // REEVE_WORKER_HTTP_HTTP_HANDLER_H_
