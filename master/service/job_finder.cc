#include "master/service/job_finder.h"

#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

using Done = std::function<void(absl::StatusOr<FoundJob>)>;

absl::Status TooManyReads() {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                   absl::Milliseconds(200));
}

void FindStored(const ServiceParts& parts, JobId job, StoreKind store, Done done) {
  const bool posted = parts.reader->Post(store, [parts, job, store, done](StoreReader& reader) {
    auto stored = reader.ReadJob(job);
    if (stored.ok()) {
      FoundJob found{std::move(*stored), false, store};
      found.job.view.ephemeral = store == StoreKind::kMemory;
      return done(std::move(found));
    }
    if (!absl::IsNotFound(stored.status())) {
      return done(
          MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS", ToStd(stored.status().message())));
    }
    if (store == StoreKind::kDurable) return FindStored(parts, job, StoreKind::kMemory, done);
    done(MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                   StrCat("there is no job ", job.value)));
  });
  if (!posted) done(TooManyReads());
}

}  // namespace

void FindJob(const ServiceParts& parts, JobId job, std::shared_ptr<JobListener> listener,
             Done done) {
  auto view = std::make_shared<std::optional<JobView>>();
  const absl::Status asked = parts.loop->Query(
      [parts, job, view, listener](Scheduler& scheduler, const Now&) {
        *view = scheduler.FindJob(job);
        if (view->has_value() && listener != nullptr) parts.hub->Subscribe(job, listener);
      },
      [parts, job, view, done] {
        if (!view->has_value()) return FindStored(parts, job, StoreKind::kDurable, done);
        FoundJob found;
        found.live = true;
        found.store = (*view)->ephemeral ? StoreKind::kMemory : StoreKind::kDurable;
        found.job.view = std::move(**view);
        done(std::move(found));
      });
  if (!asked.ok()) done(asked);
}

}  // namespace reeve
