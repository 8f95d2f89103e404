#include "client/input/command_limit.h"

#include <cmath>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/duration.h"

namespace reeve {
namespace {

absl::Status Wrong(std::string_view text, std::string_view want) {
  return UsageError(StrCat("--limit '", text, "': ", want));
}

absl::StatusOr<uint32_t> ParseNumber(std::string_view text, std::string_view value) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(ToAbsl(value), &number) || number == 0)
    return Wrong(text, "want a number from 1 on");
  return number;
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text, std::string_view value) {
  constexpr std::string_view kSuffixes = "KMGT";
  int shift = 0;
  if (const size_t power = value.empty() ? std::string_view::npos : kSuffixes.find(value.back());
      power != std::string_view::npos) {
    shift = 10 * (static_cast<int>(power) + 1);
    value.remove_suffix(1);
  }
  uint64_t number = 0;
  if (!absl::SimpleAtoi(ToAbsl(value), &number) || number == 0 || number > UINT64_MAX >> shift)
    return Wrong(text, "want a size, e.g. 1000000, 64K, 512M, 2G");
  return number << shift;
}

absl::StatusOr<uint32_t> ParseSeconds(std::string_view text, std::string_view value) {
  const auto duration = ParseDurationOption(StrCat("--limit '", text, "':"), value);
  if (!duration.ok()) return duration.status();
  const double seconds = std::ceil(absl::ToDoubleSeconds(*duration));
  if (seconds > UINT32_MAX) return Wrong(text, "too long");
  return static_cast<uint32_t>(seconds);
}

// Stores what was parsed, if it was.
template <typename T, typename Set>
absl::Status Put(const absl::StatusOr<T>& value, Set set) {
  if (!value.ok()) return value.status();
  set(*value);
  return absl::OkStatus();
}

}  // namespace

absl::Status AddCommandLimit(std::string_view text, v1::CommandLimits* limits) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
  if (name == "cpu")
    return Put(ParseSeconds(text, value), [&](uint32_t n) { limits->set_cpu_seconds(n); });
  if (name == "memory")
    return Put(ParseSize(text, value), [&](uint64_t n) { limits->set_memory_bytes(n); });
  if (name == "file-size")
    return Put(ParseSize(text, value), [&](uint64_t n) { limits->set_file_size_bytes(n); });
  if (name == "open-files")
    return Put(ParseNumber(text, value), [&](uint32_t n) { limits->set_open_files(n); });
  if (name == "processes")
    return Put(ParseNumber(text, value), [&](uint32_t n) { limits->set_processes(n); });
  if (name == "core")
    return Put(ParseSize(text, value), [&](uint64_t n) { limits->set_core_bytes(n); });
  return Wrong(text,
               "want NAME=VALUE; names are cpu, memory, file-size, open-files, processes, core");
}

}  // namespace reeve
