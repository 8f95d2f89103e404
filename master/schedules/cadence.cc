#include "master/schedules/cadence.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMaxZoneBytes = 64;
constexpr int64_t kFirstSecond = 0;               // 1970-01-01T00:00:00Z
constexpr int64_t kLastSecond = 253'402'300'799;  // 9999-12-31T23:59:59Z
constexpr int kSunday = 7;                        // As the end of a range; else 0.

struct Field {
  std::string_view name;
  int least, most;
  std::span<const std::string_view> names = {};  // From `first_name` on.
  int first_name = 0;
};

constexpr std::string_view kMonthNames[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                            "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kDayNames[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

constexpr Field kMinute{"minute", 0, 59};
constexpr Field kHour{"hour", 0, 23};
constexpr Field kDayOfMonth{"day of month", 1, 31};
constexpr Field kMonth{"month", 1, 12, kMonthNames, 1};
constexpr Field kDayOfWeek{"day of week", 0, 7, kDayNames, 0};

constexpr std::pair<std::string_view, std::string_view> kMacros[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"}};

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

absl::Status BadItem(const Field& field, std::string_view item, std::string_view why) {
  return Bad(StrCat("cron: ", field.name, " `", item, "`: ", why));
}

std::string Values(const Field& field) {
  std::string text = StrCat("a number from ", field.least, " to ", field.most);
  if (!field.names.empty())
    StrAppend(&text, " or ", field.names.front(), " to ", field.names.back());
  return text;
}

bool IsOpen(std::string_view field) { return field.front() == '*'; }

bool HasBit(uint64_t set, int bit) { return (set >> bit & 1) != 0; }

// -1: it is none. At most four digits: no number here has more.
int ParseNumber(std::string_view text) {
  if (text.empty() || text.size() > 4) return -1;
  int number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    number = number * 10 + (c - '0');
  }
  return number;
}

// -1: no value of the field. `text` is in lower case.
int ParseValue(const Field& field, std::string_view text) {
  const auto name = std::find(field.names.begin(), field.names.end(), text);
  if (name != field.names.end())
    return field.first_name + static_cast<int>(name - field.names.begin());
  const int number = ParseNumber(text);
  return number >= field.least && number <= field.most ? number : -1;
}

// The values of one item of a list: `*`, `5`, `1-5`, `*/2`, `1-5/2`.
absl::StatusOr<uint64_t> ParseItem(const Field& field, std::string_view item) {
  const size_t slash = item.find('/');
  const std::string_view range = item.substr(0, slash);
  const size_t dash = range.find('-');
  int first = field.least, last = field.most, step = 1;
  if (range != "*") {
    first = ParseValue(field, range.substr(0, dash));
    last = dash == range.npos ? first : ParseValue(field, range.substr(dash + 1));
    if (&field == &kDayOfWeek && first > 0 && last == 0) last = kSunday;  // FRI-SUN
    if (first < 0 || last < 0) return BadItem(field, item, Values(field));
    if (first > last)
      return BadItem(field, item, "a range goes upwards; write two, with a comma between them");
  }
  if (slash != item.npos) {
    if (range != "*" && dash == range.npos)
      return BadItem(field, item,
                     StrCat("a step follows `*` or a range, e.g. ", range, "-", field.most,
                            item.substr(slash)));
    step = ParseNumber(item.substr(slash + 1));
    if (step < 1 || step > field.most)
      return BadItem(field, item,
                     StrCat("a step is 1 to ", field.most, " and begins anew in each ",
                            &field == &kMinute ? "hour"
                            : &field == &kHour ? "day"
                                               : "period"));
  }
  uint64_t set = 0;
  for (int value = first; value <= last; value += step) set |= uint64_t{1} << value;
  return set;
}

// The set of the values of a field.
absl::StatusOr<uint64_t> ParseField(const Field& field, std::string_view text) {
  uint64_t set = 0;
  for (const absl::string_view item : absl::StrSplit(ToAbsl(text), ',')) {
    const auto values = ParseItem(field, ToStd(item));
    if (!values.ok()) return values.status();
    set |= *values;
  }
  return set;
}

absl::StatusOr<absl::TimeZone> LoadZone(std::string_view name) {
  if (name.empty()) return absl::UTCTimeZone();
  const absl::Status unknown =
      Bad("time_zone: an IANA name such as Europe/Prague or America/New_York, or nothing for UTC");
  // Only names of the data base: Abseil would also open paths, and `localtime` is no one's promise.
  const bool is_name = name.size() <= kMaxZoneBytes && name.front() != '/' &&
                       std::all_of(name.begin(), name.end(), [](char c) {
                         return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' ||
                                c == '_' || c == '-' || c == '+';
                       });
  if (!is_name || name == "localtime" || absl::StartsWith(ToAbsl(name), "right/")) return unknown;
  // Abseil remembers each name it is asked for, for ever; it shall not be asked for made-up ones.
  const char* folder = std::getenv("TZDIR");
  const std::string file = StrCat(folder != nullptr ? folder : "/usr/share/zoneinfo", "/", name);
  absl::TimeZone zone;
  if (access(file.c_str(), R_OK) != 0 || !absl::LoadTimeZone(ToAbsl(name), &zone)) return unknown;
  return zone;
}

bool IsInRange(absl::Time time) {
  return time >= absl::FromUnixSeconds(kFirstSecond) && time <= absl::FromUnixSeconds(kLastSecond);
}

absl::Time WholeMicros(absl::Time time) {
  return absl::UnixEpoch() + absl::Floor(time - absl::UnixEpoch(), absl::Microseconds(1));
}

absl::CivilMinute NotBefore(absl::CivilSecond label) {
  const absl::CivilMinute minute(label);
  return absl::CivilSecond(minute) < label ? minute + 1 : minute;
}

}  // namespace

