#include "client/output/progress.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/strings.h"
#include "client/output/table.h"

namespace reeve {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(200);
constexpr absl::Duration kPlainInterval = absl::Seconds(10);
constexpr int kRedrawsPerQuestion = 5;

// 1234567 → 1,234,567
std::string Grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

}  // namespace

std::string FormatProgress(const ProgressCounts& counts, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const double rate = seconds > 0 ? static_cast<double>(counts.done) / seconds : 0;
  std::string line = StrCat(Grouped(counts.done), "/", Grouped(counts.total),
                            counts.total_is_final ? "" : "+", " done");
  if (counts.failed > 0) StrAppend(&line, ", ", Grouped(counts.failed), " failed");
  if (counts.running.has_value()) StrAppend(&line, ", ", Grouped(*counts.running), " running");
  StrAppend(&line, ", ", rate < 10 ? absl::StrFormat("%.1f", rate) : HumanCount(rate), "/s");
  if (counts.total_is_final && rate > 0 && counts.done < counts.total) {
    const double left = static_cast<double>(counts.total - counts.done) / rate;
    StrAppend(&line, ", ", HumanDuration(absl::Seconds(left)), " left");
  }
  return line;
}

Progress::Progress(Console* console, std::function<std::optional<uint64_t>()> running)
    : console_(console), ask_running_(std::move(running)), start_(absl::Now()) {
  if (!console_->is_quiet()) thread_ = std::thread([this] { Draw(); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(&mu_);
    is_stopping_ = true;
    stopping_.NotifyAll();
  }
  thread_.join();
  console_->SetProgress("");
}

ProgressCounts Progress::Snapshot() const {
  return {done, failed, running_, total, total_is_final};
}

void Progress::Draw() {
  const bool is_line = console_->has_progress_line();
  const absl::Duration interval = is_line ? kRedraw : kPlainInterval;
  for (int round = 1;; ++round) {
    {
      MutexLock lock(&mu_);
      const absl::Time until = absl::Now() + interval;
      while (!is_stopping_ && absl::Now() < until) stopping_.WaitFor(&mu_, until - absl::Now());
      if (is_stopping_) return;
    }
    if (ask_running_ && (!is_line || round % kRedrawsPerQuestion == 0)) running_ = ask_running_();
    const std::string line = FormatProgress(Snapshot(), absl::Now() - start_);
    if (is_line) {
      console_->SetProgress(line);
    } else {
      console_->Note(line);
    }
  }
}

}  // namespace reeve
