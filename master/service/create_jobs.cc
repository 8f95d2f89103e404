#include "master/service/create_jobs.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "master/store/job_record.h"

namespace reeve {
namespace {

// A job may end between the look at it and the creation of the one behind it.
constexpr int kTries = 3;

using Ended = std::map<JobId, EndedJob>;
using Done = std::function<void(Reply)>;

absl::Status NoSuchJob(JobId job) {
  return MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                   StrCat("after: there is no job ", job.value));
}

// Of those that others depend on: what is not yet found.
struct Lookup {
  ServiceParts parts;
  std::set<JobId> missing;
  Ended ended;
  std::function<void(absl::StatusOr<Ended>)> done;

  bool IsSeen(const JobView& view) const {
    return parts.principal == nullptr || parts.principal->sees(OwnerOf(view.record));
  }
  // Returns: damage that was found.
  absl::Status Read(StoreReader& reader) {
    const std::set<JobId> wanted = missing;
    for (const JobId job : wanted) {
      const auto stored = reader.ReadJob(job);
      if (absl::IsNotFound(stored.status())) continue;
      if (!stored.ok()) {
        return MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS",
                         ToStd(stored.status().message()));
      }
      if (!IsSeen(stored->view)) return NoSuchJob(job);
      missing.erase(job);
      if (IsTerminal(stored->view.state))
        ended[job] = {job, stored->view.state, stored->view.cause};
    }
    return absl::OkStatus();
  }
};

void LookIn(const std::shared_ptr<Lookup>& lookup, StoreKind store) {
  const bool posted = lookup->parts.reader->Post(store, [lookup, store](StoreReader& reader) {
    if (absl::Status s = lookup->Read(reader); !s.ok()) return lookup->done(s);
    if (lookup->missing.empty()) return lookup->done(std::move(lookup->ended));
    if (store == StoreKind::kDurable) return LookIn(lookup, StoreKind::kMemory);
    lookup->done(NoSuchJob(*lookup->missing.begin()));
  });
  if (!posted) {
    lookup->done(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                           "too many reads wait", absl::Milliseconds(200)));
  }
}

// How those of `jobs` that have ended did so.
void FindEnded(const ServiceParts& parts, std::set<JobId> jobs,
               std::function<void(absl::StatusOr<Ended>)> done) {
  auto lookup = std::make_shared<Lookup>(Lookup{parts, std::move(jobs), {}, std::move(done)});
  auto hidden = std::make_shared<std::optional<JobId>>();
  const absl::Status asked = parts.loop->Query(
      [lookup, hidden](Scheduler& scheduler, const Now&) {
        std::erase_if(lookup->missing, [&](JobId job) {
          const auto view = scheduler.FindJob(job);
          if (view.has_value() && !lookup->IsSeen(*view)) *hidden = job;
          return view.has_value();
        });
      },
      [lookup, hidden] {
        if (hidden->has_value()) return lookup->done(NoSuchJob(**hidden));
        if (lookup->missing.empty()) return lookup->done(Ended());
        LookIn(lookup, StoreKind::kDurable);
      });
  if (!asked.ok()) lookup->done(asked);
}

void AddDependencies(const CreateJob& event, std::set<JobId>* jobs) {
  if (event.options.extras == nullptr) return;
  for (const JobDependency& dependency : event.options.extras->after) {
    if ((dependency.job.value & CreateJobs::kPlaceBit) == 0) jobs->insert(dependency.job);
  }
}
void AddDependencies(const CreateJobs& event, std::set<JobId>* jobs) {
  for (const CreateJob& job : event.jobs) AddDependencies(job, jobs);
}

void TakeEnded(const Ended& ended, CreateJob* event) {
  event->ended.clear();
  std::set<JobId> jobs;
  AddDependencies(*event, &jobs);
  for (const JobId job : jobs) {
    if (const auto it = ended.find(job); it != ended.end()) event->ended.push_back(it->second);
  }
}
void TakeEnded(const Ended& ended, CreateJobs* event) {
  for (CreateJob& job : event->jobs) TakeEnded(ended, &job);
}

template <typename Event>
Reply Refusal(const absl::Status& status) {
  if constexpr (std::is_same_v<Event, CreateJob>) {
    return {{}, JobReply{status, {}}, {}};
  } else {
    return {{}, JobsReply{status, {}}, {}};
  }
}

const absl::Status& StatusOf(const Reply& reply) {
  return std::visit([](const auto& body) -> const absl::Status& { return body.status; },
                    reply.body);
}

template <typename Event>
void PostOnce(const ServiceParts& parts, Event event, size_t bytes, const Done& done) {
  event.call = parts.hub->Expect(done);
  const CallId call = event.call;
  if (absl::Status s = parts.loop->PostApi(std::move(event), bytes); !s.ok()) {
    parts.hub->Forget(call);
    done(Refusal<Event>(s));
  }
}

template <typename Event>
void Try(const ServiceParts& parts, const std::shared_ptr<const Event>& event, size_t bytes,
         const Done& done, int tries) {
  std::set<JobId> jobs;
  AddDependencies(*event, &jobs);
  FindEnded(parts, std::move(jobs), [=](const absl::StatusOr<Ended>& ended) {
    if (!ended.ok()) return done(Refusal<Event>(ended.status()));
    Event known = *event;
    TakeEnded(*ended, &known);
    PostOnce(parts, std::move(known), bytes, [=](Reply reply) {
      if (absl::IsNotFound(StatusOf(reply)) && tries + 1 < kTries)
        return Try(parts, event, bytes, done, tries + 1);
      done(std::move(reply));
    });
  });
}

template <typename Event>
void Create(const ServiceParts& parts, Event event, size_t bytes, const Done& done) {
  std::set<JobId> jobs;
  AddDependencies(event, &jobs);
  if (jobs.empty()) return PostOnce(parts, std::move(event), bytes, done);
  Try(parts, std::make_shared<const Event>(std::move(event)), bytes, done, 0);
}

}  // namespace

void PostCreate(const ServiceParts& parts, CreateJob event, size_t bytes, Done done) {
  Create(parts, std::move(event), bytes, done);
}

void PostCreate(const ServiceParts& parts, CreateJobs event, size_t bytes, Done done) {
  Create(parts, std::move(event), bytes, done);
}

}  // namespace reeve
