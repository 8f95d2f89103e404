#include "client/input/point_in_time.h"

#include <gtest/gtest.h>

#include <string>

#include "client/exit_code.h"

namespace reeve {
namespace {

absl::TimeZone Prague() {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone("Europe/Prague", &zone));
  return zone;
}

// In UTC; "" if it is refused. Now is 2026-03-28, 13:00 in Prague.
std::string Parse(const std::string& text) {
  const absl::Time now =
      absl::FromCivil(absl::CivilSecond(2026, 3, 28, 12, 0, 0), absl::UTCTimeZone());
  const auto time = ParsePointInTime("--at", text, Prague(), now);
  if (!time.ok()) {
    EXPECT_EQ(ExitCodeOf(time.status()), kExitUsage);
    return "";
  }
  return absl::FormatTime("%Y-%m-%d %H:%M:%E*S", *time, absl::UTCTimeZone());
}

TEST(PointInTimeTest, AnOffsetIsTaken) {
  EXPECT_EQ(Parse("2026-12-24T18:00:00+01:00"), "2026-12-24 17:00:00");
  EXPECT_EQ(Parse("2026-12-24T18:00:00.25Z"), "2026-12-24 18:00:00.25");
  EXPECT_EQ(Parse("2026-12-24 18:00:00-05:30"), "2026-12-24 23:30:00");
}

TEST(PointInTimeTest, WithoutAnOffsetItIsOfTheZone) {
  EXPECT_EQ(Parse("2026-12-24 18:00"), "2026-12-24 17:00:00");
  EXPECT_EQ(Parse("2026-06-24T18:00"), "2026-06-24 16:00:00");
  EXPECT_EQ(Parse("2026-06-24 18:00:01"), "2026-06-24 16:00:01");
  EXPECT_EQ(Parse("2026-06-24"), "2026-06-23 22:00:00");
}

TEST(PointInTimeTest, ATimeOfDayIsTheNextSuch) {
  EXPECT_EQ(Parse("13:01"), "2026-03-28 12:01:00");
  EXPECT_EQ(Parse("13:00"), "2026-03-29 11:00:00") << "an hour earlier after the change";
  EXPECT_EQ(Parse("3:15:30"), "2026-03-29 01:15:30");
}

TEST(PointInTimeTest, WhatTheClockLeavesOutIsWhatFollowsAndWhatComesTwiceIsTheFirst) {
  EXPECT_EQ(Parse("2026-03-29 02:30"), "2026-03-29 01:00:00");
  EXPECT_EQ(Parse("2026-10-25 02:30"), "2026-10-25 00:30:00");
}

TEST(PointInTimeTest, ADurationIsFromNowOn) {
  EXPECT_EQ(Parse("+90m"), "2026-03-28 13:30:00");
  EXPECT_EQ(Parse("+0.5"), "2026-03-28 12:00:00.5");
}

TEST(PointInTimeTest, OthersAreRefused) {
  for (const char* text :
       {"", "now", "tomorrow", "18", "25:00", "18:60", "2026-13-01", "2026-02-30 10:00", "+",
        "+-5s", "+inf", "-5m", "infinite-future", "1969-12-31 12:00", "10000-01-02 00:00",
        "2026-12-24T18:00:00+01:00 x"}) {
    EXPECT_EQ(Parse(text), "") << text;
  }
}

}  // namespace
}  // namespace reeve
