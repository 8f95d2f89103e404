#include "worker/sdk/verdict.h"

#include <algorithm>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr char kPermanentUrl[] = "reeve/permanent";
constexpr char kAgainUrl[] = "reeve/again-after-ms";
constexpr absl::Duration kLongestWait = absl::Hours(24);

}  // namespace

absl::Status Permanent(absl::Status error) {
  error.SetPayload(kPermanentUrl, absl::Cord());
  return error;
}

absl::Status AgainAfter(absl::Duration wait, std::string_view message) {
  const absl::Duration bounded = std::clamp(wait, absl::ZeroDuration(), kLongestWait);
  const absl::Duration whole = absl::Ceil(bounded, absl::Milliseconds(1));
  absl::Status error = absl::UnavailableError(ToAbsl(message));
  error.SetPayload(kAgainUrl, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(whole))));
  return error;
}

bool IsPermanent(const absl::Status& error) { return error.GetPayload(kPermanentUrl).has_value(); }

std::optional<absl::Duration> AgainWait(const absl::Status& error) {
  const auto text = error.GetPayload(kAgainUrl);
  int64_t ms = 0;
  if (!text.has_value() || !absl::SimpleAtoi(std::string(*text), &ms)) return std::nullopt;
  return absl::Milliseconds(ms);
}

}  // namespace reeve
