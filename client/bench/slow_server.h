// An HTTP server that answers each request after a set time with the request's path: what a
// benchmark of clients waits for.
//
// One thread, loopback only, connections kept alive, thousands at once. Understands no more of HTTP
// than that needs.
//
// Thread: the owner's; it has one of its own.

#ifndef REEVE_CLIENT_BENCH_SLOW_SERVER_H_
#define REEVE_CLIENT_BENCH_SLOW_SERVER_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace reeve {

class SlowServer {
 public:
  // Errors: RESOURCE_EXHAUSTED  no port or descriptor.
  static absl::StatusOr<std::unique_ptr<SlowServer>> Start(absl::Duration delay);
  ~SlowServer();

  uint16_t port() const;

 private:
  struct Impl;
  explicit SlowServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_SLOW_SERVER_H_
