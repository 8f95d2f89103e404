#include "worker/handlers/record_field.h"

#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace reeve {

absl::Status BadField(std::string_view handler, std::string_view name, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(handler, ": `", name, "` ", why));
}

absl::StatusOr<std::string> RecordField::String() const {
  if (is_text_) return std::string(text_);
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) return Bad("must be a string");
  return std::string(value);
}

absl::StatusOr<double> RecordField::Number(double least, double most) const {
  double value = 0;
  const bool ok =
      is_text_ ? absl::SimpleAtod(ToAbsl(text_), &value) : element_.get(value) == simdjson::SUCCESS;
  if (!ok || !(value >= least && value <= most))
    return Bad(StrCat("must be a number from ", least, " to ", most));
  return value;
}

absl::StatusOr<bool> RecordField::Bool() const {
  bool value = false;
  const bool ok =
      is_text_ ? absl::SimpleAtob(ToAbsl(text_), &value) : element_.get(value) == simdjson::SUCCESS;
  if (!ok) return Bad("must be true or false");
  return value;
}

absl::Status ForEachParam(std::string_view handler,
                          const std::map<std::string, std::string>& params, const TakeField& set) {
  for (const auto& [name, value] : params) {
    if (absl::Status s = set(RecordField(handler, name, std::string_view(value))); !s.ok())
      return s;
  }
  return absl::OkStatus();
}

absl::Status ForEachField(std::string_view handler, std::string_view record, const TakeField& set) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element element;
  simdjson::dom::object object;
  if (const auto error = parser.parse(simdjson::padded_string(record)).get(element);
      error != simdjson::SUCCESS)
    return absl::InvalidArgumentError(
        StrCat(handler, ": the input is no JSON record: ", simdjson::error_message(error)));
  if (element.get(object) != simdjson::SUCCESS)
    return absl::InvalidArgumentError(StrCat(handler, ": the input is no JSON object"));
  for (const auto& [name, value] : object) {
    if (absl::Status s = set(RecordField(handler, name, value)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace reeve
