// Classes of jobs: which workers fit, by handler, labels and resources.

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

// What a worker says of itself without being asked.
constexpr char kHostLabel[] = "host";
constexpr char kNameLabel[] = "name";

const std::string* LabelOf(const WorkerRecord& worker, const std::string& name) {
  if (name == kHostLabel) return &worker.hostname;
  if (name == kNameLabel) return &worker.name;
  const auto label = worker.labels.find(name);
  return label == worker.labels.end() ? nullptr : &label->second;
}

std::string ToText(const LabelTerm& term) {
  switch (term.kind) {
    case LabelTerm::Kind::kEquals: return StrCat(term.name, "=", term.value);
    case LabelTerm::Kind::kDiffers: return StrCat(term.name, "!=", term.value);
    case LabelTerm::Kind::kExists: return term.name;
    case LabelTerm::Kind::kMissing: return StrCat("!", term.name);
  }
  return "";
}

std::string NameOf(const JobOptions& options) {
  std::string name = options.handler;
  if (options.extras == nullptr) return name;
  // No part holds these separators.
  for (const LabelTerm& term : options.extras->selector) name += StrCat("\n", ToText(term));
  for (const auto& [resource, amount] : options.extras->resources)
    name += StrCat("\t", resource, "=", amount);
  return name;
}

int64_t LeftOf(const WorkerRecord& worker, const std::string& resource) {
  const auto has = worker.resources.find(resource);
  const auto used = worker.used.find(resource);
  return (has == worker.resources.end() ? 0 : has->second) -
         (used == worker.used.end() ? 0 : used->second);
}

}  // namespace

std::string FormatThousandths(int64_t amount) { return StrCat(static_cast<double>(amount) / 1000); }

bool Scheduler::Impl::Selects(const std::vector<LabelTerm>& selector, const WorkerRecord& worker) {
  return std::all_of(selector.begin(), selector.end(), [&worker](const LabelTerm& term) {
    const std::string* label = LabelOf(worker, term.name);
    switch (term.kind) {
      case LabelTerm::Kind::kEquals: return label != nullptr && *label == term.value;
      case LabelTerm::Kind::kDiffers: return label == nullptr || *label != term.value;
      case LabelTerm::Kind::kExists: return label != nullptr;
      case LabelTerm::Kind::kMissing: return label == nullptr;
    }
    return false;
  });
}

bool Scheduler::Impl::Fits(const WorkClass& work, const WorkerRecord& worker) {
  const bool offered =
      std::any_of(worker.handlers.begin(), worker.handlers.end(),
                  [&work](const HandlerOffer& offer) { return offer.name == work.handler; });
  if (!offered || !Selects(work.selector, worker)) return false;
  return std::all_of(work.needs.begin(), work.needs.end(), [&worker](const auto& need) {
    const auto has = worker.resources.find(need.first);
    return has != worker.resources.end() && has->second >= need.second;
  });
}

uint64_t Scheduler::Impl::RoomInResources(const WorkClass& work, const WorkerRecord& worker) const {
  uint64_t room = UINT64_MAX;
  const bool kept =
      reserved.worker == worker.session && reserved.work != nullptr && reserved.work != &work;
  for (const auto& [name, need] : work.needs) {
    if (REEVE_BUG(kResourcesIgnored)) continue;
    int64_t left = LeftOf(worker, name);
    if (kept) {
      const auto other = reserved.work->needs.find(name);
      if (other != reserved.work->needs.end()) left -= other->second;
    }
    room = std::min(room, static_cast<uint64_t>(std::max<int64_t>(0, left) / need));
  }
  return room;
}

WorkClass* Scheduler::Impl::ClassFor(const JobOptions& options) {
  const bool plain = options.extras == nullptr ||
                     (options.extras->selector.empty() && options.extras->resources.empty());
  const auto [it, made] = classes.try_emplace(plain ? options.handler : NameOf(options));
  if (!made) return it->second.get();
  it->second = std::make_unique<WorkClass>();
  WorkClass& work = *it->second;
  work.handler = options.handler;
  if (!plain) {
    work.selector = options.extras->selector;
    work.needs = options.extras->resources;
  }
  const auto offered = offers.find(work.handler);
  if (offered == offers.end()) return &work;
  for (const SessionId session : offered->second) {
    if (Fits(work, *workers.at(session))) work.workers.insert(session);
  }
  return &work;
}

// A plain class goes with the last worker that offers the handler: jobs come and go faster.
void Scheduler::Impl::DropClassIfUnused(WorkClass* work) {
  if (work->jobs > 0 || (work->plain() && !work->workers.empty())) return;
  for (auto it = classes.begin(); it != classes.end(); ++it) {
    if (it->second.get() != work) continue;
    EraseClass(it);
    return;
  }
}

