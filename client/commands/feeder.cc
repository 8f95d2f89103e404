#include "client/commands/feeder.h"

#include "base/ids.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

// Large enough to make a message cheap, small enough to keep both ends busy.
constexpr uint32_t kBatchTasks = 8192;
constexpr size_t kBatchBytes = 512 << 10;

constexpr absl::Duration kCancelCheck = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<bool> Batcher::Next(v1::AppendTasksRequest* batch) {
  return source_->Fill([&](std::string_view input) {
    const uint64_t position = position_++;
    if (position < left_out_) return true;
    if (skip_ != nullptr) {
      if (skip_->Contains(position)) return true;
      MutexLock lock(&mu_);
      positions_.Append(position);
    }
    batch->add_input_bytes(static_cast<uint32_t>(input.size()));
    batch->mutable_inputs()->append(input);
    batch->set_task_count(batch->task_count() + 1);
    return batch->task_count() < kBatchTasks && batch->inputs().size() < kBatchBytes;
  });
}

uint64_t Batcher::PositionOf(uint32_t index) const {
  if (skip_ == nullptr) return index;
  MutexLock lock(&mu_);
  return positions_.At(index);
}

Feeder::Feeder(JobClient* client, Canceller* canceller, Batcher* batcher, uint64_t job_id,
               Bound bound, std::function<void(uint64_t)> on_sent, AtEnd at_end,
               std::string appender)
    : client_(client),
      canceller_(canceller),
      batcher_(batcher),
      job_id_(job_id),
      bound_(bound),
      on_sent_(std::move(on_sent)),
      at_end_(at_end),
      appender_(client, job_id, TaskAppender::Limits(), std::move(appender)) {}

Feeder::~Feeder() {
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<uint64_t> Feeder::Resume() {
  const absl::StatusOr<uint64_t> committed = appender_.Resume();
  if (!committed.ok()) return committed;
  committed_before_ = *committed;
  batcher_->LeaveOut(committed_before_);
  return committed;
}

// The inputs of before were others if there are fewer now.
absl::Status Feeder::CheckPosition() const {
  if (batcher_->position() >= committed_before_) return absl::OkStatus();
  return UsageError(StrCat("job ", job_id_, " has ", committed_before_,
                           " inputs of this appender, and here are only ", batcher_->position(),
                           "; these are not the same inputs"));
}

void Feeder::Start(v1::AppendTasksRequest first) {
  thread_ =
      std::thread([this, first = std::move(first)]() mutable { status_ = Feed(std::move(first)); });
}

absl::Status Feeder::Join() {
  if (thread_.joinable()) thread_.join();
  return status_;
}

absl::Status Feeder::Feed(v1::AppendTasksRequest batch) {
  absl::Status input;
  for (bool has_more = true; has_more;) {
    if (const absl::Status status = Send(std::move(batch)); !status.ok()) return status;
    batch = v1::AppendTasksRequest();
    if (!WaitForRoom()) {
      input = absl::CancelledError("detached");
      break;
    }
    const absl::StatusOr<bool> more = batcher_->Next(&batch);
    input = more.status();
    has_more = more.ok() && *more;
    if (more.ok() && !has_more) input = CheckPosition();
  }
  absl::Status status = Send(std::move(batch));
  if (status.ok()) status = appender_.Finish();
  if (status.ok() && at_end_ == AtEnd::kClose) status = client_->CloseJob(job_id_).status();
  return status.ok() ? input : status;
}

absl::Status Feeder::Send(v1::AppendTasksRequest batch) {
  if (batch.task_count() == 0) return absl::OkStatus();
  const uint64_t bytes = batch.inputs().size();
  {
    MutexLock lock(&mu_);
    unfinished_bytes_ += bytes;
    batches_.emplace_back(sent_ + batch.task_count(), bytes);
  }
  sent_ += batch.task_count();
  on_sent_(sent_);
  return appender_.Append(std::move(batch));
}

bool Feeder::WaitForRoom() {
  MutexLock lock(&mu_);
  while (sent_ - finished_ >= bound_.tasks || unfinished_bytes_ >= bound_.bytes) {
    if (canceller_->is_cancelled()) return false;
    changed_.WaitFor(&mu_, kCancelCheck);
  }
  return !canceller_->is_cancelled();
}

void Feeder::Finished(uint64_t count) {
  MutexLock lock(&mu_);
  finished_ += count;
  while (!batches_.empty() && batches_.front().first <= finished_) {
    unfinished_bytes_ -= batches_.front().second;
    batches_.pop_front();
  }
  changed_.NotifyAll();
}

}  // namespace reeve
