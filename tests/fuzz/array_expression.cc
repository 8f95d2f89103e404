// `--array`: the last value of what is accepted fits, and the values stay between the ends.

#include "client/input/array_expression.h"

#include <string>

#include "base/ids.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  const auto array = ParseArrayExpression(input);
  if (!array.ok()) return;
  Require(array->count >= 1 && array->count <= kMaxTasksPerJob, "the count is bounded");
  Require(array->step != 0, "there is a step");
  int64_t last = 0;
  Require(!__builtin_mul_overflow(array->step, int64_t{array->count} - 1, &last) &&
              !__builtin_add_overflow(array->start, last, &last),
          "the last value fits");
  std::string again = std::to_string(array->start) + "-" + std::to_string(last) + ":" +
                      std::to_string(array->step < 0 ? -array->step : array->step);
  if (array->max_in_flight != 0) again += "%" + std::to_string(array->max_in_flight);
  const auto back = ParseArrayExpression(again);
  Require(back.ok() && back->start == array->start && back->count == array->count &&
              back->max_in_flight == array->max_in_flight &&
              (array->count == 1 || back->step == array->step),
          "what is written out reads the same");
}

}  // namespace reeve::fuzz
