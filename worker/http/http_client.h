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
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace reeve {

class EventLoop;

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string proxy;            // "": none, whatever the environment says.
  uint32_t max_redirects = 10;  // 0: a redirect is the answer.
  // Until the connection stands; until the whole answer is there. From when it has its place, not
  // while it waits for one.
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration total_timeout = absl::Seconds(30);
  // An answer with more is given up.
  uint64_t max_body_bytes = 2u << 20;
  // Where the body goes, the caller's; -1: into the answer.
  int body_fd = -1;
};

struct HttpAnswer {
  // Empty: there is an answer. Otherwise why there is none; never empty then.
  std::string error;
  bool is_too_large = false;  // The error is that.
  bool is_refused = false;    // The request itself cannot be made (its URL): again would not help.
  int status = 0;
  std::string url;  // After redirects.
  std::vector<std::pair<std::string, std::string>>
      headers;  // Names in lower case; of the last answer.
  std::string body;
  uint64_t body_bytes = 0;
  uint32_t redirects = 0;
  absl::Duration took;  // Without waiting for a place.
};

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
