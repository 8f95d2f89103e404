#include "client/input/selector.h"

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/ids.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

constexpr size_t kMaxSelectedJobs = 100'000;

// Digits only: SimpleAtoi would also take blanks and signs.
bool ParseNumber(std::string_view text, uint64_t* number) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  return absl::SimpleAtoi(ToAbsl(text), number);
}

bool ParseRange(std::string_view text, uint64_t* first, uint64_t* last) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return ParseNumber(text, first) && ParseNumber(text, last);
  return ParseNumber(text.substr(0, dash), first) && ParseNumber(text.substr(dash + 1), last) &&
         *first <= *last;
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> ParseNumbers(std::string_view text, size_t limit) {
  std::vector<uint64_t> numbers;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    uint64_t first = 0, last = 0;
    if (!ParseRange(ToStd(part), &first, &last)) {
      return UsageError(StrCat("'", part, "' is not a number or a range like 5-8"));
    }
    if (last - first >= limit || numbers.size() + (last - first + 1) > limit) {
      return UsageError(StrCat("'", text, "' names more than ", limit, " numbers"));
    }
    // Counted, not compared with `last`: nothing is above the largest number.
    for (uint64_t i = 0; i <= last - first; ++i) numbers.push_back(first + i);
  }
  return numbers;
}

absl::StatusOr<JobSelector> ParseJobSelector(std::string_view text) {
  if (text == "last") return JobSelector{JobSelector::Kind::kLast, {}};
  if (text == "all") return JobSelector{JobSelector::Kind::kAll, {}};
  if (text == "-") return JobSelector{JobSelector::Kind::kStdin, {}};
  absl::StatusOr<std::vector<uint64_t>> ids = ParseNumbers(text, kMaxSelectedJobs);
  if (!ids.ok()) {
    return UsageError(
        StrCat("'", text, "' names no job; give an id, `last`, `all`, `1,3,5-8` or `-`"));
  }
  return JobSelector{JobSelector::Kind::kIds, *std::move(ids)};
}

absl::StatusOr<TaskSelector> ParseTaskSelector(std::string_view text) {
  const absl::Status bad =
      UsageError(StrCat("'", text, "' names no task; give JOB/INDEX, e.g. 42/17 or last/0"));
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return bad;
  const absl::StatusOr<JobSelector> job = ParseJobSelector(text.substr(0, slash));
  if (!job.ok()) return bad;
  const bool is_one = job->kind == JobSelector::Kind::kLast || job->ids.size() == 1;
  std::string_view rest = text.substr(slash + 1);
  uint64_t index = 0, attempt = 0;
  if (const size_t hash = rest.find('#'); hash != std::string_view::npos) {
    if (!ParseNumber(rest.substr(hash + 1), &attempt) || attempt > UINT32_MAX) return bad;
    rest = rest.substr(0, hash);
  }
  if (!is_one || !ParseNumber(rest, &index) || index >= kMaxTasksPerJob) return bad;
  return TaskSelector{*job, static_cast<uint32_t>(index), static_cast<uint32_t>(attempt)};
}

}  // namespace reeve
