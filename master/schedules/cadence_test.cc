#include "master/schedules/cadence.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

// "2026-03-29T01:30:00+01:00"
absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << text << ": " << error;
  return time;
}

std::string Text(absl::Time time, const std::string& zone_name) {
  if (time == absl::InfiniteFuture()) return "never";
  absl::TimeZone zone = absl::UTCTimeZone();
  EXPECT_TRUE(zone_name.empty() || absl::LoadTimeZone(zone_name, &zone));
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*S%Ez", time, zone);
}

// The next `count` fire times after `after`, in the zone.
std::vector<std::string> Fires(const std::string& expression, const std::string& zone,
                               const std::string& after, int count) {
  const auto cadence = Cadence::Cron(expression, zone);
  EXPECT_TRUE(cadence.ok()) << cadence.status();
  std::vector<std::string> fires;
  absl::Time time = At(after);
  for (int i = 0; i < count && cadence.ok() && time != absl::InfiniteFuture(); ++i) {
    time = cadence->Next(time);
    fires.push_back(Text(time, zone));
  }
  return fires;
}

using Times = std::vector<std::string>;

std::string Refusal(const std::string& expression, const std::string& zone = "") {
  const auto cadence = Cadence::Cron(expression, zone);
  EXPECT_FALSE(cadence.ok()) << expression << " " << zone;
  EXPECT_EQ(cadence.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(cadence.status()), "BAD_REQUEST");
  return std::string(cadence.status().message());
}

TEST(CronTest, NextIsStrictlyLater) {
  EXPECT_EQ(Fires("0 3 * * *", "", "2026-01-31T03:00:00Z", 2),
            (Times{"2026-02-01T03:00:00+00:00", "2026-02-02T03:00:00+00:00"}));
  EXPECT_EQ(Fires("0 3 * * *", "", "2026-01-31T02:59:59.999999999Z", 1),
            (Times{"2026-01-31T03:00:00+00:00"}));
  EXPECT_EQ(Fires("* * * * *", "", "2026-01-31T03:00:00.5Z", 2),
            (Times{"2026-01-31T03:01:00+00:00", "2026-01-31T03:02:00+00:00"}));
}

TEST(CronTest, AFieldIsAListOfValuesRangesAndSteps) {
  EXPECT_EQ(Fires("1,10-50/20,59 8-9 * * *", "", "2026-01-01T00:00:00Z", 6),
            (Times{"2026-01-01T08:01:00+00:00", "2026-01-01T08:10:00+00:00",
                   "2026-01-01T08:30:00+00:00", "2026-01-01T08:50:00+00:00",
                   "2026-01-01T08:59:00+00:00", "2026-01-01T09:01:00+00:00"}));
  EXPECT_EQ(Fires(" \t*/25  0 1 */6 * ", "", "2026-01-01T00:00:00Z", 4),
            (Times{"2026-01-01T00:25:00+00:00", "2026-01-01T00:50:00+00:00",
                   "2026-07-01T00:00:00+00:00", "2026-07-01T00:25:00+00:00"}));
}

TEST(CronTest, MonthsAndDaysHaveNames) {
  EXPECT_EQ(Fires("0 0 * feb-Mar,DEC mon", "", "2026-01-01T00:00:00Z", 10).back(),
            "2026-12-07T00:00:00+00:00");
  // 2026-08-01 is a Saturday.
  EXPECT_EQ(Fires("0 0 * * FRI-SUN", "", "2026-08-01T00:00:00Z", 3),
            (Times{"2026-08-02T00:00:00+00:00", "2026-08-07T00:00:00+00:00",
                   "2026-08-08T00:00:00+00:00"}));
}

TEST(CronTest, SundayIsZeroAndSeven) {
  for (const char* expression : {"0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 * * 7-7",
                                 "0 0 * * sun-SUN", "@weekly", "0 0 * * */7"}) {
    EXPECT_EQ(Fires(expression, "", "2026-08-01T00:00:00Z", 2),
              (Times{"2026-08-02T00:00:00+00:00", "2026-08-09T00:00:00+00:00"}))
        << expression;
  }
}

