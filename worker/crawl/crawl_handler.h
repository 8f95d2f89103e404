// The handler `crawl`: one page a task, whose links become new inputs of the same job.
// docs/handlers.md says what goes in and comes out.
//
// Thread: the async lane's.

#ifndef REEVE_WORKER_CRAWL_CRAWL_HANDLER_H_
#define REEVE_WORKER_CRAWL_CRAWL_HANDLER_H_

#include "worker/http/http_client.h"
#include "worker/http/http_tries.h"
#include "worker/sdk/async.h"

namespace reeve {

// `any` may connect to every address, `public_only` has HttpClientOptions::public_only. Both
// outlive the handler.
AsyncHandler MakeCrawlHandler(HttpClient* any, HttpClient* public_only,
                              const HttpPatience& patience = {});

}  // namespace reeve

#endif  // REEVE_WORKER_CRAWL_CRAWL_HANDLER_H_
