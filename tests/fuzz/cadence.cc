// Cron expressions: what is accepted fires upwards, on whole minutes of the zone or at the end of a
// gap, and what is counted between two times is what Next says. The first byte picks the zone and
// where to begin.

#include "master/schedules/cadence.h"

#include "absl/time/time.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

// Not from the input: Abseil keeps all it was asked for.
constexpr const char* kZones[] = {"",
                                  "Europe/Prague",
                                  "America/New_York",
                                  "Australia/Lord_Howe",
                                  "America/Sao_Paulo",
                                  "Africa/Casablanca",
                                  "Pacific/Apia",
                                  "Africa/Monrovia"};

}  // namespace

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  const auto choice = static_cast<unsigned char>(input[0]);
  const auto cadence = Cadence::Cron(input.substr(1), kZones[choice % 8]);
  if (!cadence.ok()) return;
  const absl::Time begin = absl::UnixEpoch() + (choice / 8) * absl::Hours(24 * 1000);
  absl::Time time = begin;
  int64_t count = 0;
  for (; count < 20; ++count) {
    const absl::Time next = cadence->Next(time);
    if (next == absl::InfiniteFuture()) break;
    Require(next > time, "the next fire time is later");
    Require(absl::FromUnixSeconds(absl::ToUnixSeconds(next)) == next, "it is a whole second");
    Require(cadence->Next(next - absl::Nanoseconds(1)) == next, "nothing lies in between");
    time = next;
  }
  const FireTimes times = cadence->Between(begin, time, 100);
  Require(times.count == count, "as many as there were steps");
  Require(count == 0 || times.last == time, "the last is the last");
  Require(count == 0 || cadence->Between(begin, time, 1).last == time, "found without counting");
}

}  // namespace reeve::fuzz
