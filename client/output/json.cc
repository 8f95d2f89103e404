#include "client/output/json.h"

#include <google/protobuf/util/json_util.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "base/json_text.h"
#include "base/strings.h"

namespace reeve {

std::string ToJson(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "{}";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

JsonWriter& JsonWriter::Open(char bracket) {
  Separate();
  text_ += bracket;
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  text_ += bracket;
  needs_comma_ = true;
  return *this;
}

void JsonWriter::Separate() {
  if (needs_comma_) text_ += ',';
  needs_comma_ = true;
}

JsonWriter& JsonWriter::Key(std::string_view name) {
  Separate();
  AppendJson(name, &text_);
  text_ += ':';
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view value) {
  Separate();
  AppendJson(value, &text_);
  return *this;
}

JsonWriter& JsonWriter::Number(uint64_t value) {
  Separate();
  StrAppend(&text_, value);
  return *this;
}

JsonWriter& JsonWriter::Number(double value) {
  Separate();
  text_ += std::isfinite(value) ? absl::StrFormat("%.6g", value) : "null";
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) {
  Separate();
  text_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::Document(std::string_view json) {
  Separate();
  text_ += json;
  return *this;
}

}  // namespace reeve
