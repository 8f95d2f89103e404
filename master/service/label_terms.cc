#include "master/service/label_terms.h"

#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMaxLabelBytes = 63;

LabelTerm ParseTerm(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    const bool is_missing = !text.empty() && text[0] == '!';
    if (is_missing) text.remove_prefix(1);
    return {std::string(text), "",
            is_missing ? LabelTerm::Kind::kMissing : LabelTerm::Kind::kExists};
  }
  const std::string value(text.substr(equals + 1));
  const bool differs = equals > 0 && text[equals - 1] == '!';
  return {std::string(text.substr(0, differs ? equals - 1 : equals)), value,
          differs ? LabelTerm::Kind::kDiffers : LabelTerm::Kind::kEquals};
}

}  // namespace

bool IsLabelName(std::string_view name) {
  for (const char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '.' && c != '_' && c != '-' && c != '/') return false;
  }
  return !name.empty() && name.size() <= kMaxLabelBytes;
}

bool IsLabelValue(std::string_view value) {
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return value.size() <= kMaxLabelBytes;
}

absl::StatusOr<std::vector<LabelTerm>> ParseLabelTerms(
    std::string_view field, const google::protobuf::RepeatedPtrField<std::string>& terms) {
  const auto bad = [field](std::string_view why) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", StrCat(field, ": ", why));
  };
  if (terms.size() > kMaxLabelTerms) return bad("at most 16");
  std::vector<LabelTerm> parsed;
  for (const std::string& text : terms) {
    parsed.push_back(ParseTerm(text));
    if (!IsLabelName(parsed.back().name) || !IsLabelValue(parsed.back().value)) {
      return bad(StrCat("`", Beginning(text, 100),
                        "` is none of NAME=VALUE, NAME!=VALUE, NAME and !NAME"));
    }
  }
  return parsed;
}

}  // namespace reeve
