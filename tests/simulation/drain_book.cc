#include "tests/simulation/drain_book.h"

#include "tests/simulation/work.h"

namespace reeve::sim {

void DrainBook::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

void DrainBook::OnLife() {
  drained_ = restored_ = (*store_)->drained();
  returned_.clear();
}

void DrainBook::OnSubmitted(const Write& write) {
  const auto* put = std::get_if<PutDrained>(&write);
  if (put == nullptr) return;
  if (put->drained) {
    drained_.insert(put->worker_id);
    returned_.erase(put->worker_id);
  } else {
    drained_.erase(put->worker_id);
    restored_.erase(put->worker_id);
    returned_.insert(put->worker_id);
  }
}

void DrainBook::OnAssigned(const AssignedSpan& span, const std::string& worker_id) {
  Require(!drained_.contains(worker_id), "a drained worker gets nothing", span.job.value,
          WorkerNumberOf(worker_id));
  if (returned_.erase(worker_id) > 0) world_->Saw(Seen::kUndrained);
  if (!drained_.empty()) CheckStays(span);
}

void DrainBook::CheckStays(const AssignedSpan& span) {
  for (TaskIndex i = span.run.first; i < span.run.end(); ++i) {
    const std::optional<uint32_t> worker = running_->RunsAt(span.job, i);
    Require(!worker.has_value() || !drained_.contains(WorkerId(*worker)),
            "what runs at a drained worker ends there", span.job.value, i);
  }
}

void DrainBook::OnWorkers(const std::vector<WorkerView>& workers) {
  for (const WorkerView& worker : workers) {
    const bool drained = drained_.contains(worker.worker_id);
    Require(drained ? worker.state != WorkerView::State::kOnline
                    : worker.state != WorkerView::State::kDrained,
            "a worker is drained until it is told otherwise", worker.number.value, drained);
    if (!drained) continue;
    world_->Saw(Seen::kDrainedToStay);
    if (restored_.contains(worker.worker_id)) world_->Saw(Seen::kDrainedRestored);
  }
}

}  // namespace reeve::sim
