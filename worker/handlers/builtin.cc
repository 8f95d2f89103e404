#include "worker/handlers/builtin.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "worker/handlers/jq.h"

namespace reeve {
namespace {

constexpr size_t kReadBytes = 64 << 10;

absl::StatusOr<std::string> Echo(TaskContext&, std::string_view input) {
  return std::string(input);
}

absl::StatusOr<std::string> Sleep(TaskContext& task, std::string_view input) {
  const std::string_view text = task.param("seconds").empty() ? input : task.param("seconds");
  double seconds = 0;
  if (!absl::SimpleAtod(ToAbsl(text), &seconds) || seconds < 0 || seconds > 1e9) {
    return absl::InvalidArgumentError(StrCat("`", text, "` is not a number of seconds"));
  }
  task.Sleep(absl::Seconds(seconds));
  return std::string();
}

struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int fd;
};

absl::Status CannotRead(std::string_view path) {
  const std::string message = StrCat("cannot read ", path, ": ", strerror(errno));
  // A file that is not there will not be there the next time either.
  return errno == ENOENT || errno == EACCES || errno == EISDIR ? absl::InvalidArgumentError(message)
                                                               : absl::InternalError(message);
}

absl::StatusOr<std::string> Digest(TaskContext& task, std::string_view input) {
  const std::string path(input);
  if (path.empty() || path.find('\0') != std::string::npos)
    return absl::InvalidArgumentError("the input is not a path");
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return CannotRead(path);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  uint64_t bytes = 0, lines = 0;
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  for (;;) {
    if (task.cancelled()) return absl::CancelledError("cancelled");
    const ssize_t n = read(file.fd, buffer.get(), kReadBytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return CannotRead(path);
    if (n == 0) break;
    EVP_DigestUpdate(context.get(), buffer.get(), static_cast<size_t>(n));
    bytes += static_cast<uint64_t>(n);
    lines += static_cast<uint64_t>(std::count(buffer.get(), buffer.get() + n, '\n'));
  }
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context.get(), hash, &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    constexpr char kHex[] = "0123456789abcdef";
    hex += {kHex[hash[i] >> 4], kHex[hash[i] & 15]};
  }
  return StrCat("{\"path\":", JsonString(path), ",\"sha256\":\"", hex, "\",\"lines\":", lines,
                ",\"bytes\":", bytes, "}");
}

}  // namespace

void AddBuiltinHandlers(const std::function<bool(std::string_view)>& offered,
                        HandlerRegistry* registry) {
  const std::pair<const char*, ThreadHandler> builtin[] = {
      {"echo", Echo}, {"sleep", Sleep}, {"digest", Digest}, {"jq", RunJq}};
  for (const auto& [name, handler] : builtin) {
    if (offered(name) && !registry->has(name)) registry->Add(name, handler);
  }
}

}  // namespace reeve
