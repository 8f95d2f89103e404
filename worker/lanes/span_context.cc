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
  attempt_ = attempt;
  progress_.permille = static_cast<uint32_t>(std::lround(share * 1'000));
  progress_.note = Beginning(note, kMaxProgressNoteBytes);
}

AttemptProgress ProgressCell::Get(uint64_t attempt) const {
  MutexLock lock(&mu_);
  return attempt_ == attempt ? progress_ : AttemptProgress();
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
