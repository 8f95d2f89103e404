// A plug-in with two handlers that compute: `reeve-worker --plugin libsums.so`.
//
// `sum_squares` gives the sum of i * i, `sqrt_sum` that of the square roots of i, for i from 0 to
// below the number that is their input.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>

#include "worker/sdk/plugin.hpp"

namespace {

constexpr uint64_t kMost = 1'000'000'000;
// Between two looks at whether the task is still wanted.
constexpr uint64_t kStretch = 1 << 20;

uint64_t Count(std::string_view input) {
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(input.data(), input.data() + input.size(), count);
  if (error != std::errc() || end != input.data() + input.size() || count > kMost)
    throw reeve::plugin::BadInput("a number from 0 to 1,000,000,000 is wanted");
  return count;
}

template <typename Sum, typename Term>
Sum SumUpTo(reeve::plugin::Task& task, uint64_t count, Term term) {
  Sum sum = 0;
  for (uint64_t i = 0; i < count;) {
    const uint64_t end = std::min(count, i + kStretch);
    for (; i < end; ++i) sum += term(i);
    if (task.cancelled()) break;
  }
  return sum;
}

std::string Decimal(unsigned __int128 value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value > 0);
  return digits;
}

std::string SumSquares(reeve::plugin::Task& task, std::string_view input) {
  return Decimal(SumUpTo<unsigned __int128>(task, Count(input), [](uint64_t i) { return i * i; }));
}

std::string SqrtSum(reeve::plugin::Task& task, std::string_view input) {
  const auto sum = SumUpTo<double>(task, Count(input),
                                   [](uint64_t i) { return std::sqrt(static_cast<double>(i)); });
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", sum);
  return text;
}

}  // namespace

REEVE_PLUGIN(plugin) {
  plugin.Handle("sum_squares", SumSquares);
  plugin.Handle("sqrt_sum", SqrtSum);
}
