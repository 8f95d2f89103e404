// HTTP requests without waiting for them: one libcurl multi handle on an event loop.
//
// Bounds connections in all and to one host (scheme, name and port) itself, first come, first
// served per host; what must wait holds no connection and no descriptor. Connections are kept and
// used again. Only http and https are spoken, after redirects, too.
//
// Thread: the loop's.

#ifndef REEVE_WORKER_HTTP_HTTP_CLIENT_H_
#define REEVE_WORKER_HTTP_HTTP_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "worker/sdk/awaitables.h"

namespace reeve {

class EventLoop;

struct HttpClientOptions {
  uint32_t max_connections = 100;
  uint32_t max_connections_per_host = 30;
  absl::Duration dns_cache = absl::Seconds(300);
  // Connect to no address that IsPublicAddress refuses, whatever a name says.
  bool public_only = false;
};

class HttpClient {
 public:
  // `loop` outlives it.
  HttpClient(EventLoop* loop, const HttpClientOptions& options);
  // REQUIRES: the loop does not run any more.
  ~HttpClient();

  // Calls `done` once, later. Returns: a number for Stop.
  uint64_t Start(HttpRequest request, std::function<void(HttpAnswer)> done);
  // Ends a request without an answer; its `done` is not called.
  void Stop(uint64_t number);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_HTTP_HTTP_CLIENT_H_
