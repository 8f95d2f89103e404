// When a schedule fires: by a cron expression in a time zone, every so often, or once.
//
// A value that answers from a time given to it. It knows no clock, keeps no state and does no I/O,
// except that Cron() loads its time zone by name: call that where requests are checked and when
// the store is read, never in the scheduler.
//
// Cron expressions have five fields, `minute hour day-of-month month day-of-week`, separated by
// blanks:
//
//   field         values           names
//   minute        0-59
//   hour          0-23
//   day of month  1-31
//   month         1-12             JAN-DEC
//   day of week   0-7, 0 = 7 = Sunday  SUN-SAT
//
// A field is a list (`1,15`) of values, ranges (`9-17`, `FRI-SUN`), `*`, and ranges or `*` with a
// step (`10-50/20`, `*/5`). Or the whole is one of @hourly, @daily, @midnight, @weekly, @monthly,
// @yearly, @annually. Case does not matter.
//
// A field that begins with `*` is *open*, as in Vixie's cron, and that matters twice:
//
//   * If neither day of month nor day of week is open, a day is right when either matches;
//     otherwise both must.
//   * If minute or hour is open, the expression means an interval and follows the wall clock: what
//     a clock put forward leaves out does not come, what one put back shows twice fires twice.
//     `*/10 * * * *` is every ten minutes through both.
//   * If neither is open, the expression means a time of day, and each fires once: one that is left
//     out fires at the first instant after the gap (`30 2 * * *` at 03:00 where 02:00 became
//     03:00; with a fire time that falls on the same instant it is one), one that comes twice fires
//     the first time only.
//
// Fire times of cron are whole seconds, all others whole microseconds: what the store keeps of one
// must be the same time again, or Next of it would find it twice. The years are 1970 to 9999.
//
// Thread: any; immutable, cheap to copy.

#ifndef REEVE_MASTER_SCHEDULES_CADENCE_H_
#define REEVE_MASTER_SCHEDULES_CADENCE_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace reeve {

inline constexpr size_t kMaxCronBytes = 256;
inline constexpr absl::Duration kMinScheduleInterval = absl::Milliseconds(100);
inline constexpr absl::Duration kMaxScheduleInterval = absl::Hours(24 * 3653);  // Ten years.
// Beyond it a cron expression is not searched. The rarest day, a 29 February on a given day of
// the week, comes at least every 40 years.
inline constexpr int kCronHorizonYears = 50;

// The fire times of a stretch of time.
struct FireTimes {
  int64_t count = 0;                       // At most the limit that was given.
  absl::Time last = absl::InfinitePast();  // Of all, those not counted as well.
};

class Cadence {
 public:
  //   expression  see above; at most kMaxCronBytes.
  //   zone        IANA name such as `Europe/Prague`; "" is UTC.
  //
  // Errors:  INVALID_ARGUMENT BAD_REQUEST  names `cron` or `time_zone` and what it may be; also
  //          when no month has such a day (`0 0 30 2 *`).
  // Effects: reads the zone's file the first time in this process.
  static absl::StatusOr<Cadence> Cron(std::string_view expression, std::string_view zone);

  // At `anchor` + k × `interval`, k = 1, 2, …: start to start, without drift. What is below a
  // microsecond is cut off from both. A schedule that is read again must have the same anchor.
  //
  //   interval  kMinScheduleInterval to kMaxScheduleInterval.
  //   anchor    a time in the years 1970 to 9999.
  //
  // Errors: INVALID_ARGUMENT BAD_REQUEST  names `every` or `anchor` and what it may be.
  static absl::StatusOr<Cadence> Every(absl::Duration interval, absl::Time anchor);

  // What is below a microsecond is cut off.
  static Cadence Once(absl::Time at);

  // Returns: the first fire time strictly after `after`; InfiniteFuture if there is none, for a
  //          cron expression none within kCronHorizonYears (`* 2 8-14 3 */7` in New York is always
  //          left out by the clock).
  // Cost:    less than a microsecond; up to some 100 µs for the rarest expressions.
  absl::Time Next(absl::Time after) const;

  // The fire times in (`after`, `until`].
  //
  // Cost:    of cron that of `limit` and at most 60 calls of Next, of the others constant, however
  //          long the stretch is.
  // REQUIRES: limit >= 0.
  FireTimes Between(absl::Time after, absl::Time until, int64_t limit) const;

 private:
  // Bit n of a set: value n matches.
  struct CronRule {
    uint64_t minutes = 0;
    uint32_t hours = 0;
    uint32_t days = 0;
    uint32_t months = 0;
    uint32_t weekdays = 0;  // Bits 0 (Sunday) to 6.
    bool either_day = false;
    bool is_interval = false;
    absl::TimeZone zone;

    bool MatchesDay(absl::CivilDay day) const;
    // Whether some date of the calendar has such a day and month.
    bool HasDay() const;
    // The first label in [from, end) that matches.
    std::optional<absl::CivilMinute> FirstLabel(absl::CivilMinute from,
                                                absl::CivilSecond end) const;
    absl::Time NextByClock(absl::Time after, absl::CivilSecond end) const;
    absl::Time NextTimeOfDay(absl::Time after, absl::CivilSecond end) const;
    absl::Time Next(absl::Time after) const;
  };
  struct Interval {
    absl::Duration interval;
    absl::Time anchor;

    // How many fire times lie at or before `time`.
    int64_t CountUntil(absl::Time time) const;
    absl::Time Next(absl::Time after) const;
  };
  struct Single {
    absl::Time at;

    absl::Time Next(absl::Time after) const { return at > after ? at : absl::InfiniteFuture(); }
  };
  using Rule = std::variant<CronRule, Interval, Single>;

  explicit Cadence(Rule rule) : rule_(rule) {}

  absl::Time LastUntil(absl::Time first, absl::Time until) const;

  Rule rule_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULES_CADENCE_H_
