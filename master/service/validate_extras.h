// What few jobs ask for: queue, retries, times, keys, resources, dependencies, stop rules.
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_VALIDATE_EXTRAS_H_
#define REEVE_MASTER_SERVICE_VALIDATE_EXTRAS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "master/scheduler/events.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

// Where jobs stand that name no queue.
inline constexpr std::string_view kDefaultQueue = "default";

// What a specification is for.
struct SpecUse {
  absl::Time now;        // The beginning of `delay` and `deadline`.
  bool is_open = false;  // The job takes more tasks.
  uint32_t place = 0;    // From 1, in a list of jobs; 0: it is alone.
  // Of a schedule with this name, made again and again: it names no time and no job.
  std::string schedule = "";
};

// Checks those fields of `spec` and sets what the scheduler must know of them in `options`; its
// `extras` stay null if there is nothing.
// Errors: INVALID_ARGUMENT BAD_REQUEST, naming the field.
absl::Status TakeExtras(const v1::JobSpec& spec, const SpecUse& use, JobOptions* options);

// 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`: queues and schedules.
bool IsQueueName(std::string_view name);
// `field` begins the message. Without a count: no limit. Errors: INVALID_ARGUMENT BAD_REQUEST.
absl::StatusOr<Rate> ToRate(std::string_view field, const v1::Rate& rate);
// Errors: INVALID_ARGUMENT BAD_REQUEST: it is none, or not in [least, most].
absl::StatusOr<absl::Duration> ToDuration(std::string_view field,
                                          const google::protobuf::Duration& duration,
                                          absl::Duration least, absl::Duration most,
                                          std::string_view bounds);
// Errors: INVALID_ARGUMENT BAD_REQUEST: not a time of the years 1 to 9999, or over 10 years ahead.
absl::StatusOr<absl::Time> ToTime(std::string_view field,
                                  const google::protobuf::Timestamp& timestamp, absl::Time now);

inline constexpr absl::Duration kTenYears = absl::Hours(24 * 3653);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_VALIDATE_EXTRAS_H_
