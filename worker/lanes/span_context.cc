#include "worker/lanes/span_context.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMaxLineBytes = 64u << 10;
constexpr uint32_t kErrorStream = 2;

}  // namespace

void ProgressCell::Set(uint64_t attempt, double done, std::string_view note) {
  const double share = std::isnan(done) ? 0 : std::clamp(done, 0.0, 1.0);
  MutexLock lock(&mu_);
  Begin(attempt);
  progress_.permille = static_cast<uint32_t>(std::lround(share * 1'000));
  progress_.note = Beginning(note, kMaxProgressNoteBytes);
}

void ProgressCell::KeepDetails(uint64_t attempt, std::string_view details) {
  MutexLock lock(&mu_);
  Begin(attempt);
  details_ = details;
}

// What another attempt said is gone.
void ProgressCell::Begin(uint64_t attempt) {
  if (attempt_ == attempt) return;
  attempt_ = attempt;
  progress_ = {};
  details_.reset();
}

AttemptProgress ProgressCell::Get(uint64_t attempt, const std::string& before) const {
  MutexLock lock(&mu_);
  const bool spoke = attempt_ == attempt;
  AttemptProgress progress = spoke ? progress_ : AttemptProgress();
  progress.details = spoke && details_.has_value() ? *details_ : before;
  return progress;
}

absl::Status SpanAttempt::KeepDetails(std::string_view details) {
  if (absl::Status s = CheckDetails(details); !s.ok()) return s;
  progress_.KeepDetails(number_, details);
  return absl::OkStatus();
}

void SpanAttempt::Log(std::string_view line) {
  LaneOutput output;
  output.span = span_.key;
  output.job = span_.job->job;
  output.index = index_;
  output.attempt = span_.attempt;
  output.stream = kErrorStream;
  output.offset = logged_bytes_;
  output.content = StrCat(Beginning(line, kMaxLineBytes), "\n");
  logged_bytes_ += output.content.size();
  services_.sink->OnOutput(std::move(output));
}

absl::StatusOr<std::string> SpanAttempt::ScratchFolder() {
  if (!scratch_.has_value()) {
    if (services_.scratch == nullptr)
      return absl::FailedPreconditionError("there are no scratch folders here");
    auto folder = services_.scratch->Take();
    if (!folder.ok()) return folder.status();
    scratch_ = *std::move(folder);
  }
  return scratch_->path;
}

void SpanAttempt::GiveScratchBack() { services_.scratch->GiveBack(*std::move(scratch_)); }

}  // namespace reeve
