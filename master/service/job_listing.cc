#include "master/service/job_listing.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/label_terms.h"
#include "master/service/validate_extras.h"
#include "master/store/job_record.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {
namespace {

// Rows of a store that a call looks at, beyond those of its page: the reader has others to serve.
constexpr size_t kMostLookedAt = 50'000;

// Which jobs.
struct JobFilter {
  std::vector<JobState> states;
  std::vector<LabelTerm> labels;
  std::string queue, name;
  std::shared_ptr<const Principal> principal;  // Null: sees all.

  bool Wants(const JobView& view) const {
    if (principal != nullptr && !principal->sees(OwnerOf(view.record))) return false;
    const bool state =
        states.empty() || std::find(states.begin(), states.end(), ShownState(view)) != states.end();
    return state && WantsSpec(view);
  }

 private:
  bool WantsSpec(const JobView& view) const {
    if (labels.empty() && queue.empty() && name.empty()) return true;
    store::v1::JobRecord record;
    record.ParseFromArray(view.record.view().data(), static_cast<int>(view.record.size()));
    const v1::JobSpec& spec = record.spec();
    const std::string_view in = spec.queue().empty() ? kDefaultQueue : spec.queue();
    return (queue.empty() || queue == in) && (name.empty() || name == spec.name()) &&
           Matches(labels, spec.labels());
  }
};

struct Listing {
  JobFilter filter;
  JobId below;
  size_t limit = 0;               // One more than the page: tells whether there is a next one.
  std::map<JobId, JobView> jobs;  // Live ones win over their row in the store.
  std::map<JobId, JobView> live;
  JobId looked_at;  // Not all below it were looked at; 0: all were.

  // Reads until the page is full or the store has no more: rows of others do not count.
  void Read(StoreReader& reader) {
    const size_t rows = limit + live.size();
    JobId before = below;
    size_t looked = 0;
    for (size_t found = 0; found < limit;) {
      const auto stored = reader.ListJobs(before, filter.states, rows);
      if (!stored.ok()) return;
      for (const StoredJob& job : *stored) {
        before = job.view.job;
        if (live.contains(job.view.job) || !filter.Wants(job.view)) continue;
        jobs.emplace(job.view.job, job.view);
        ++found;
      }
      if (stored->size() < rows) return;
      looked += rows;
      if (looked < kMostLookedAt + rows) continue;
      looked_at = std::max(looked_at, before);
      return;
    }
  }
  void Fill(v1::ListJobsResponse* response) const {
    std::vector<const JobView*> page;
    for (auto it = jobs.rbegin(); it != jobs.rend() && page.size() < limit; ++it) {
      if (it->first >= looked_at) page.push_back(&it->second);
    }
    const bool more = page.size() == limit;
    if (more) page.pop_back();
    for (const JobView* view : page) ToProto(*view, response->add_jobs());
    if (more) {
      response->set_next_page_token(StrCat(page.back()->job.value));
    } else if (looked_at) {
      response->set_next_page_token(StrCat(looked_at.value));
    }
  }
};

absl::StatusOr<JobFilter> FilterOf(const v1::ListJobsRequest& request) {
  JobFilter filter;
  for (const int state : request.states()) {
    if (state == v1::Job::STATE_UNSPECIFIED || !v1::Job::State_IsValid(state))
      return BadRequest("states: not a state of a job");
    filter.states.push_back(static_cast<JobState>(state));
  }
  auto labels = ParseLabelTerms("label_selector", request.label_selector());
  if (!labels.ok()) return labels.status();
  filter.labels = *std::move(labels);
  filter.queue = request.queue();
  filter.name = request.name();
  return filter;
}

void ReadStores(const ServiceParts& parts, const std::shared_ptr<Listing>& listing,
                std::function<void(absl::Status)> done) {
  const bool posted = parts.reader->Post(StoreKind::kDurable, [=](StoreReader& reader) {
    listing->Read(reader);
    const bool again = parts.reader->Post(StoreKind::kMemory, [=](StoreReader& memory) {
      listing->Read(memory);
      done(absl::OkStatus());
    });
    if (!again) done(absl::OkStatus());
  });
  if (!posted) {
    done(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                   absl::Milliseconds(200)));
  }
}

}  // namespace

void ListJobs(const ServiceParts& parts, std::shared_ptr<const Principal> principal,
              const v1::ListJobsRequest& request, v1::ListJobsResponse* response,
              std::function<void(absl::Status)> done) {
  const auto size = PageSize(request.page_size());
  if (!size.ok()) return done(size.status());
  const auto before = PageToken(request.page_token());
  if (!before.ok()) return done(before.status());
  auto filter = FilterOf(request);
  if (!filter.ok()) return done(filter.status());
  auto listing = std::make_shared<Listing>();
  listing->filter = *std::move(filter);
  listing->filter.principal = std::move(principal);
  listing->below = JobId(*before);
  listing->limit = *size + 1;
  const auto finish = [listing, response, done](const absl::Status& status) {
    if (status.ok()) listing->Fill(response);
    done(status);
  };
  const absl::Status asked = parts.loop->Query(
      [listing](Scheduler& scheduler, const Now&) {
        // Those that are not wanted count, too: the store must not tell of them instead.
        for (JobView& view : scheduler.ListJobs(listing->below, SIZE_MAX)) {
          const JobId id = view.job;
          listing->live.emplace(id, JobView{});
          if (listing->jobs.size() < listing->limit && listing->filter.Wants(view))
            listing->jobs.emplace(id, std::move(view));
        }
      },
      [parts, listing, finish] { ReadStores(parts, listing, finish); });
  if (!asked.ok()) done(asked);
}

}  // namespace reeve