Scheduler::Impl::Classes::iterator Scheduler::Impl::EraseClass(Classes::iterator it) {
  if (reserved.work == it->second.get()) reserved = {};
  return classes.erase(it);
}

void Scheduler::Impl::AddToClasses(const WorkerRecord& worker) {
  for (const HandlerOffer& offer : worker.handlers) offers[offer.name].insert(worker.session);
  for (auto& [name, work] : classes) {
    if (Fits(*work, worker)) work->workers.insert(worker.session);
  }
}

void Scheduler::Impl::RemoveFromClasses(const WorkerRecord& worker) {
  for (const HandlerOffer& offer : worker.handlers) {
    const auto found = offers.find(offer.name);
    if (found == offers.end()) continue;
    found->second.erase(worker.session);
    if (found->second.empty()) offers.erase(found);
  }
  for (auto it = classes.begin(); it != classes.end();) {
    WorkClass& work = *it->second;
    work.workers.erase(worker.session);
    it = work.workers.empty() && work.jobs == 0 ? EraseClass(it) : std::next(it);
  }
}

// Tasks that need little of a resource may leave no worker enough of it, one after the other.
void Scheduler::Impl::Reserve(const Now& now, const std::vector<WorkClass*>& order) {
  const Reservation before = std::exchange(reserved, {});
  if (order.size() < 2) return;
  int level = 0;
  for (const WorkClass* work : order) {
    if (work->needs.empty()) continue;
    // Not against those of a higher level.
    if (work->TopLevel() < level) return;
    level = work->TopLevel();
    if (!HasWaited(now, *work)) continue;
    const SessionId there = before.work == work ? before.worker : SessionId();
    if (const WorkerRecord* worker = WorkerToKeep(*work, there); worker != nullptr) {
      reserved = {worker->session, work};
      return;
    }
  }
}

bool Scheduler::Impl::HasWaited(const Now& now, const WorkClass& work) {
  for (const auto& [flow, ids] : work.levels[work.TopLevel()]) {
    if (ids.empty()) continue;
    Job& job = *jobs.at(ids.begin()->second);
    if (now.monotonic - job.waiting_since >= options.reserve_after && RoomOf(now, job, 1) > 0)
      return true;
  }
  return false;
}

// The one that has most of what the class needs, or the one that is kept already. Null if one has
// it all, or none takes work.
const WorkerRecord* Scheduler::Impl::WorkerToKeep(const WorkClass& work, SessionId already) const {
  const WorkerRecord* best = nullptr;
  double most = -1;
  for (const SessionId session : work.workers) {
    const WorkerRecord& worker = *workers.at(session);
    if (!Takes(worker)) continue;
    if (RoomInResources(work, worker) > 0) return nullptr;
    double part = 1;
    for (const auto& [name, need] : work.needs)
      part = std::min(part, static_cast<double>(LeftOf(worker, name)) / need);
    if (session == already) part = 1;
    if (part <= most) continue;
    most = part;
    best = &worker;
  }
  return best;
}

// What no connected worker could ever run is refused, while there are any.
absl::Status Scheduler::Impl::CheckFit(const JobOptions& options) const {
  if (workers.empty()) return absl::OkStatus();
  const auto offered = offers.find(options.handler);
  if (offered == offers.end()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NO_SUCH_HANDLER",
                     StrCat("no connected worker offers the handler `", options.handler, "`"));
  }
  if (options.extras == nullptr) return absl::OkStatus();
  const JobExtras& extras = *options.extras;
  if (extras.selector.empty() && extras.resources.empty()) return absl::OkStatus();
  const auto refuse = [](const std::string& what) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NO_FITTING_WORKER", what);
  };
  bool selected = false, fits = false;
  Resources most;
  for (const SessionId session : offered->second) {
    const WorkerRecord& worker = *workers.at(session);
    if (!Selects(extras.selector, worker)) continue;
    selected = true;
    bool all = true;
    for (const auto& [name, need] : extras.resources) {
      const auto has = worker.resources.find(name);
      const int64_t amount = has == worker.resources.end() ? 0 : has->second;
      most[name] = std::max(most[name], amount);
      all = all && amount >= need;
    }
    fits = fits || all;
  }
  if (!selected) {
    std::string terms;
    for (const LabelTerm& term : extras.selector)
      terms += StrCat(terms.empty() ? "" : ", ", ToText(term));
    return refuse(
        StrCat("no connected worker with the handler `", options.handler, "` has ", terms));
  }
  if (fits) return absl::OkStatus();
  for (const auto& [name, need] : extras.resources) {
    if (most[name] >= need) continue;
    return refuse(StrCat("no worker that could run it has ", FormatThousandths(need), " ", name,
                         "; the most is ", FormatThousandths(most[name])));
  }
  return refuse("no worker that could run it has all that it needs at once");
}

}  // namespace reeve
