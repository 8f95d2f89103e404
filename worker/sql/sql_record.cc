#include "worker/sql/sql_record.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "base/ids.h"
#include "base/strings.h"
#include "simdjson.h"
#include "worker/handlers/record_field.h"

namespace reeve {
namespace {

// As many as the protocol can count.
constexpr size_t kMostParams = 65'535;
constexpr size_t kMostStatements = 1'000;
// Of {"results":[…]} around them.
constexpr uint64_t kResultFrame = 1'024;

struct Levels {
  std::string isolation = "read committed";
  bool read_only = false;
};

// Text that the database reads as a value of whatever type the parameter has.
std::optional<std::string> ParamText(simdjson::dom::element element) {
  switch (element.type()) {
    case simdjson::dom::element_type::NULL_VALUE: return std::nullopt;
    case simdjson::dom::element_type::STRING: return std::string(std::string_view(element));
    default: return simdjson::minify(element);
  }
}

absl::Status SetParams(const RecordField& field, simdjson::dom::element element,
                       std::vector<std::optional<std::string>>* params) {
  simdjson::dom::array array;
  if (element.get(array) != simdjson::SUCCESS) return field.Bad("must be an array");
  if (array.size() > kMostParams) return field.Bad("has more than 65,535 values");
  for (const simdjson::dom::element value : array) {
    params->push_back(ParamText(value));
    if (params->back().has_value() && params->back()->find('\0') != std::string::npos)
      return field.Bad("has a NUL character, which PostgreSQL cannot keep");
  }
  return absl::OkStatus();
}

absl::Status SetStatements(const RecordField& field, std::vector<SqlStatement>* statements) {
  simdjson::dom::array array;
  if (field.is_text() || field.element().get(array) != simdjson::SUCCESS)
    return field.Bad("must be an array of objects");
  if (array.size() == 0 || array.size() > kMostStatements)
    return field.Bad(StrCat("must have 1 to ", kMostStatements, " statements"));
  for (const simdjson::dom::element one : array) {
    simdjson::dom::object object;
    if (one.get(object) != simdjson::SUCCESS) return field.Bad("must be an array of objects");
    SqlStatement statement;
    for (const auto& [name, value] : object) {
      std::string_view text;
      if (name == "sql" && value.get(text) == simdjson::SUCCESS) {
        statement.text = text;
      } else if (name == "params") {
        if (absl::Status s = SetParams(field, value, &statement.params); !s.ok()) return s;
      } else {
        return field.Bad(StrCat("has an unknown or bad `", name, "`"));
      }
    }
    statements->push_back(std::move(statement));
  }
  return absl::OkStatus();
}

absl::Status SetOrder(const RecordField& field, SqlOrder* order, SqlStatement* single,
                      Levels* levels) {
  const std::string_view name = field.name();
  if (name == "sql")
    return Put(field.String(), [&](const std::string& text) { single->text = text; });
  if (name == "params")
    return field.is_text() ? field.Bad("comes with the input")
                           : SetParams(field, field.element(), &single->params);
  if (name == "statements") {
    order->has_list = true;
    return SetStatements(field, &order->transaction.statements);
  }
  if (name == "database")
    return Put(field.String(), [&](const std::string& text) { order->database = text; });
  if (name == "tries")
    return Put(field.Number(1, 100), [&](double n) { order->tries = static_cast<uint32_t>(n); });
  if (name == "read_only") return Put(field.Bool(), [&](bool b) { levels->read_only = b; });
  if (name == "isolation") {
    if (absl::Status s =
            Put(field.String(),
                [&](const std::string& text) { levels->isolation = absl::AsciiStrToLower(text); });
        !s.ok())
      return s;
    for (const char* level : {"read committed", "repeatable read", "serializable"}) {
      if (levels->isolation == level) return absl::OkStatus();
    }
    return field.Bad("must be `read committed`, `repeatable read` or `serializable`");
  }
  return field.Bad("is unknown");
}

// [1, "a"]: parameters alone.
absl::Status ReadList(std::string_view input, std::vector<std::optional<std::string>>* params) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element element;
  if (const auto error = parser.parse(simdjson::padded_string(input)).get(element);
      error != simdjson::SUCCESS)
    return absl::InvalidArgumentError(
        StrCat("sql: the input is no JSON array: ", simdjson::error_message(error)));
  return SetParams(RecordField("sql", "params", element), element, params);
}

}  // namespace

absl::StatusOr<SqlOrder> ParseSqlOrder(std::string_view input,
                                       const std::map<std::string, std::string>& params) {
  SqlOrder order;
  SqlStatement single;
  Levels levels;
  const auto set = [&](const RecordField& field) {
    return SetOrder(field, &order, &single, &levels);
  };
  if (absl::Status s = ForEachParam("sql", params, set); !s.ok()) return s;
  const std::string_view text = ToStd(absl::StripAsciiWhitespace(ToAbsl(input)));
  absl::Status read;
  if (!text.empty() && text.front() == '{') {
    read = ForEachField("sql", text, set);
  } else if (!text.empty() && text.front() == '[') {
    read = ReadList(text, &single.params);
  } else if (single.text.empty()) {
    single.text = std::string(text);
  } else {
    single.params.emplace_back(std::string(input));
  }
  if (!read.ok()) return read;
  SqlTransaction& transaction = order.transaction;
  if (order.has_list && !single.text.empty())
    return BadField("sql", "statements", "and `sql` cannot both be given");
  if (!order.has_list) transaction.statements.push_back(std::move(single));
  for (const SqlStatement& statement : transaction.statements) {
    if (absl::StripAsciiWhitespace(statement.text).empty())
      return BadField("sql", "sql", "is missing");
    if (statement.text.find('\0') != std::string::npos)
      return BadField("sql", "sql", "has a NUL character");
  }
  transaction.read_only = levels.read_only;
  transaction.begin = StrCat("BEGIN ISOLATION LEVEL ", absl::AsciiStrToUpper(levels.isolation),
                             levels.read_only ? " READ ONLY" : "");
  transaction.max_bytes = kMaxPayloadBytes - kResultFrame;
  return order;
}

std::string SqlTaskResult(const SqlOrder& order, const std::vector<std::string>& results) {
  return order.has_list ? StrCat("{\"results\":[", absl::StrJoin(results, ","), "]}")
                        : results.front();
}

}  // namespace reeve