TEST(CronTest, ARangeOfDaysEndsWithSundayHoweverItIsWritten) {
  // 2026-08-01 is a Saturday.
  for (const char* expression : {"0 0 * * 6-7", "0 0 * * 6-0", "0 0 * * SAT-SUN"}) {
    EXPECT_EQ(Fires(expression, "", "2026-08-01T00:00:00Z", 2),
              (Times{"2026-08-02T00:00:00+00:00", "2026-08-08T00:00:00+00:00"}))
        << expression;
  }
}

TEST(CronTest, RestrictedDayOfMonthAndDayOfWeekMeanEither) {
  EXPECT_EQ(
      Fires("0 0 13 * 5", "", "2026-02-01T00:00:00Z", 5),
      (Times{"2026-02-06T00:00:00+00:00", "2026-02-13T00:00:00+00:00", "2026-02-20T00:00:00+00:00",
             "2026-02-27T00:00:00+00:00", "2026-03-06T00:00:00+00:00"}));
  EXPECT_EQ(Fires("0 0 30 2 1", "", "2026-02-01T00:00:00Z", 1),
            (Times{"2026-02-02T00:00:00+00:00"}))
      << "the day of the week alone is enough";
}

TEST(CronTest, WithAStarInFrontBothMustMatch) {
  // The classic for the second Sunday of a month.
  EXPECT_EQ(Fires("0 0 8-14 * */7", "", "2026-01-01T00:00:00Z", 2),
            (Times{"2026-01-11T00:00:00+00:00", "2026-02-08T00:00:00+00:00"}));
  EXPECT_EQ(Fires("0 0 */2 * 1", "", "2026-06-01T00:00:00Z", 2),
            (Times{"2026-06-15T00:00:00+00:00", "2026-06-29T00:00:00+00:00"}));
}

TEST(CronTest, MacrosAreTheFieldsTheyStandFor) {
  const std::string after = "2026-03-04T05:06:07Z";
  EXPECT_EQ(Fires("@hourly", "", after, 1), (Times{"2026-03-04T06:00:00+00:00"}));
  EXPECT_EQ(Fires("@daily", "", after, 1), (Times{"2026-03-05T00:00:00+00:00"}));
  EXPECT_EQ(Fires("@Midnight", "", after, 1), (Times{"2026-03-05T00:00:00+00:00"}));
  EXPECT_EQ(Fires("@weekly", "", after, 1), (Times{"2026-03-08T00:00:00+00:00"}));
  EXPECT_EQ(Fires(" @monthly ", "", after, 1), (Times{"2026-04-01T00:00:00+00:00"}));
  EXPECT_EQ(Fires("@yearly", "", after, 1), (Times{"2027-01-01T00:00:00+00:00"}));
  EXPECT_EQ(Fires("@annually", "", after, 1), (Times{"2027-01-01T00:00:00+00:00"}));
}

TEST(CronTest, RareDaysAreFound) {
  EXPECT_EQ(Fires("0 0 29 2 *", "", "2096-03-01T00:00:00Z", 1),
            (Times{"2104-02-29T00:00:00+00:00"}))
      << "2100 is no leap year";
  EXPECT_EQ(Fires("0 0 29 2 */7", "", "2088-03-01T00:00:00Z", 1),
            (Times{"2128-02-29T00:00:00+00:00"}))
      << "the longest wait there is";
}

TEST(CronTest, AGapMovesATimeOfDayToItsEndOnce) {
  EXPECT_EQ(Fires("30 2 * * *", "Europe/Prague", "2026-03-28T00:00:00Z", 3),
            (Times{"2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00",
                   "2026-03-30T02:30:00+02:00"}));
  EXPECT_EQ(Fires("0,30 2,3 * * *", "Europe/Prague", "2026-03-29T00:00:00Z", 3),
            (Times{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00",
                   "2026-03-30T02:00:00+02:00"}))
      << "with a fire time at the end of the gap it is one";
  EXPECT_EQ(Fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2),
            (Times{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}))
      << "half an hour is left out";
}

