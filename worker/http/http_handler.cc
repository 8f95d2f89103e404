#include "worker/http/http_handler.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "worker/http/http_record.h"
#include "worker/http/http_tries.h"

namespace reeve {
namespace {

// A file below a folder, and nowhere else whatever links are there. Removed unless it is kept.
class BodyFile {
 public:
  BodyFile() = default;
  BodyFile(const BodyFile&) = delete;
  BodyFile& operator=(const BodyFile&) = delete;
  ~BodyFile() {
    if (fd_ >= 0) {
      close(fd_);
      if (!is_kept_) unlinkat(root_, name_.c_str(), 0);
    }
    if (root_ >= 0) close(root_);
  }

  absl::Status Open(const std::string& root, const std::string& name) {
    name_ = name;
    root_ = open(root.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (root_ < 0) return absl::InternalError(StrCat("http: ", root, ": ", strerror(errno)));
    open_how how{};
    how.flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    how.mode = 0666;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    fd_ = static_cast<int>(syscall(SYS_openat2, root_, name.c_str(), &how, sizeof how));
    if (fd_ >= 0) return absl::OkStatus();
    return absl::InvalidArgumentError(StrCat("http: `file` ", name, ": ", strerror(errno)));
  }
  absl::Status Rewind() {
    if (fd_ >= 0 && (ftruncate(fd_, 0) != 0 || lseek(fd_, 0, SEEK_SET) != 0))
      return absl::InternalError(StrCat("http: `file` ", name_, ": ", strerror(errno)));
    return absl::OkStatus();
  }
  int fd() const { return fd_; }
  void Keep() { is_kept_ = true; }

 private:
  std::string name_;
  int root_ = -1, fd_ = -1;
  bool is_kept_ = false;
};

// Sending it once more changes nothing that sending it once has not changed (RFC 9110, 9.2.2).
bool IsIdempotent(const std::string& method) {
  for (const char* safe : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}) {
    if (method == safe) return true;
  }
  return false;
}

bool MayRepeat(const HttpOrder& order) {
  return order.are_tries_given || IsIdempotent(order.request.method);
}

absl::Status Failure(const HttpOrder& order, const HttpAnswer& answer, uint32_t tries) {
  const std::string message =
      StrCat("http: ", order.request.method, " ", order.request.url, ": ", CauseOf(answer),
             tries > 1 ? StrCat(" (", tries, " tries)") : "");
  // The job's attempts are tries, too: they must not repeat what this handler may not.
  return MayPass(answer) && MayRepeat(order) ? absl::UnavailableError(message)
                                             : absl::InvalidArgumentError(message);
}

Async<absl::StatusOr<std::string>> RunHttp(AsyncContext* task, std::string input,
                                           HttpClient* client, const HttpHandlerOptions* options) {
  auto order = ParseHttpOrder(input, task->params());
  if (!order.ok()) co_return order.status();
  BodyFile file;
  if (!order->file.empty()) {
    if (options->files_root.empty())
      co_return absl::InvalidArgumentError(
          "http: `file` is not allowed here (reeve-worker --http-files)");
    if (absl::Status s = file.Open(options->files_root, order->file); !s.ok()) co_return s;
    order->request.body_fd = file.fd();
  }
  for (uint32_t tries = 1;; ++tries) {
    if (absl::Status s = file.Rewind(); !s.ok()) co_return s;
    const HttpAnswer answer = co_await FetchWith(*task, client, order->request);
    if (answer.error.empty() && (answer.status < 400 || order->any_status)) {
      file.Keep();
      co_return HttpResult(*order, answer, tries);
    }
    if (!MayPass(answer) || !MayRepeat(*order) || tries >= order->tries)
      co_return Failure(*order, answer, tries);
    const absl::Duration wait = NextTryAfter(options->patience, *task, answer, tries);
    if (wait == absl::InfiniteDuration()) co_return Failure(*order, answer, tries);
    // Nothing is held while it waits: the connection went back with the answer.
    co_await task->Sleep(wait);
  }
}

}  // namespace

AsyncHandler MakeHttpHandler(HttpClient* client, const HttpHandlerOptions& options) {
  return [client, options](AsyncContext& task, std::string input) {
    return RunHttp(&task, std::move(input), client, &options);
  };
}

}  // namespace reeve
