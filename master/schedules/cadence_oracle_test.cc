// Five hundred random cron expressions, each in one of the zones below and over ten years, against
// an oracle that knows nothing of Cadence, nor of Abseil's zones.
//
// The oracle walks through real time minute by minute. What a clock on the wall shows at each comes
// from the C library (localtime_r), once for each zone; the fields of the expression are sets that
// were drawn before they were written as text; a gap is where the wall clock jumps over labels, a
// repetition where it shows one that is not later than all before. Days whose date does not match
// are passed over whole.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "base/strings.h"
#include "master/schedules/cadence.h"

namespace reeve {
namespace {

constexpr int kExpressions = 500;
constexpr int kYears = 10;
constexpr int64_t kMinutesOfADay = 1440;

struct Place {
  const char* zone;
  int first_year;  // The stretch begins on its 1st January, UTC.
};

// With the year in which interesting ten begin.
constexpr Place kPlaces[] = {{"Europe/Prague", 2020},
                             {"America/New_York", 2002},     // 2007: other rules.
                             {"Australia/Lord_Howe", 2021},  // By half an hour.
                             {"America/Sao_Paulo", 2010},    // At midnight, until 2019.
                             {"Asia/Kathmandu", 1980},       // 1986: 15 minutes.
                             {"Africa/Casablanca", 2012},    // Off in Ramadan.
                             {"Pacific/Apia", 2008},         // 2011: a day is left out.
                             {"UTC", 2020},
                             {"America/Caracas", 2006},  // 2007 and 2016: half an hour.
                             {"Asia/Pyongyang", 2012},
                             {"Antarctica/Troll", 2016},   // By two hours.
                             {"Europe/Dublin", 2030},      // Winter is the exception.
                             {"Pacific/Kwajalein", 1990},  // 1993: a day is left out.
                             {"Asia/Gaza", 2014},
                             {"America/St_Johns", 2005},  // At 00:01 until 2011.
                             {"Pacific/Chatham", 2020},
                             {"America/Havana", 2018},
                             {"Asia/Tehran", 2014},
                             {"America/Anchorage", 1979},
                             {"America/Scoresbysund", 2020}};

// What the wall clock shows, as if it were UTC.
int64_t WallMinutes(std::time_t time) {
  std::tm tm{};
  localtime_r(&time, &tm);
  EXPECT_EQ(tm.tm_sec, 0);
  return timegm(&tm) / 60;
}

// Ten years of a zone.
struct WallClock {
  int64_t begin = 0;           // In minutes since 1970, UTC.
  std::vector<int64_t> label;  // Of each minute.
};

WallClock ReadWallClock(const Place& place) {
  setenv("TZ", StrCat(":", place.zone).c_str(), 1);
  tzset();
  const auto begin_of = [](int year) {
    std::tm tm{};
    tm.tm_year = year - 1900;
    tm.tm_mday = 1;
    return timegm(&tm) / 60;
  };
  WallClock clock;
  clock.begin = begin_of(place.first_year);
  const int64_t end = begin_of(place.first_year + kYears);
  clock.label.reserve(static_cast<size_t>(end - clock.begin));
  // Where both ends of an hour have the same offset there is no change inside.
  for (int64_t hour = clock.begin; hour < end; hour += 60) {
    const int64_t offset = WallMinutes(hour * 60) - hour;
    const bool is_even = WallMinutes((hour + 60) * 60) - (hour + 60) == offset;
    for (int64_t minute = hour; minute < hour + 60; ++minute)
      clock.label.push_back(is_even ? minute + offset : WallMinutes(minute * 60));
  }
  return clock;
}

using Random = std::mt19937_64;

int Draw(Random& random, int least, int most) {
  return least + static_cast<int>(random() % static_cast<uint64_t>(most - least + 1));
}

// A field as text, and what it means.
struct DrawnField {
  std::string text;
  std::vector<bool> matches = std::vector<bool>(60);
  bool begins_with_star = false;
};

struct FieldKind {
  int least, most;
  const char* const* names;
};

constexpr const char* kMonthNames[] = {"",    "JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                       "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr const char* kDayNames[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"};
constexpr FieldKind kKinds[] = {
    {0, 59, nullptr}, {0, 23, nullptr}, {1, 31, nullptr}, {1, 12, kMonthNames}, {0, 7, kDayNames}};

std::string Name(Random& random, const FieldKind& kind, int value) {
  if (kind.names != nullptr && Draw(random, 0, 1) == 0) return kind.names[value];
  return std::to_string(value);
}

void AddItem(Random& random, const FieldKind& kind, DrawnField* field) {
  int first = kind.least, last = kind.most, step = 1;
  std::string text = "*";
  const int form = Draw(random, 0, 9);
  if (form < 5) {
    first = last = Draw(random, kind.least, kind.most);
    text = Name(random, kind, first);
  } else if (form < 8) {
    first = Draw(random, kind.least, kind.most);
    last = Draw(random, first, kind.most);
    text = Name(random, kind, first) + "-" + Name(random, kind, last);
    // The whole week is not `SUN-SUN`, nor is the last Sunday.
    if (kind.names == kDayNames && last == kind.most && (first == 0 || first == last))
      text = StrCat(first, "-7");
  }
  if (form >= 7) {
    step = Draw(random, 1, kind.most);
    text += "/" + std::to_string(step);
  }
  if (field->text.empty()) field->begins_with_star = text[0] == '*';
  field->text += (field->text.empty() ? "" : ",") + text;
  for (int value = first; value <= last; value += step)
    field->matches[static_cast<size_t>(kind.names == kDayNames ? value % 7 : value)] = true;
}

DrawnField DrawField(Random& random, const FieldKind& kind, int stars_of_ten) {
  DrawnField field;
  if (Draw(random, 1, 10) <= stars_of_ten) {
    field.text = "*";
    field.begins_with_star = true;
    field.matches.assign(60, true);
    return field;
  }
  for (int items = Draw(random, 1, 3); items > 0; --items) AddItem(random, kind, &field);
  return field;
}

struct Expression {
  DrawnField minute, hour, day, month, weekday;

  std::string Text() const {
    return StrCat(minute.text, " ", hour.text, " ", day.text, " ", month.text, " ", weekday.text);
  }
  bool IsInterval() const { return minute.begins_with_star || hour.begins_with_star; }
  bool MatchesDay(int64_t day_number) const {
    const std::time_t noon = day_number * 86'400 + 43'200;
    std::tm tm{};
    gmtime_r(&noon, &tm);
    if (!month.matches[static_cast<size_t>(tm.tm_mon + 1)]) return false;
    const bool by_date = day.matches[static_cast<size_t>(tm.tm_mday)];
    const bool by_weekday = weekday.matches[static_cast<size_t>(tm.tm_wday)];
    if (day.begins_with_star || weekday.begins_with_star) return by_date && by_weekday;
    return by_date || by_weekday;
  }
  bool MatchesMinute(int64_t of_day) const {
    return hour.matches[static_cast<size_t>(of_day / 60)] &&
           minute.matches[static_cast<size_t>(of_day % 60)];
  }
};

Expression DrawExpression(Random& random) {
  // An expression that fires each minute tells little for its time: then it is for some days only.
  Expression drawn;
  drawn.minute = DrawField(random, kKinds[0], 2);
  drawn.hour = DrawField(random, kKinds[1], 3);
  const bool is_dense = drawn.IsInterval();
  drawn.day = DrawField(random, kKinds[2], is_dense ? 3 : 5);
  drawn.month = DrawField(random, kKinds[3], is_dense ? 1 : 5);
  drawn.weekday = DrawField(random, kKinds[4], is_dense ? 3 : 5);
  return drawn;
}

// Which days and minutes of a day match, looked up once instead of each minute.
class Matcher {
 public:
  Matcher(const Expression& expression, const WallClock& clock)
      : first_day_(clock.label.front() / kMinutesOfADay - 2), minutes_(kMinutesOfADay) {
    for (int64_t day = first_day_; day <= clock.label.back() / kMinutesOfADay + 2; ++day)
      days_.push_back(expression.MatchesDay(day));
    for (int64_t minute = 0; minute < kMinutesOfADay; ++minute)
      minutes_[static_cast<size_t>(minute)] = expression.MatchesMinute(minute);
  }
  bool Day(int64_t label) const {
    return days_[static_cast<size_t>(label / kMinutesOfADay - first_day_)] != 0;
  }
  bool operator()(int64_t label) const {
    return Day(label) && minutes_[static_cast<size_t>(label % kMinutesOfADay)] != 0;
  }

 private:
  int64_t first_day_;
  std::vector<char> days_, minutes_;
};

// The minutes since 1970 at which the expression fires.
std::vector<int64_t> Oracle(const Expression& expression, const WallClock& clock) {
  const Matcher matches(expression, clock);
  const bool is_interval = expression.IsInterval();
  std::vector<int64_t> fires;
  int64_t highest = clock.label.front() - 1;  // Label that was shown so far.
  for (size_t i = 0; i < clock.label.size(); ++i) {
    const int64_t label = clock.label[i];
    // From the first minute of a day that does not match straight to the last, if the clock runs
    // evenly in between.
    const int64_t rest = kMinutesOfADay - 1 - label % kMinutesOfADay;
    if (!matches.Day(label) && label == highest + 1 &&
        i + static_cast<size_t>(rest) < clock.label.size() &&
        clock.label[i + static_cast<size_t>(rest)] == label + rest) {
      i += static_cast<size_t>(rest);
      highest = label + rest;
      continue;
    }
    bool fires_now = matches(label);
    if (!is_interval) {
      if (label <= highest) fires_now = false;
      for (int64_t left_out = highest + 1; left_out < label; ++left_out)
        fires_now = fires_now || matches(left_out);
    }
    highest = std::max(highest, label);
    if (fires_now) fires.push_back(clock.begin + static_cast<int64_t>(i));
  }
  return fires;
}

absl::Time ToTime(int64_t minutes) { return absl::UnixEpoch() + absl::Minutes(minutes); }

// All fire times from the beginning of the ten years to their end, one after the other.
std::vector<int64_t> AllOf(const Cadence& cadence, const WallClock& clock) {
  std::vector<int64_t> fires;
  const absl::Time end = ToTime(clock.begin + static_cast<int64_t>(clock.label.size()));
  absl::Time time = ToTime(clock.begin) - absl::Nanoseconds(1);
  while ((time = cadence.Next(time)) < end) fires.push_back(absl::ToUnixSeconds(time) / 60);
  return fires;
}

// From anywhere, not only from one fire time to the next.
void CompareFromAnywhere(Random& random, const Cadence& cadence, const WallClock& clock,
                         const std::vector<int64_t>& fires) {
  const int64_t end = clock.begin + static_cast<int64_t>(clock.label.size());
  for (int i = 0; i < 20; ++i) {
    const int64_t from = Draw(random, 0, static_cast<int>(end - clock.begin - 1)) + clock.begin;
    const int64_t until = from + Draw(random, 0, static_cast<int>(end - from - 1));
    const auto next = std::upper_bound(fires.begin(), fires.end(), from);
    const auto beyond = std::upper_bound(fires.begin(), fires.end(), until);
    if (next != fires.end()) {
      ASSERT_EQ(cadence.Next(ToTime(from)), ToTime(*next));
    }
    const FireTimes times = cadence.Between(ToTime(from), ToTime(until), 50);
    ASSERT_EQ(times.count, std::min<int64_t>(beyond - next, 50));
    ASSERT_EQ(times.last, next == beyond ? absl::InfinitePast() : ToTime(*(beyond - 1)));
  }
}

TEST(CadenceOracleTest, RandomExpressionsAgreeOverTenYearsInAllZones) {
  Random random(20'261'130);
  size_t fired = 0, compared = 0, silent = 0;
  constexpr int kOfEach = kExpressions / static_cast<int>(std::size(kPlaces));
  static_assert(kOfEach * std::size(kPlaces) == kExpressions);
  for (const Place& place : kPlaces) {
    const WallClock clock = ReadWallClock(place);
    ASSERT_FALSE(HasFailure()) << place.zone << " has offsets of seconds";
    for (int i = 0; i < kOfEach;) {
      const Expression expression = DrawExpression(random);
      const auto cadence = Cadence::Cron(expression.Text(), place.zone);
      const std::vector<int64_t> expected = Oracle(expression, clock);
      if (!cadence.ok()) {
        ASSERT_TRUE(expected.empty()) << expression.Text() << ": " << cadence.status();
        continue;
      }
      ASSERT_EQ(AllOf(*cadence, clock), expected) << expression.Text() << " in " << place.zone;
      CompareFromAnywhere(random, *cadence, clock, expected);
      if (HasFatalFailure()) FAIL() << expression.Text() << " in " << place.zone;
      fired += expected.size();
      silent += expected.empty();
      ++compared;
      ++i;
    }
  }
  EXPECT_EQ(compared, size_t{kExpressions});
  EXPECT_GT(fired, 1'000'000u) << "the expressions say something";
  EXPECT_LT(silent, 10u);
  RecordProperty("fire_times", static_cast<int>(fired));
}

}  // namespace
}  // namespace reeve
