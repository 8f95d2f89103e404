// A field of a JSON record by its path, as text: `a.b` is the field `b` of the object `a`.
//
// Thread: any.

#ifndef REEVE_BASE_JSON_FIELD_H_
#define REEVE_BASE_JSON_FIELD_H_

#include <optional>
#include <string>
#include <string_view>

#include "simdjson.h"

namespace reeve {

// With a dot before each name, of which each is letters, digits, `_` and `-`: `.a.b`.
bool IsFieldPath(std::string_view path);

// `path` without the first dot. Returns: a string as it is, anything else as JSON without blanks;
// nullopt if there is no such field.
std::optional<std::string> JsonField(simdjson::dom::element record, std::string_view path);

}  // namespace reeve

#endif  // REEVE_BASE_JSON_FIELD_H_
