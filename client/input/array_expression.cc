#include "client/input/array_expression.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/ids.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

// Reads a number off the front of `text`.
bool TakeNumber(std::string_view* text, int64_t* number) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

bool Take(std::string_view* text, char c) {
  if (text->empty() || text->front() != c) return false;
  text->remove_prefix(1);
  return true;
}

// b - a without overflow. REQUIRES: a <= b.
uint64_t Distance(int64_t a, int64_t b) {
  return static_cast<uint64_t>(b) - static_cast<uint64_t>(a);
}

}  // namespace

absl::StatusOr<ArrayExpression> ParseArrayExpression(std::string_view text) {
  const auto bad = [whole = text](std::string_view why) {
    return UsageError(StrCat("--array '", whole, "': ", why));
  };
  int64_t first = 0, last = 0, step = 1, in_flight = 0;
  if (!TakeNumber(&text, &first)) return bad("want A-B:S%N, e.g. 1-1000 or 0-90:10%4");
  last = first;
  if (Take(&text, '-') && !TakeNumber(&text, &last)) return bad("the end of the range is missing");
  if (Take(&text, ':') && (!TakeNumber(&text, &step) || step <= 0)) {
    return bad("the step after ':' must be a number above 0");
  }
  if (Take(&text, '%') && (!TakeNumber(&text, &in_flight) || in_flight <= 0 ||
                           in_flight > std::numeric_limits<uint32_t>::max())) {
    return bad("the limit after '%' must be a number above 0");
  }
  if (!text.empty()) return bad(StrCat("'", text, "' does not belong there"));
  const uint64_t steps =
      Distance(std::min(first, last), std::max(first, last)) / static_cast<uint64_t>(step);
  if (steps >= kMaxTasksPerJob) {
    return bad(StrCat("a job has at most ", kMaxTasksPerJob, " tasks"));
  }
  // Values are computed as start + index * step, here and in every worker.
  if (steps * static_cast<uint64_t>(step) > std::numeric_limits<int64_t>::max()) {
    return bad("the values lie further apart than 64 bits can say");
  }
  return ArrayExpression{first, first <= last ? step : -step, static_cast<uint32_t>(steps + 1),
                         static_cast<uint32_t>(in_flight)};
}

}  // namespace reeve
