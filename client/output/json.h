// JSON as Reeve prints it: the API's own (snake_case names, int64 as strings), and a small writer
// for the rest.
//
// Thread: none.

#ifndef REEVE_CLIENT_OUTPUT_JSON_H_
#define REEVE_CLIENT_OUTPUT_JSON_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace reeve {

// A message as one document: with line breaks if `pretty`, otherwise on one line. No newline at the
// end.
std::string ToJson(const google::protobuf::Message& message, bool pretty);

// Writes one document on one line; commas come by themselves.
//
//   JsonWriter json;
//   json.BeginObject().Key("tasks").Number(3).EndObject();
class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(std::string_view name);
  // As AppendJson (base/json_text.h) writes it, whatever the bytes.
  JsonWriter& String(std::string_view value);
  JsonWriter& Number(uint64_t value);
  // Six significant digits.
  JsonWriter& Number(double value);
  JsonWriter& Bool(bool value);
  // One that is JSON already.
  JsonWriter& Document(std::string_view json);

  const std::string& text() const { return text_; }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void Separate();

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_OUTPUT_JSON_H_
