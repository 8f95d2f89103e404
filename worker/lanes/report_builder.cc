#include "worker/lanes/report_builder.h"

#include <utility>

namespace reeve {

void ReportBuilder::Add(const ResultEntry& entry) {
  LastWords none;
  Add(entry, &none);
}

void ReportBuilder::Add(const ResultEntry& entry, LastWords* words) {
  if (entry.state != TaskState::kSucceeded) {
    report_.details_bytes += words->details.size();
    report_.failed.push_back(
        {results_.count(), entry.state, entry.reason, std::exchange(*words, {})});
  }
  if (!report_.runs.empty() && report_.runs.back().end() == entry.index) {
    ++report_.runs.back().count;
  } else {
    report_.runs.push_back({entry.index, 1});
  }
  report_.run_time += absl::Microseconds(entry.run_us);
  results_.Add(entry);
}

void ReportBuilder::Add(const ResultEntry& entry, AttemptAdditions* additions, LastWords* words) {
  if (!additions->empty()) {
    if (entry.state == TaskState::kSucceeded) Take(*additions);
    additions->Clear();
  }
  Add(entry, words);
}

void ReportBuilder::Take(const AttemptAdditions& additions) {
  const uint32_t before = new_inputs_.count();
  additions.ForEachInput(
      [this](const InputKey& key, std::string_view input) { new_inputs_.Add(input, key); });
  if (additions.has_inputs())
    report_.added.push_back({results_.count(), new_inputs_.count() - before});
  for (const auto& [counter, by] : additions.counts())
    report_.counted.push_back({results_.count(), counter, by});
}

LaneReport ReportBuilder::Finish(const std::string& worker_name) {
  LaneReport next;
  next.span = report_.span;
  report_.body = results_.Finish(worker_name);
  if (!report_.added.empty()) report_.new_inputs = new_inputs_.Finish();
  return std::exchange(report_, std::move(next));
}

}  // namespace reeve
