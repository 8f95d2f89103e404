#include "master/access/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <utility>
#include <vector>

#include "base/inbox.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/named_thread.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kTurn = 1024;
constexpr absl::Duration kWait = absl::Seconds(1);

std::string Field(std::string_view name, std::string_view value) {
  std::string text = StrCat("\"", name, "\":");
  AppendJson(value, &text);
  return text;
}

}  // namespace

std::string AuditLine(const AuditEntry& entry) {
  return StrCat(
      "{", Field("time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", entry.time, absl::UTCTimeZone())),
      ",", Field("principal", entry.principal), ",", Field("peer", entry.peer), ",",
      Field("method", entry.method), ",", Field("subject", entry.subject), ",",
      Field("result", entry.result), "}");
}

struct AuditLog::Impl {
  std::string file;
  Inbox<AuditEntry> inbox{{.count = 65'536, .bytes = SIZE_MAX}, nullptr};
  std::atomic<uint64_t> dropped{0};
  int fd = -1;
  uint64_t size = 0;
  std::thread thread;

  void Open();
  void Write(const std::string& lines);
  void Run();
};

void AuditLog::Impl::Open() {
  fd = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  struct stat status {};
  size = fd >= 0 && fstat(fd, &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
  if (fd < 0) REEVE_LOG_ERROR("the audit log cannot be written file={}", file);
}

void AuditLog::Impl::Write(const std::string& lines) {
  if (fd < 0) Open();
  if (fd >= 0 && size + lines.size() > kMaxBytes) {
    close(fd);
    std::rename(file.c_str(), StrCat(file, ".1").c_str());
    Open();
  }
  const ssize_t written = fd < 0 ? -1 : write(fd, lines.data(), lines.size());
  if (written > 0) size += static_cast<uint64_t>(written);
  if (written == static_cast<ssize_t>(lines.size())) return;
  REEVE_LOG_ERROR("lines of the audit log are lost bytes={}", lines.size());
}

void AuditLog::Impl::Run() {
  for (;;) {
    std::vector<AuditEntry> entries = inbox.PopWait(kTurn, kWait);
    if (entries.empty() && inbox.closed()) break;
    std::string lines;
    for (const AuditEntry& entry : entries) lines += AuditLine(entry) + "\n";
    if (const uint64_t lost = dropped.exchange(0); lost > 0)
      lines += StrCat("{\"dropped\":", lost, "}\n");
    if (!lines.empty()) Write(lines);
  }
  if (fd >= 0) close(fd);
}

AuditLog::AuditLog(std::string file) : impl_(std::make_unique<Impl>()) {
  impl_->file = std::move(file);
  impl_->thread = NamedThread("audit-log", [impl = impl_.get()] { impl->Run(); });
}

AuditLog::~AuditLog() {
  impl_->inbox.Close();
  impl_->thread.join();
}

void AuditLog::Note(AuditEntry entry) {
  if (!impl_->inbox.TryPush(std::move(entry))) impl_->dropped.fetch_add(1);
}

}  // namespace reeve
