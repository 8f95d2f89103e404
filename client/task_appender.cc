#include "client/task_appender.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/uuid.h"

namespace reeve {

TaskAppender::TaskAppender(JobClient* client, uint64_t job_id, Limits limits, std::string name)
    : client_(client),
      job_id_(job_id),
      appender_id_(name.empty() ? MakeUuid() : std::move(name)),
      limits_(limits),
      window_(client->NewRetryWindow()) {}

TaskAppender::~TaskAppender() {
  if (stream_ == nullptr) return;
  context_->TryCancel();
  CloseStream().IgnoreError();
}

absl::StatusOr<uint64_t> TaskAppender::Resume() {
  const absl::StatusOr<uint64_t> committed = Reopen();
  error_ = committed.status();
  if (committed.ok()) next_offset_ = *committed;
  return committed;
}

absl::Status TaskAppender::Append(v1::AppendTasksRequest batch) {
  if (!error_.ok()) return error_;
  batch.set_offset(next_offset_);
  next_offset_ += batch.task_count();
  const size_t bytes = batch.inputs().size();
  const auto message = std::make_shared<const v1::AppendTasksRequest>(std::move(batch));
  // A single batch over the limit passes once nothing else waits.
  const size_t room = bytes < limits_.bytes ? limits_.bytes - bytes : 0;
  error_ = WaitUntil(limits_.messages - 1, room);
  if (!error_.ok()) return error_;
  {
    MutexLock lock(&mu_);
    unacknowledged_.push_back(message);
    unacknowledged_bytes_ += bytes;
  }
  if (stream_ == nullptr || !stream_->Write(*message)) error_ = Reopen().status();
  return error_;
}

absl::Status TaskAppender::Finish() {
  if (!error_.ok()) return error_;
  error_ = WaitUntil(0, 0);
  if (error_.ok() && stream_ != nullptr) {
    stream_->WritesDone();
    // All is committed: how the stream ends no longer matters.
    CloseStream().IgnoreError();
  }
  return error_;
}

absl::Status TaskAppender::WaitUntil(size_t messages, size_t bytes) {
  for (;;) {
    {
      MutexLock lock(&mu_);
      const auto too_much = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return unacknowledged_.size() > messages || unacknowledged_bytes_ > bytes;
      };
      while (!is_broken_ && too_much()) changed_.Wait(&mu_);
      // A stream that broke with nothing to be sent again is opened by the next batch, if any.
      if (!too_much()) return absl::OkStatus();
    }
    if (const absl::Status status = Reopen().status(); !status.ok()) return status;
  }
}

absl::StatusOr<uint64_t> TaskAppender::Reopen() {
  for (;;) {
    absl::Status status = stream_ == nullptr ? absl::OkStatus() : CloseStream();
    if (status.ok() || JobClient::IsTransient(status)) {
      const absl::StatusOr<uint64_t> committed = OpenOnce();
      if (committed.ok()) return committed;
      status = committed.status();
    }
    if (!JobClient::IsTransient(status)) return status;
    window_.Widen(client_->NewRetryWindow().window());
    const std::optional<absl::Duration> delay = window_.OnFailure();
    if (!delay.has_value()) return status;
    absl::SleepFor(*delay);
  }
}

absl::StatusOr<uint64_t> TaskAppender::OpenOnce() {
  context_ = std::make_unique<grpc::ClientContext>();
  client_->Prepare(context_.get());
  stream_ = client_->jobs().AppendTasks(context_.get());
  v1::AppendTasksRequest opening;
  opening.set_job_id(job_id_);
  opening.set_appender_id(appender_id_);
  v1::AppendTasksResponse answer;
  if (!stream_->Write(opening) || !stream_->Read(&answer)) {
    const absl::Status status = CloseStream();
    return status.ok() ? absl::UnavailableError("the stream of tasks was cut") : status;
  }
  std::deque<std::shared_ptr<const v1::AppendTasksRequest>> again;
  {
    MutexLock lock(&mu_);
    is_broken_ = false;
    Commit(answer.committed_offset());
    again = unacknowledged_;
  }
  window_.Succeeded();
  reader_ = std::thread([this] { ReadAnswers(); });
  for (const auto& message : again) {
    if (stream_->Write(*message)) continue;
    const absl::Status status = CloseStream();
    return status.ok() ? absl::UnavailableError("the stream of tasks was cut") : status;
  }
  return answer.committed_offset();
}

absl::Status TaskAppender::CloseStream() {
  if (reader_.joinable()) reader_.join();
  const absl::Status status = client_->Note(stream_->Finish());
  stream_.reset();
  context_.reset();
  return status;
}

void TaskAppender::ReadAnswers() {
  v1::AppendTasksResponse answer;
  while (stream_->Read(&answer)) {
    MutexLock lock(&mu_);
    Commit(answer.committed_offset());
    changed_.NotifyAll();
  }
  MutexLock lock(&mu_);
  is_broken_ = true;
  changed_.NotifyAll();
}

void TaskAppender::Commit(uint64_t offset) {
  while (!unacknowledged_.empty()) {
    const v1::AppendTasksRequest& oldest = *unacknowledged_.front();
    if (oldest.offset() + oldest.task_count() > offset) return;
    unacknowledged_bytes_ -= oldest.inputs().size();
    unacknowledged_.pop_front();
  }
}

}  // namespace reeve