TEST(CronTest, ATimeOfDayThatComesTwiceFiresTheFirstTime) {
  EXPECT_EQ(Fires("30 2 * * *", "Europe/Prague", "2026-10-25T00:00:00Z", 2),
            (Times{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}));
  EXPECT_EQ(Fires("30 2 * * *", "Europe/Prague", "2026-10-25T01:00:00Z", 1),
            (Times{"2026-10-26T02:30:00+01:00"}))
      << "the second pass has begun";
  EXPECT_EQ(Fires("0-59 2 * * *", "Europe/Prague", "2026-10-25T00:59:00Z", 1),
            (Times{"2026-10-26T02:00:00+01:00"}));
}

TEST(CronTest, AnOpenHourOrMinuteFollowsTheWallClock) {
  EXPECT_EQ(Fires("*/30 * * * *", "Europe/Prague", "2026-03-29T00:00:00Z", 3),
            (Times{"2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00",
                   "2026-03-29T03:30:00+02:00"}));
  EXPECT_EQ(Fires("*/30 * * * *", "Europe/Prague", "2026-10-25T00:00:00Z", 4),
            (Times{"2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00",
                   "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00"}));
  EXPECT_EQ(Fires("30 * * * *", "America/New_York", "2026-11-01T05:00:00Z", 3),
            (Times{"2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00",
                   "2026-11-01T02:30:00-05:00"}));
  EXPECT_EQ(Fires("*/30 2 * * *", "Europe/Prague", "2026-03-29T00:00:00Z", 1),
            (Times{"2026-03-30T02:00:00+02:00"}))
      << "what is left out does not come";
}

