// What a handler of the async lane can wait for beside timers, and what it gets: HTTP requests and
// child processes (AsyncContext::Fetch, AsyncContext::RunProcess).

#ifndef REEVE_WORKER_SDK_AWAITABLES_H_
#define REEVE_WORKER_SDK_AWAITABLES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace reeve {

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

struct ProcessOrder {
  // The program, looked up in PATH, and its arguments; no shell.
  std::vector<std::string> argv;
  std::string input;              // On standard input.
  std::string working_directory;  // "": the worker's.
  // Added to what commands get of the worker's: PATH, HOME, LANG, LC_*, TZ, TERM.
  std::map<std::string, std::string> environment;
  size_t max_output_bytes = 1u << 20;  // Kept of each stream; the rest is read and dropped.
};

struct ProcessEnd {
  // Empty: it ran. Otherwise why it could not be started.
  std::string error;
  int exit_code = 0;
  int signal = 0;  // That ended it; 0: none.
  std::string output, error_output;
  bool is_cut = false;  // There was more output than is kept.
};

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_AWAITABLES_H_
