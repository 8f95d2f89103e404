#include "master/runtime/predecessor_results.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/result_batch.h"
#include "base/strings.h"
#include "reeve/link/v1/link.pb.h"

namespace reeve {
namespace {

constexpr uint64_t kReadBytes = 1u << 20;
constexpr uint64_t kCostOfResult = 8;

}  // namespace

struct PredecessorResults::Impl {
  JobId job;
  std::vector<JobDependency> missing;
  link::v1::JobBrief brief;
  uint64_t bytes = 0;
  Reason failed = Reason::kNone;

  absl::Status Read(StoreReader& reader, const JobDependency& of);
  absl::Status TakeRow(const StoredResults& row, std::map<TaskIndex, std::string>* results);
};

absl::Status PredecessorResults::Impl::TakeRow(const StoredResults& row,
                                               std::map<TaskIndex, std::string>* results) {
  std::vector<PositionedRun> succeeded;
  for (const ResultRun& run : row.runs) {
    if (run.state != TaskState::kSucceeded) continue;
    // Before they are looked at one by one: there may be a hundred million without a byte.
    bytes += run.run.count * kCostOfResult;
    succeeded.push_back(run.run);
  }
  if (bytes > kMaxBytes) failed = Reason::kBadInput;
  if (failed != Reason::kNone || succeeded.empty()) return absl::OkStatus();
  const auto batch = ResultBatch::Parse(row.body);
  if (!batch.ok()) return absl::DataLossError(batch.status().message());
  (*batch)->ForEach(succeeded, [&](const ResultEntry& entry) {
    const std::string_view result = entry.result_file.empty() ? entry.output : entry.result_file;
    bytes += result.size();
    if (bytes <= kMaxBytes) (*results)[entry.index] = std::string(result);
  });
  if (bytes > kMaxBytes) failed = Reason::kBadInput;
  return absl::OkStatus();
}

absl::Status PredecessorResults::Impl::Read(StoreReader& reader, const JobDependency& of) {
  std::map<TaskIndex, std::string> results;
  for (uint64_t after = 0; failed == Reason::kNone;) {
    const auto rows = reader.ReadResults(of.job, after, kReadBytes);
    if (!rows.ok()) return rows.status();
    if (rows->empty()) break;
    for (const StoredResults& row : *rows) {
      after = row.seq;
      if (absl::Status s = TakeRow(row, &results); !s.ok()) return s;
    }
  }
  link::v1::Predecessor* predecessor = brief.add_predecessors();
  predecessor->set_name(of.name.empty() ? StrCat(of.job.value) : of.name);
  for (const auto& [index, result] : results) {
    predecessor->add_index(index);
    predecessor->add_output_bytes(static_cast<uint32_t>(result.size()));
    predecessor->mutable_outputs()->append(result);
  }
  return absl::OkStatus();
}

PredecessorResults::PredecessorResults(LoadResults wanted) : impl_(std::make_unique<Impl>()) {
  impl_->job = wanted.job;
  impl_->missing = std::move(wanted.of);
}

PredecessorResults::~PredecessorResults() = default;

bool PredecessorResults::ReadFrom(StoreReader& reader, absl::Status* fault) {
  for (const JobDependency& of : std::exchange(impl_->missing, {})) {
    absl::Status status = reader.ReadJob(of.job).status();
    if (absl::IsNotFound(status)) {
      impl_->missing.push_back(of);
      continue;
    }
    if (status.ok()) status = impl_->Read(reader, of);
    if (absl::IsInternal(status)) *fault = status;
    if (!status.ok()) {
      REEVE_LOG_ERROR("results could not be read job={} for={} why={}", of.job.value,
                      impl_->job.value, status.ToString());
      impl_->failed = Reason::kDataLoss;
    }
    if (impl_->failed != Reason::kNone) return true;
  }
  return impl_->missing.empty();
}

ResultsLoaded PredecessorResults::Finish() {
  if (!impl_->missing.empty() && impl_->failed == Reason::kNone) impl_->failed = Reason::kDataLoss;
  if (impl_->failed != Reason::kNone) return {impl_->job, {}, impl_->failed};
  return {impl_->job, Buffer(impl_->brief.SerializeAsString()), Reason::kNone};
}

}  // namespace reeve
