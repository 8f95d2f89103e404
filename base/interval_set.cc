#include "base/interval_set.h"

#include <algorithm>
#include <iterator>

namespace reeve {

// The first interval whose end lies beyond `index`: the one that contains it, else the next.
IntervalSet::Map::const_iterator IntervalSet::FindContainingOrAfter(TaskIndex index) const {
  auto it = ends_.upper_bound(index);
  if (it != ends_.begin() && std::prev(it)->second > index) return std::prev(it);
  return it;
}

uint32_t IntervalSet::Add(Run run) {
  if (run.count == 0) return 0;
  TaskIndex first = run.first, end = run.end();
  uint32_t known = 0;
  auto it = ends_.lower_bound(first);
  if (it != ends_.begin() && std::prev(it)->second >= first) --it;
  while (it != ends_.end() && it->first <= end) {
    known += std::min(it->second, run.end()) > std::max(it->first, run.first)
                 ? std::min(it->second, run.end()) - std::max(it->first, run.first)
                 : 0;
    first = std::min(first, it->first);
    end = std::max(end, it->second);
    it = ends_.erase(it);
  }
  ends_.emplace(first, end);
  size_ += run.count - known;
  return run.count - known;
}

uint32_t IntervalSet::Remove(Run run) {
  if (run.count == 0) return 0;
  uint32_t removed = 0;
  auto it = ends_.lower_bound(run.first);
  if (it != ends_.begin() && std::prev(it)->second > run.first) --it;
  while (it != ends_.end() && it->first < run.end()) {
    const TaskIndex first = it->first, end = it->second;
    const TaskIndex cut_first = std::max(first, run.first), cut_end = std::min(end, run.end());
    removed += cut_end - cut_first;
    it = ends_.erase(it);
    if (first < cut_first) it = std::next(ends_.emplace(first, cut_first).first);
    if (cut_end < end) it = std::next(ends_.emplace(cut_end, end).first);
  }
  size_ -= removed;
  return removed;
}

std::vector<Run> IntervalSet::TakeOut(Run run) {
  std::vector<Run> taken = Intersection(run);
  Remove(run);
  return taken;
}

bool IntervalSet::Contains(TaskIndex index) const {
  auto it = FindContainingOrAfter(index);
  return it != ends_.end() && it->first <= index;
}

bool IntervalSet::ContainsAll(Run run) const {
  if (run.count == 0) return true;
  auto it = FindContainingOrAfter(run.first);
  return it != ends_.end() && it->first <= run.first && it->second >= run.end();
}

bool IntervalSet::Intersects(Run run) const {
  if (run.count == 0) return false;
  auto it = FindContainingOrAfter(run.first);
  return it != ends_.end() && it->first < run.end();
}

std::optional<Run> IntervalSet::FirstRun(TaskIndex from, uint32_t limit) const {
  auto it = FindContainingOrAfter(from);
  if (it == ends_.end() || limit == 0) return std::nullopt;
  const TaskIndex first = std::max(from, it->first);
  return Run{first, std::min(limit, it->second - first)};
}

std::vector<Run> IntervalSet::Intersection(Run run) const {
  std::vector<Run> out;
  if (run.count == 0) return out;
  for (auto it = FindContainingOrAfter(run.first); it != ends_.end() && it->first < run.end();
       ++it) {
    const TaskIndex first = std::max(it->first, run.first);
    out.push_back({first, std::min(it->second, run.end()) - first});
  }
  return out;
}

std::vector<Run> IntervalSet::Missing(Run run) const {
  std::vector<Run> out;
  TaskIndex at = run.first;
  for (const Run& in : Intersection(run)) {
    if (in.first > at) out.push_back({at, in.first - at});
    at = in.end();
  }
  if (at < run.end()) out.push_back({at, run.end() - at});
  return out;
}

std::vector<Run> IntervalSet::Runs() const {
  std::vector<Run> out;
  out.reserve(ends_.size());
  for (const auto& [first, end] : ends_) out.push_back({first, end - first});
  return out;
}

}  // namespace reeve
