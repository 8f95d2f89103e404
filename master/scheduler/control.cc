// What the API asks for besides creating and cancelling jobs.

#include <utility>

#include "base/error.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

absl::Status NotYet() {
  return MakeError(absl::StatusCode::kUnimplemented, "INTERNAL", "not yet");
}

}  // namespace

void Scheduler::Impl::On(const Now&, CreateJobs& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, PauseJob& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, ResumeJob& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, UpdateJob& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, DeleteJob& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, UpdateQueue& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, DeleteQueue& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, SetDrained& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, CreateSchedule& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, ChangeSchedule& event) { RefuseJob(event.call, NotYet()); }
void Scheduler::Impl::On(const Now&, ResultsLoaded&) {}

}  // namespace reeve
