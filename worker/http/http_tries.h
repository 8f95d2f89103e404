// What handlers that make requests share: waiting for an answer, and whether and when to try again.
//
// Thread: the async lane's.

#ifndef REEVE_WORKER_HTTP_HTTP_TRIES_H_
#define REEVE_WORKER_HTTP_HTTP_TRIES_H_

#include <string>

#include "absl/time/time.h"
#include "worker/http/http_client.h"
#include "worker/sdk/async.h"

namespace reeve {

struct HttpPatience {
  // Before the second try; twice as long before each further one, and half of it to all of it by
  // chance.
  absl::Duration first_backoff = absl::Milliseconds(500);
  absl::Duration longest_backoff = absl::Seconds(30);
  // An answer that asks for more patience (Retry-After) is the last.
  absl::Duration longest_retry_after = absl::Minutes(5);
};

// As AsyncContext::Fetch, with a client of one's choice.
Awaited<HttpAnswer> FetchWith(AsyncContext& task, HttpClient* client, const HttpRequest& request);

// Why there is no good answer; never empty.
std::string CauseOf(const HttpAnswer& answer);
// The same request may have another answer later.
bool MayPass(const HttpAnswer& answer);
// How long to wait after `tries` of them; InfiniteDuration if the server asks for too much.
absl::Duration NextTryAfter(const HttpPatience& patience, const AsyncContext& task,
                            const HttpAnswer& answer, uint32_t tries);

}  // namespace reeve

#endif  // REEVE_WORKER_HTTP_HTTP_TRIES_H_
