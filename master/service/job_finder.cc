#include "master/service/job_finder.h"

#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "master/store/job_record.h"

namespace reeve {
namespace {

using Done = std::function<void(absl::StatusOr<FoundJob>)>;

absl::Status TooManyReads() {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                   absl::Milliseconds(200));
}

absl::Status NoSuchJob(JobId job) {
  return MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                   StrCat("there is no job ", job.value));
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
    done(NoSuchJob(job));
  });
  if (!posted) done(TooManyReads());
}

// Whoever it is for.
void FindAnyJob(const ServiceParts& parts, JobId job, std::shared_ptr<JobListener> listener,
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

}  // namespace

void AddSelected(const ServiceParts& parts, FoundJob found, Done done) {
  if (!found.live || !IsRetry(found.job.view.record)) return done(std::move(found));
  const StoreKind store = found.store;
  const bool posted = parts.reader->Post(store, [found, done](StoreReader& reader) mutable {
    auto stored = reader.ReadJob(found.job.view.job);
    if (!stored.ok()) {
      return done(
          MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS", ToStd(stored.status().message())));
    }
    found.job.selected = std::move(stored->selected);
    done(std::move(found));
  });
  if (!posted) done(TooManyReads());
}

// Who owns a job never changes, so looking first is no race.
void CheckJob(const ServiceParts& parts, JobId job, Wish wish,
              std::function<void(absl::Status)> done) {
  const std::shared_ptr<const Principal> principal = parts.principal;
  if (principal == nullptr || principal->controls_all() ||
      (wish == Wish::kSee && principal->sees_all())) {
    return done(absl::OkStatus());
  }
  FindAnyJob(parts, job, nullptr, [=](absl::StatusOr<FoundJob> found) {
    if (!found.ok()) return done(found.status());
    const std::string owner = OwnerOf(found->job.view.record);
    if (!principal->sees(owner)) return done(NoSuchJob(job));
    if (wish == Wish::kSee || principal->controls(owner)) return done(absl::OkStatus());
    done(MakeError(absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
                   StrCat("job ", job.value, " is not of ", principal->name)));
  });
}

void FindJob(const ServiceParts& parts, JobId job, std::shared_ptr<JobListener> listener,
             Done done) {
  CheckJob(parts, job, Wish::kSee, [=](absl::Status may) {
    if (!may.ok()) return done(may);
    FindAnyJob(parts, job, listener, done);
  });
}

}  // namespace reeve
