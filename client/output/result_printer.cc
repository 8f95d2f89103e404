#include "client/output/result_printer.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "client/output/table.h"

namespace reeve {
namespace {

constexpr uint64_t kNamedFailures = 10;
// What is collected before it is written, so that a batch of large results is not held twice.
constexpr size_t kFlushBytes = 1 << 20;

void AppendBytesField(std::string_view name, std::string_view bytes, std::string* out) {
  if (IsUtf8(bytes)) {
    StrAppend(out, ",\"", name, "\":");
    AppendJson(bytes, out);
    return;
  }
  StrAppend(out, ",\"", name, "_base64\":\"", absl::Base64Escape(ToAbsl(bytes)), "\"");
}

}  // namespace

void AppendResultJson(JobId job, const ResultEntry& entry, std::string_view worker,
                      std::string* out) {
  StrAppend(out, "{\"job_id\":\"", job.value, "\",\"index\":", entry.index, ",\"state\":\"",
            ToString(entry.state), "\",\"attempt\":", entry.attempt);
  if (entry.reason != Reason::kNone) {
    StrAppend(out, ",\"reason\":\"", ToString(entry.reason), "\",\"message\":");
    AppendJson(entry.message, out);
  }
  StrAppend(out, ",\"exit_code\":", entry.exit_code, ",\"signal\":", entry.signal, ",\"worker\":");
  AppendJson(worker, out);
  const std::string start = absl::FormatTime(
      "%Y-%m-%dT%H:%M:%E6SZ", absl::FromUnixMicros(entry.start_us), absl::UTCTimeZone());
  StrAppend(out, ",\"start_time\":\"", start, "\",\"run_time\":\"",
            absl::StrFormat("%d.%06ds", entry.run_us / 1'000'000, entry.run_us % 1'000'000),
            "\",\"output_bytes\":\"", entry.output.size(), "\"");
  AppendBytesField("output", entry.output, out);
  if (!entry.error_output.empty()) AppendBytesField("error_output", entry.error_output, out);
  if (!entry.result_file.empty()) AppendBytesField("result_file", entry.result_file, out);
  if ((entry.flags & (kOutputTruncated | kErrorOutputTruncated)) != 0)
    *out += ",\"truncated\":true";
  *out += "}\n";
}

std::string DescribeFailure(const ResultEntry& entry) {
  std::string text(ToString(entry.reason));
  if (!entry.message.empty()) {
    StrAppend(&text, ": ", Printable(entry.message, 400));
  } else if (entry.reason == Reason::kExitNonzero) {
    StrAppend(&text, ": exit code ", entry.exit_code);
  } else if (entry.reason == Reason::kSignalled) {
    StrAppend(&text, ": signal ", entry.signal);
  }
  return text;
}

void ResultPrinter::Add(JobId job, const ResultEntry& entry, std::string_view worker) {
  ++count_;
  const bool has_failed = entry.state == TaskState::kFailed;
  if (has_failed) ++failed_count_;
  if (console_->is_json()) {
    AppendResultJson(job, entry, worker, &out_);
  } else {
    out_.append(entry.output);
    const bool ends_line = !entry.output.empty() && entry.output.back() == '\n';
    if (!options_.has_own_lines && !has_failed && !ends_line) out_ += '\n';
    err_.append(entry.error_output);
  }
  if (has_failed && options_.names_failures && failed_count_ <= kNamedFailures &&
      !console_->is_json() && !console_->is_quiet()) {
    if (!err_.empty() && err_.back() != '\n') err_ += '\n';
    StrAppend(&err_, "reeve: task ", TaskName(job, entry.index),
              " failed: ", DescribeFailure(entry), worker.empty() ? "" : " on ", worker, "\n");
  }
  if (out_.size() + err_.size() > kFlushBytes) Flush();
}

bool ResultPrinter::Flush() {
  const bool is_read = console_->Out(out_);
  console_->Err(err_);
  out_.clear();
  err_.clear();
  return is_read;
}

uint64_t ResultPrinter::unnamed_failures() const {
  return failed_count_ > kNamedFailures ? failed_count_ - kNamedFailures : 0;
}

}  // namespace reeve
