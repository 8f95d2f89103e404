// Fields of the JSON records that built-in handlers take, whether they come in the record or, for
// the whole job, as text in its parameters.
//
// Thread: any.

#ifndef REEVE_WORKER_HANDLERS_RECORD_FIELD_H_
#define REEVE_WORKER_HANDLERS_RECORD_FIELD_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "simdjson.h"

namespace reeve {

// `http: `url` is missing`, INVALID_ARGUMENT.
absl::Status BadField(std::string_view handler, std::string_view name, std::string_view why);

class RecordField {
 public:
  RecordField(std::string_view handler, std::string_view name, simdjson::dom::element element)
      : handler_(handler), name_(name), element_(element) {}
  RecordField(std::string_view handler, std::string_view name, std::string_view text)
      : handler_(handler), name_(name), text_(text), is_text_(true) {}

  std::string_view name() const { return name_; }
  // Of a parameter. Otherwise `element` has it.
  bool is_text() const { return is_text_; }
  std::string_view text() const { return text_; }
  simdjson::dom::element element() const { return element_; }

  absl::Status Bad(std::string_view why) const { return BadField(handler_, name_, why); }
  // Errors: INVALID_ARGUMENT  another type, or out of range.
  absl::StatusOr<std::string> String() const;
  absl::StatusOr<double> Number(double least, double most) const;
  absl::StatusOr<bool> Bool() const;

 private:
  std::string_view handler_, name_;
  simdjson::dom::element element_;
  std::string_view text_;
  bool is_text_ = false;
};

// Calls `set` with the value, if there is one.
template <typename T, typename Set>
absl::Status Put(absl::StatusOr<T> value, const Set& set) {
  if (!value.ok()) return value.status();
  set(*value);
  return absl::OkStatus();
}

using TakeField = std::function<absl::Status(const RecordField&)>;
// Both end with the first error of `set`.
absl::Status ForEachParam(std::string_view handler,
                          const std::map<std::string, std::string>& params, const TakeField& set);
// Errors: INVALID_ARGUMENT  `record` is no JSON object.
absl::Status ForEachField(std::string_view handler, std::string_view record, const TakeField& set);

}  // namespace reeve

#endif  // REEVE_WORKER_HANDLERS_RECORD_FIELD_H_
