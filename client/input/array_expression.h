// `--array A-B:S%N`: the values A, A+S, … up to B, at most N of them in flight.
//
// Thread: none.

#ifndef REEVE_CLIENT_INPUT_ARRAY_EXPRESSION_H_
#define REEVE_CLIENT_INPUT_ARRAY_EXPRESSION_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace reeve {

struct ArrayExpression {
  int64_t start = 0;
  int64_t step = 1;  // Negative when B < A.
  uint32_t count = 0;
  uint32_t max_in_flight = 0;  // 0: no limit.

  bool operator==(const ArrayExpression&) const = default;
};

// `A-B`, `A-B:S`, `A-B%N`, `A-B:S%N`, `A`; A and B may be negative. S is positive; values descend
// when B < A. Errors: a usage error that says what is wrong.
absl::StatusOr<ArrayExpression> ParseArrayExpression(std::string_view text);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_ARRAY_EXPRESSION_H_
