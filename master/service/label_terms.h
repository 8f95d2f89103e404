// Conditions on labels as text: `NAME=VALUE`, `NAME!=VALUE`, `NAME` (it is there), `!NAME` (it is
// not).
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_LABEL_TERMS_H_
#define REEVE_MASTER_SERVICE_LABEL_TERMS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "master/scheduler/events.h"

namespace reeve {

inline constexpr int kMaxLabelTerms = 16;

// 1 to 63 of a-z, A-Z, 0-9, `.`, `_`, `-`, `/`.
bool IsLabelName(std::string_view name);
// At most 63 bytes of UTF-8 without control characters.
bool IsLabelValue(std::string_view value);

// Errors: INVALID_ARGUMENT BAD_REQUEST, beginning with `field`.
absl::StatusOr<std::vector<LabelTerm>> ParseLabelTerms(
    std::string_view field, const google::protobuf::RepeatedPtrField<std::string>& terms);

// Every term holds. `labels`: a map of strings.
template <typename Labels>
bool Matches(const std::vector<LabelTerm>& terms, const Labels& labels) {
  for (const LabelTerm& term : terms) {
    const auto it = labels.find(term.name);
    const bool is_there = it != labels.end();
    const bool holds = term.kind == LabelTerm::Kind::kEquals ? is_there && it->second == term.value
                       : term.kind == LabelTerm::Kind::kDiffers
                           ? !is_there || it->second != term.value
                       : term.kind == LabelTerm::Kind::kExists ? is_there
                                                               : !is_there;
    if (!holds) return false;
  }
  return true;
}

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_LABEL_TERMS_H_