absl::StatusOr<Cadence> Cadence::Cron(std::string_view expression, std::string_view zone) {
  if (expression.size() > kMaxCronBytes)
    return Bad(StrCat("cron: at most ", kMaxCronBytes, " bytes"));
  const bool is_text = std::all_of(expression.begin(), expression.end(),
                                   [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
  if (!is_text) return Bad("cron: printable ASCII only");
  std::string text = absl::AsciiStrToLower(ToAbsl(expression));
  absl::StripAsciiWhitespace(&text);
  if (absl::StartsWith(text, "@")) {
    const auto macro = std::find_if(std::begin(kMacros), std::end(kMacros),
                                    [&](const auto& known) { return known.first == text; });
    if (macro == std::end(kMacros))
      return Bad(StrCat("cron: `", text,
                        "` is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, "
                        "@annually; for `@every` give an interval instead"));
    text = std::string(macro->second);
  }
  const std::vector<std::string> fields =
      absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5)
    return Bad(
        StrCat("cron: five fields, `minute hour day-of-month month day-of-week`, or one such as "
               "@daily; here are ",
               fields.size(), " (for seconds give an interval, for a zone time_zone)"));
  const Field* const kinds[] = {&kMinute, &kHour, &kDayOfMonth, &kMonth, &kDayOfWeek};
  uint64_t sets[5];
  for (int i = 0; i < 5; ++i) {
    const auto set = ParseField(*kinds[i], fields[i]);
    if (!set.ok()) return set.status();
    sets[i] = *set;
  }
  CronRule rule;
  rule.minutes = sets[0];
  rule.hours = static_cast<uint32_t>(sets[1]);
  rule.days = static_cast<uint32_t>(sets[2]);
  rule.months = static_cast<uint32_t>(sets[3]);
  rule.weekdays = static_cast<uint32_t>((sets[4] | sets[4] >> kSunday) & 0x7F);
  rule.is_interval = IsOpen(fields[0]) || IsOpen(fields[1]);
  rule.either_day = !IsOpen(fields[2]) && !IsOpen(fields[4]);
  if (!rule.HasDay())
    return Bad(StrCat("cron: no month `", fields[3], "` has a day `", fields[2],
                      "`, so it would never fire"));
  const auto loaded = LoadZone(zone);
  if (!loaded.ok()) return loaded.status();
  rule.zone = *loaded;
  return Cadence(rule);
}

absl::StatusOr<Cadence> Cadence::Every(absl::Duration interval, absl::Time anchor) {
  if (interval < kMinScheduleInterval || interval > kMaxScheduleInterval)
    return Bad("every: 100 milliseconds to 3,653 days");
  if (!IsInRange(anchor)) return Bad("anchor: a time in the years 1970 to 9999");
  return Cadence(Interval{absl::Floor(interval, absl::Microseconds(1)), WholeMicros(anchor)});
}

Cadence Cadence::Once(absl::Time at) { return Cadence(Single{WholeMicros(at)}); }

absl::Time Cadence::Next(absl::Time after) const {
  return std::visit([after](const auto& rule) { return rule.Next(after); }, rule_);
}

FireTimes Cadence::Between(absl::Time after, absl::Time until, int64_t limit) const {
  FireTimes times;
  absl::Time next = Next(after);
  if (next > until || next == absl::InfiniteFuture()) return times;
  if (const auto* every = std::get_if<Interval>(&rule_)) {
    const int64_t before = every->CountUntil(after), all = every->CountUntil(until);
    times.count = std::min(all - before, limit);
    times.last = every->anchor + all * every->interval;
    return times;
  }
  while (next <= until && next != absl::InfiniteFuture() && times.count < limit) {
    ++times.count;
    times.last = next;
    next = Next(next);
  }
  if (next <= until && next != absl::InfiniteFuture()) times.last = LastUntil(next, until);
  return times;
}

// REQUIRES: `first` is a fire time at or before `until`.
absl::Time Cadence::LastUntil(absl::Time first, absl::Time until) const {
  // Halves what may lie between a fire time and the last one: no fire time is in (beyond, until].
  absl::Time last = first;
  absl::Time beyond = std::min(until, absl::FromUnixSeconds(kLastSecond));
  while (Next(last) <= beyond) {
    const absl::Time middle = last + (beyond - last) / 2;
    const absl::Time next = Next(middle);
    if (next <= beyond) {
      last = next;
    } else {
      beyond = middle;
    }
  }
  return last;
}

bool Cadence::CronRule::MatchesDay(absl::CivilDay day) const {
  // Abseil's weeks begin with Monday = 0.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_date = HasBit(days, day.day()), by_weekday = HasBit(weekdays, weekday);
  return either_day ? by_date || by_weekday : by_date && by_weekday;
}

bool Cadence::CronRule::HasDay() const {
  if (either_day) return true;
  constexpr int kLongest[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  for (int month = 1; month <= 12; ++month) {
    if (HasBit(months, month) && std::countr_zero(days) <= kLongest[month - 1]) return true;
  }
  return false;
}

std::optional<absl::CivilMinute> Cadence::CronRule::FirstLabel(absl::CivilMinute from,
                                                               absl::CivilSecond end) const {
  absl::CivilDay day(from);
  int hour = from.hour(), minute = from.minute();
  while (absl::CivilSecond(day) < end) {
    if (!HasBit(months, day.month())) {
      day = absl::CivilDay(absl::CivilMonth(day) + 1);
    } else {
      for (; hour < 24 && MatchesDay(day); ++hour, minute = 0) {
        const uint64_t rest = HasBit(hours, hour) ? minutes >> minute : 0;
        if (rest == 0) continue;
        const absl::CivilMinute label(day.year(), day.month(), day.day(), hour,
                                      minute + std::countr_zero(rest));
        if (absl::CivilSecond(label) < end) return label;
        return std::nullopt;
      }
      ++day;
    }
    hour = minute = 0;
  }
  return std::nullopt;
}

// From one change of the zone's offset to the next: between them labels and times go alike.
absl::Time Cadence::CronRule::NextByClock(absl::Time after, absl::CivilSecond end) const {
  const absl::TimeZone::CivilInfo info = zone.At(after);
  absl::Time now = after - info.subsecond;
  absl::CivilSecond label = info.cs;
  absl::CivilMinute from = absl::CivilMinute(label) + 1;
  while (label < end) {
    absl::TimeZone::CivilTransition change;
    const bool changes = zone.NextTransition(now, &change) && change.from < end;
    if (const auto found = FirstLabel(from, changes ? change.from : end))
      return now + absl::Seconds(absl::CivilSecond(*found) - label);
    if (!changes) break;
    now += absl::Seconds(change.from - label);
    label = change.to;
    from = NotBefore(label);
  }
  return absl::InfiniteFuture();
}

// The time of a label never decreases with the label, so the first one that is late enough is it.
absl::Time Cadence::CronRule::NextTimeOfDay(absl::Time after, absl::CivilSecond end) const {
  absl::CivilMinute from(zone.At(after).cs);
  while (const auto label = FirstLabel(from, end)) {
    const absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(*label));
    const bool is_left_out = info.kind == absl::TimeZone::TimeInfo::SKIPPED;
    const absl::Time time = is_left_out ? info.trans : info.pre;
    if (time > after) return time;
    from = *label + 1;
  }
  return absl::InfiniteFuture();
}

absl::Time Cadence::CronRule::Next(absl::Time after) const {
  after = std::max(after, absl::FromUnixSeconds(kFirstSecond) - absl::Nanoseconds(1));
  if (after >= absl::FromUnixSeconds(kLastSecond)) return absl::InfiniteFuture();
  const absl::CivilSecond now = zone.At(after).cs;
  const absl::CivilSecond end(std::min<int64_t>(now.year() + kCronHorizonYears, 10'000),
                              now.month(), now.day());
  const absl::Time next = is_interval ? NextByClock(after, end) : NextTimeOfDay(after, end);
  return IsInRange(next) ? next : absl::InfiniteFuture();
}

int64_t Cadence::Interval::CountUntil(absl::Time time) const {
  time = std::min(time, absl::FromUnixSeconds(kLastSecond));
  if (time <= anchor) return 0;
  absl::Duration rest;
  return absl::IDivDuration(time - anchor, interval, &rest);
}

absl::Time Cadence::Interval::Next(absl::Time after) const {
  const absl::Time next = anchor + (CountUntil(after) + 1) * interval;
  return next > after && IsInRange(next) ? next : absl::InfiniteFuture();
}

}  // namespace reeve
