// A schedule as the API has it and as the scheduler has it.
//
// Thread: any. Loads time zones by name, so never the loop.

#ifndef REEVE_MASTER_SERVICE_SCHEDULE_SETTINGS_H_
#define REEVE_MASTER_SERVICE_SCHEDULE_SETTINGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "master/scheduler/image.h"
#include "master/scheduler/scheduler.h"
#include "reeve/v1/schedule.pb.h"

namespace reeve {

// `owner`: empty for root. `now`: its creation, which an interval counts from.
// Errors: INVALID_ARGUMENT BAD_REQUEST, naming the field.
absl::StatusOr<ScheduleSettings> ToSettings(v1::Schedule schedule, const std::string& owner,
                                            absl::Time now);

// Makes `schedule->settings` of its record, as at its creation. One that this master cannot read
// (a time zone that this machine does not know) fires nothing; it is logged.
void RestoreSettings(ScheduleImage* schedule);

void ToProto(const ScheduleView& view, v1::Schedule* schedule);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_SCHEDULE_SETTINGS_H_