TEST(CronTest, MidnightMayBeLeftOut) {
  EXPECT_EQ(Fires("@daily", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 2),
            (Times{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"}));
  EXPECT_EQ(Fires("@daily", "America/Sao_Paulo", "2018-02-17T12:00:00Z", 2),
            (Times{"2018-02-18T00:00:00-03:00", "2018-02-19T00:00:00-03:00"}));
}

TEST(CronTest, ADayThatAPlaceLeavesOutIsAGap) {
  EXPECT_EQ(Fires("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 3),
            (Times{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00",
                   "2011-12-31T12:00:00+14:00"}));
  EXPECT_EQ(Fires("0 * 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z", 1),
            (Times{"2012-12-30T00:00:00+14:00"}));
}

TEST(CronTest, OffsetsOfSecondsKeepLabelsWhole) {
  // Until 1972 Monrovia was 44 minutes and 30 seconds behind.
  EXPECT_EQ(Fires("* * * * *", "Africa/Monrovia", "1972-01-07T00:43:00Z", 3),
            (Times{"1972-01-06T23:59:00-00:44", "1972-01-07T00:45:00+00:00",
                   "1972-01-07T00:46:00+00:00"}));
  EXPECT_EQ(Fires("15 0 * * *", "Africa/Monrovia", "1972-01-06T12:00:00Z", 2),
            (Times{"1972-01-07T00:44:30+00:00", "1972-01-08T00:15:00+00:00"}));
}

TEST(CronTest, RulesOfAZoneGoOnForEver) {
  EXPECT_EQ(Fires("30 2 * * *", "Europe/Prague", "2399-03-27T12:00:00Z", 1),
            (Times{"2399-03-28T03:00:00+02:00"}));
  EXPECT_EQ(Fires("30 * 29 3 */7", "Europe/Prague", "2400-01-01T00:00:00Z", 1).size(), 1u);
}

TEST(CronTest, WhatTheClockAlwaysLeavesOutNeverComes) {
  EXPECT_EQ(Fires("* 2 8-14 3 */7", "America/New_York", "2026-01-01T00:00:00Z", 1),
            (Times{"never"}));
}

TEST(CronTest, TheCalendarEndsWithTheYear9999) {
  EXPECT_EQ(Fires("* * * * *", "", "9999-12-31T23:58:00Z", 2),
            (Times{"9999-12-31T23:59:00+00:00", "never"}));
  const auto daily = Cadence::Cron("@daily", "");
  ASSERT_TRUE(daily.ok());
  EXPECT_EQ(daily->Next(absl::InfiniteFuture()), absl::InfiniteFuture());
  EXPECT_EQ(daily->Next(absl::InfinitePast()), absl::UnixEpoch());
}

TEST(CronTest, ARefusalNamesTheFieldAndWhatItMayBe) {
  EXPECT_EQ(Refusal("60 0 * * *"), "cron: minute `60`: a number from 0 to 59");
  EXPECT_EQ(Refusal("0 24 * * *"), "cron: hour `24`: a number from 0 to 23");
  EXPECT_EQ(Refusal("0 0 0 * *"), "cron: day of month `0`: a number from 1 to 31");
  EXPECT_EQ(Refusal("0 0 * mai *"), "cron: month `mai`: a number from 1 to 12 or jan to dec");
  EXPECT_EQ(Refusal("0 0 * * 8"), "cron: day of week `8`: a number from 0 to 7 or sun to sat");
  EXPECT_EQ(Refusal("0 22-2 * * *"),
            "cron: hour `22-2`: a range goes upwards; write two, with a comma between them");
  EXPECT_EQ(Refusal("5/10 * * * *"),
            "cron: minute `5/10`: a step follows `*` or a range, e.g. 5-59/10");
  EXPECT_EQ(Refusal("*/90 * * * *"),
            "cron: minute `*/90`: a step is 1 to 59 and begins anew in each hour");
  EXPECT_EQ(Refusal("0 0 30 2 *"), "cron: no month `2` has a day `30`, so it would never fire");
}

TEST(CronTest, MalformedExpressionsAreRefused) {
  for (const char* expression : {"",
                                 " ",
                                 "* * * *",
                                 "* * * * * *",
                                 "CRON_TZ=UTC * * * *",
                                 "@every 5s",
                                 "@reboot",
                                 "@daily 5",
                                 "1,,2 * * * *",
                                 ", * * * *",
                                 "1- * * * *",
                                 "-1 * * * *",
                                 "1-2-3 * * * *",
                                 "*/ * * * *",
                                 "*/0 * * * *",
                                 "1-5/2/2 * * * *",
                                 "*-5 * * * *",
                                 "** * * * *",
                                 "+1 * * * *",
                                 "00005 * * * *",
                                 "0 0 L * *",
                                 "0 0 ? * *",
                                 "0 0 1W * *",
                                 "jan * * * *",
                                 "0 0 * * monday",
                                 "0 0 31 2,4,6 *",
                                 "0 0 30-31 2 */2",
                                 "* * * * *\n",
                                 "\xc3\xa9 * * * *"}) {
    Refusal(expression);
  }
  Refusal(std::string("* * * * *\0", 10));
  Refusal(std::string(248, ' ') + "* * * * *");
  EXPECT_TRUE(Cadence::Cron(std::string(247, ' ') + "* * * * *", "").ok()) << "256 bytes are well";
  EXPECT_TRUE(Cadence::Cron("05 0003 * * *", "").ok());
}

TEST(CronTest, AZoneIsANameOfTheDataBaseNotAPath) {
  for (const char* zone :
       {"Europe/Praha", "Europe", "europe/prague", "/etc/localtime",
        "/usr/share/zoneinfo/Europe/Prague", "../zoneinfo/UTC", "localtime", "file:/etc/localtime",
        "right/Europe/Prague", "Fixed/UTC+01:00:00", "tzdata.zi", "UTC ", "iso3166.tab"}) {
    EXPECT_EQ(Refusal("* * * * *", zone),
              "time_zone: an IANA name such as Europe/Prague or America/New_York, or nothing for "
              "UTC");
  }
  Refusal("* * * * *", std::string("UTC\0", 4));
  Refusal("* * * * *", std::string(100, 'a'));
  for (const char* zone : {"", "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "CET",
                           "America/Port-au-Prince"}) {
    EXPECT_TRUE(Cadence::Cron("* * * * *", zone).ok()) << zone;
  }
}

TEST(CronTest, BetweenCountsToTheLimitAndFindsTheLast) {
  const auto cadence = Cadence::Cron("*/20 * * * *", "Europe/Prague");
  ASSERT_TRUE(cadence.ok());
  const absl::Time from = At("2026-03-29T00:40:00Z"), until = At("2026-03-29T02:00:00Z");
  const FireTimes all = cadence->Between(from, until, 100);
  EXPECT_EQ(all.count, 4) << "01:00, 01:20, 01:40 and 02:00";
  EXPECT_EQ(all.last, until);
  for (const int64_t limit : {0, 1, 3, 4}) {
    const FireTimes some = cadence->Between(from, until, limit);
    EXPECT_EQ(some.count, limit);
    EXPECT_EQ(some.last, until) << limit;
  }
  const FireTimes none = cadence->Between(from, At("2026-03-29T00:59:59Z"), 100);
  EXPECT_EQ(none.count, 0);
  EXPECT_EQ(none.last, absl::InfinitePast());
  const FireTimes backwards = cadence->Between(until, from, 100);
  EXPECT_EQ(backwards.count, 0);
}

TEST(CronTest, TheLastOfALongStretchIsFound) {
  const auto minutely = Cadence::Cron("* * * * *", "America/New_York");
  const auto yearly = Cadence::Cron("0 0 29 2 *", "America/New_York");
  ASSERT_TRUE(minutely.ok() && yearly.ok());
  const absl::Time from = At("1999-01-01T00:00:00Z"), until = At("2026-06-01T12:34:56.7Z");
  EXPECT_EQ(minutely->Between(from, until, 3).last, At("2026-06-01T12:34:00Z"));
  EXPECT_EQ(minutely->Between(from, until, 3).count, 3);
  EXPECT_EQ(yearly->Between(from, until, 3).last, At("2024-02-29T00:00:00-05:00"));
  EXPECT_EQ(yearly->Between(from, until, 100).count, 7);
  EXPECT_EQ(minutely->Between(from, absl::InfiniteFuture(), 1).last, At("9999-12-31T23:59:00Z"));
}

TEST(EveryTest, FiresFromStartToStartWithoutDrift) {
  const absl::Time anchor = At("2026-01-01T00:00:00.25Z");
  const auto every = Cadence::Every(absl::Milliseconds(100), anchor);
  ASSERT_TRUE(every.ok());
  EXPECT_EQ(every->Next(absl::InfinitePast()), anchor + absl::Milliseconds(100));
  EXPECT_EQ(every->Next(anchor), anchor + absl::Milliseconds(100)) << "k begins with 1";
  EXPECT_EQ(every->Next(anchor + absl::Milliseconds(100)), anchor + absl::Milliseconds(200));
  EXPECT_EQ(every->Next(anchor + absl::Milliseconds(199)), anchor + absl::Milliseconds(200));
  const int64_t tenths_in_a_century = int64_t{36'525} * 86'400 * 10;
  EXPECT_EQ(every->Next(anchor + tenths_in_a_century * absl::Milliseconds(100)),
            anchor + (tenths_in_a_century + 1) * absl::Milliseconds(100));
  EXPECT_EQ(every->Next(absl::InfiniteFuture()), absl::InfiniteFuture());
  EXPECT_EQ(every->Next(At("9999-12-31T23:59:59Z")), absl::InfiniteFuture());
}

TEST(EveryTest, FireTimesAreWholeMicrosecondsAsTheStoreKeepsThem) {
  const absl::Time anchor = At("2026-01-01T00:00:00.123456789Z");
  const auto every = Cadence::Every(absl::Nanoseconds(100'000'999), anchor);
  ASSERT_TRUE(every.ok());
  absl::Time time = anchor;
  for (int k = 1; k <= 10; ++k) {
    time = every->Next(absl::FromUnixMicros(absl::ToUnixMicros(time)));
    EXPECT_EQ(time, At("2026-01-01T00:00:00.123456Z") + k * absl::Milliseconds(100));
  }
}

TEST(EveryTest, BetweenCountsYearsOfTenthsAtOnce) {
  const absl::Time anchor = At("2026-01-01T00:00:00Z");
  const auto every = Cadence::Every(absl::Milliseconds(100), anchor);
  ASSERT_TRUE(every.ok());
  const FireTimes all = every->Between(anchor, anchor + absl::Hours(24 * 3650), 1LL << 60);
  EXPECT_EQ(all.count, int64_t{3650} * 86'400 * 10);
  EXPECT_EQ(all.last, anchor + absl::Hours(24 * 3650));
  const FireTimes some =
      every->Between(anchor + absl::Milliseconds(50), anchor + absl::Milliseconds(350), 2);
  EXPECT_EQ(some.count, 2);
  EXPECT_EQ(some.last, anchor + absl::Milliseconds(300)) << "of all, not of those counted";
  EXPECT_EQ(every->Between(absl::InfinitePast(), anchor, 10).count, 0);
  EXPECT_EQ(every->Between(anchor + absl::Hours(1), anchor, 10).count, 0);
}

TEST(EveryTest, BoundsAreNamed) {
  const absl::Time now = At("2026-01-01T00:00:00Z");
  for (const absl::Duration interval :
       {absl::Milliseconds(100) - absl::Nanoseconds(1), absl::ZeroDuration(), -absl::Seconds(5),
        kMaxScheduleInterval + absl::Nanoseconds(1), absl::InfiniteDuration()}) {
    const auto every = Cadence::Every(interval, now);
    EXPECT_EQ(ErrorReason(every.status()), "BAD_REQUEST");
    EXPECT_EQ(every.status().message(), "every: 100 milliseconds to 3,653 days");
  }
  for (const absl::Time anchor :
       {absl::InfinitePast(), absl::InfiniteFuture(), absl::UnixEpoch() - absl::Nanoseconds(1)}) {
    EXPECT_EQ(Cadence::Every(absl::Seconds(1), anchor).status().message(),
              "anchor: a time in the years 1970 to 9999");
  }
  EXPECT_TRUE(Cadence::Every(kMaxScheduleInterval, now).ok());
}

TEST(OnceTest, FiresOnce) {
  const absl::Time at = At("2026-01-01T00:00:00.125Z");
  const Cadence once = Cadence::Once(at);
  EXPECT_EQ(once.Next(absl::InfinitePast()), at);
  EXPECT_EQ(once.Next(at - absl::Nanoseconds(1)), at);
  EXPECT_EQ(once.Next(at), absl::InfiniteFuture());
  EXPECT_EQ(Cadence::Once(at + absl::Nanoseconds(999)).Next(absl::InfinitePast()), at);
  EXPECT_EQ(Cadence::Once(absl::InfiniteFuture()).Next(at), absl::InfiniteFuture());
  const FireTimes times = once.Between(absl::InfinitePast(), absl::InfiniteFuture(), 10);
  EXPECT_EQ(times.count, 1);
  EXPECT_EQ(times.last, at);
  EXPECT_EQ(once.Between(absl::InfinitePast(), absl::InfiniteFuture(), 0).last, at);
  EXPECT_EQ(once.Between(at, absl::InfiniteFuture(), 10).count, 0);
}

}  // namespace
}  // namespace reeve
