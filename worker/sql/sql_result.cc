#include "worker/sql/sql_result.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/json_text.h"
#include "base/strings.h"

namespace reeve {
namespace {

// Of PostgreSQL's catalog (pg_type.dat), which never change.
enum TypeOid : Oid {
  kBool = 16,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kOid = 26,
  kJson = 114,
  kFloat4 = 700,
  kFloat8 = 701,
  kNumeric = 1700,
  kJsonb = 3802,
};

// NaN, Infinity and -Infinity are the only values of the number types that are no JSON.
bool IsJsonNumber(std::string_view text) {
  return text.find_first_of("NI") == std::string_view::npos;
}

void AppendValue(Oid type, std::string_view text, std::string* out) {
  switch (type) {
    case kBool: *out += text == "t" ? "true" : "false"; return;
    case kInt2:
    case kInt4:
    case kInt8:
    case kOid: *out += text; return;
    case kFloat4:
    case kFloat8:
    case kNumeric:
      if (!IsJsonNumber(text)) break;
      *out += text;
      return;
    case kJson:
    case kJsonb: {
      // Results are lines; a line break outside of strings, the only place it may stand, is white
      // space.
      const size_t begin = out->size();
      *out += text;
      std::replace_if(
          out->begin() + static_cast<ptrdiff_t>(begin), out->end(),
          [](char c) { return c == '\n' || c == '\r'; }, ' ');
      return;
    }
    default: break;
  }
  AppendJson(text, out);
}

}  // namespace

void SqlResult::NameColumns(const PGresult* result) {
  std::set<std::string> taken;
  for (int column = 0; column < PQnfields(result); ++column) {
    const std::string name = PQfname(result, column);
    std::string unique = name;
    for (int n = 2; !taken.insert(unique).second; ++n) unique = StrCat(name, "_", n);
    names_.push_back(StrCat(JsonString(unique), ":"));
  }
}

void SqlResult::AddRows(const PGresult* result) {
  if (!std::exchange(has_rows_, true)) NameColumns(result);
  for (int row = 0; row < PQntuples(result); ++row) {
    rows_ += rows_.empty() ? "{" : ",{";
    for (int column = 0; column < PQnfields(result); ++column) {
      if (column > 0) rows_ += ',';
      rows_ += names_[static_cast<size_t>(column)];
      if (PQgetisnull(result, row, column)) {
        rows_ += "null";
        continue;
      }
      AppendValue(
          PQftype(result, column),
          {PQgetvalue(result, row, column), static_cast<size_t>(PQgetlength(result, row, column))},
          &rows_);
    }
    rows_ += '}';
  }
}

std::string SqlResult::Finish(PGresult* result) {
  const std::string_view count = PQcmdTuples(result);
  std::string out = StrCat("{\"command\":", JsonString(PQcmdStatus(result)));
  if (!count.empty()) StrAppend(&out, ",\"row_count\":", count);
  if (has_rows_) StrAppend(&out, ",\"rows\":[", rows_, "]");
  *this = SqlResult();
  return out + "}";
}

}  // namespace reeve
