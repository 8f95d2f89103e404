// The factors of a number, as a plug-in: some numbers take long, some texts are no numbers.

#include <charconv>
#include <cstdint>
#include <string>

#include "worker/sdk/plugin.hpp"

namespace {

std::string Factor(reeve::plugin::Task& task, std::string_view input) {
  uint64_t left = 0;
  const auto [end, error] = std::from_chars(input.data(), input.data() + input.size(), left);
  if (error != std::errc() || end != input.data() + input.size() || left < 2)
    throw reeve::plugin::BadInput("not a number above 1: " + std::string(input));
  std::string text = std::string(input) + ":";
  for (uint64_t divisor = 2; divisor * divisor <= left && !task.cancelled(); ++divisor) {
    for (; left % divisor == 0; left /= divisor) text += " " + std::to_string(divisor);
  }
  return left == 1 ? text : text + " " + std::to_string(left);
}

}  // namespace

REEVE_PLUGIN(plugin) { plugin.Handle("factor", Factor); }
