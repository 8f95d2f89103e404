#include "client/input/point_in_time.h"

#include <optional>
#include <string>

#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/duration.h"

namespace reeve {
namespace {

constexpr absl::Time kEnd = absl::FromUnixSeconds(253'402'300'800);  // Of the year 9999.

absl::Time ToTime(absl::CivilSecond civil, absl::TimeZone zone) {
  const absl::TimeZone::TimeInfo info = zone.At(civil);
  return info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
}

std::optional<absl::Time> ParseAt(const std::string& format, std::string_view text,
                                  absl::TimeZone zone) {
  absl::Time time;
  if (!absl::ParseTime(format, ToAbsl(text), absl::UTCTimeZone(), &time, nullptr))
    return std::nullopt;
  return ToTime(absl::ToCivilSecond(time, absl::UTCTimeZone()), zone);
}

std::optional<absl::Time> ParseTimeOfDay(const std::string& format, std::string_view text,
                                         absl::TimeZone zone, absl::Time now) {
  absl::Time time;
  if (!absl::ParseTime(format, ToAbsl(text), absl::UTCTimeZone(), &time, nullptr))
    return std::nullopt;
  const absl::CivilSecond of_day = absl::ToCivilSecond(time, absl::UTCTimeZone());
  absl::CivilDay day = absl::ToCivilDay(now, zone);
  for (;; ++day) {
    const absl::Time at = ToTime(absl::CivilSecond(day.year(), day.month(), day.day(),
                                                   of_day.hour(), of_day.minute(), of_day.second()),
                                 zone);
    if (at > now) return at;
  }
}

std::optional<absl::Time> ParseAny(std::string_view text, absl::TimeZone zone, absl::Time now) {
  absl::Time time;
  for (const char* format : {"%Y-%m-%d%ET%H:%M:%E*S%Ez", "%Y-%m-%d %H:%M:%E*S%Ez"}) {
    if (absl::ParseTime(format, ToAbsl(text), &time, nullptr)) return time;
  }
  for (const char* format : {"%Y-%m-%d%ET%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d%ET%H:%M",
                             "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    if (const auto at = ParseAt(format, text, zone)) return at;
  }
  for (const char* format : {"%H:%M:%S", "%H:%M"}) {
    if (const auto at = ParseTimeOfDay(format, text, zone, now)) return at;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<absl::Time> ParsePointInTime(std::string_view option, std::string_view text,
                                            absl::TimeZone zone, absl::Time now) {
  std::optional<absl::Time> time;
  if (text.substr(0, 1) == "+") {
    const auto from_now = ParseDurationOption(option, text.substr(1));
    if (!from_now.ok()) return from_now.status();
    time = now + *from_now;
  } else if (text.find("infinite") == std::string_view::npos) {
    time = ParseAny(text, zone, now);
  }
  if (time.has_value() && *time >= absl::UnixEpoch() && *time < kEnd) return *time;
  return UsageError(StrCat(option, " '", text,
                           "' is no time; give e.g. 2026-12-24T18:00:00+01:00, "
                           "'2026-12-24 18:00', 18:00 or +90m"));
}

}  // namespace reeve
