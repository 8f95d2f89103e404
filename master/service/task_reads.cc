#include "master/service/task_reads.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "master/service/convert.h"

namespace reeve {
namespace {

constexpr size_t kRunsPerRead = 16'384;
constexpr size_t kBodiesKept = 8;

absl::Status NoTask(JobId job, TaskIndex index) {
  return MakeError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND",
                   StrCat("there is no task ", TaskName(job, index)));
}

// Where results lie, and how the tasks ended.
struct Ended {
  uint32_t count = 0;
  TaskState state = TaskState::kUnspecified;
  uint64_t seq = 0;  // 0: no result (cancelled).
  uint32_t position = 0;
};
using EndedMap = std::map<TaskIndex, Ended>;

absl::StatusOr<EndedMap> ReadEnded(StoreReader& reader, JobId job,
                                   const std::vector<Run>& cancelled) {
  EndedMap ended;
  for (const Run& run : cancelled) ended[run.first] = {run.count, TaskState::kCancelled, 0, 0};
  for (uint64_t after = 0;;) {
    auto rows = reader.ReadResultRuns(job, after, kRunsPerRead);
    if (!rows.ok()) return rows.status();
    if (rows->empty()) return ended;
    for (const StoredResults& row : *rows) {
      after = row.seq;
      for (const ResultRun& run : row.runs)
        ended[run.run.first] = {run.run.count, run.state, row.seq, run.run.position};
    }
  }
}

// Bodies read for one page.
class Bodies {
 public:
  Bodies(StoreReader& reader, JobId job) : reader_(reader), job_(job) {}

  absl::Status Fill(TaskIndex index, const EndedMap::value_type& run, v1::Task* task) {
    task->set_job_id(job_.value);
    task->set_index(index);
    task->set_state(static_cast<v1::Task::State>(run.second.state));
    if (run.second.seq == 0) return absl::OkStatus();
    auto batch = Get(run.second.seq);
    if (!batch.ok()) return batch.status();
    ToProto(job_, (*batch)->Entry(run.second.position + (index - run.first), index),
            (*batch)->worker(), task);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::shared_ptr<const ResultBatch>> Get(uint64_t seq) {
    if (const auto it = kept_.find(seq); it != kept_.end()) return it->second;
    auto row = reader_.ReadResult(job_, seq);
    if (!row.ok()) return row.status();
    auto batch = ResultBatch::Parse(row->body);
    if (!batch.ok()) return batch.status();
    if (kept_.size() >= kBodiesKept) kept_.erase(kept_.begin());
    kept_[seq] = *batch;
    return batch;
  }

  StoreReader& reader_;
  const JobId job_;
  std::map<uint64_t, std::shared_ptr<const ResultBatch>> kept_;
};

const EndedMap::value_type* Find(const EndedMap& ended, TaskIndex index) {
  auto it = ended.upper_bound(index);
  if (it == ended.begin()) return nullptr;
  --it;
  return index < it->first + it->second.count ? &*it : nullptr;
}

void ToProto(JobId job, TaskIndex index, const TaskView& view, v1::Task* task) {
  task->set_job_id(job.value);
  task->set_index(index);
  task->set_state(static_cast<v1::Task::State>(view.state));
  task->set_attempt(view.attempt);
  if (view.worker.has_value()) task->set_worker(WorkerName(*view.worker));
  if (view.permille.has_value()) {
    task->mutable_progress()->set_done(*view.permille / 1'000.0);
    task->mutable_progress()->set_note(AsUtf8(view.note));
  }
}

std::string HowItEnded(const v1::Task& task) {
  std::string text = StrCat("It ended ", ToString(static_cast<TaskState>(task.state())));
  if (!task.worker().empty())
    StrAppend(&text, " on ", task.worker(), " in attempt ", task.attempt());
  if (task.reason() != 0) StrAppend(&text, ": ", ToString(static_cast<Reason>(task.reason())));
  if (task.exit_code() != 0) StrAppend(&text, ", exit code ", task.exit_code());
  if (task.signal() != 0) StrAppend(&text, ", signal ", task.signal());
  text += task.message().empty() ? std::string(".") : StrCat(". ", task.message());
  return text;
}

absl::Status ReadFault(const absl::Status& status) {
  return MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS", ToStd(status.message()));
}

// Of a job that may be seen.
void ReadTaskOf(const ServiceParts& parts, JobId job, TaskIndex index,
                std::function<void(absl::StatusOr<v1::ExplainTaskResponse>)> done) {
  auto view = std::make_shared<std::optional<TaskView>>();
  const absl::Status asked = parts.loop->Query(
      [job, index, view](Scheduler& scheduler, const Now& now) {
        *view = scheduler.FindTask(now, job, index);
      },
      [parts, job, index, view, done] {
        if (view->has_value() && (*view)->state != TaskState::kUnspecified) {
          v1::ExplainTaskResponse response;
          ToProto(job, index, **view, response.mutable_task());
          for (const std::string& text : (*view)->explanations) response.add_explanations(text);
          return done(std::move(response));
        }
        FindJob(parts, job, nullptr, [parts, job, index, done](absl::StatusOr<FoundJob> found) {
          if (!found.ok()) return done(found.status());
          if (index >= found->job.view.counts.total) return done(NoTask(job, index));
          const bool posted =
              parts.reader->Post(found->store, [job, index, done, found](StoreReader& reader) {
                auto ended = ReadEnded(reader, job, found->job.cancelled);
                if (!ended.ok()) return done(ReadFault(ended.status()));
                const auto* run = Find(*ended, index);
                if (run == nullptr) return done(NoTask(job, index));
                v1::ExplainTaskResponse response;
                if (absl::Status s = Bodies(reader, job).Fill(index, *run, response.mutable_task());
                    !s.ok()) {
                  return done(ReadFault(s));
                }
                response.add_explanations(HowItEnded(response.task()));
                done(std::move(response));
              });
          if (!posted)
            done(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                           "too many reads wait", absl::Milliseconds(200)));
        });
      });
  if (!asked.ok()) done(asked);
}

}  // namespace

void ReadTask(const ServiceParts& parts, JobId job, TaskIndex index,
              std::function<void(absl::StatusOr<v1::ExplainTaskResponse>)> done) {
  CheckJob(parts, job, Wish::kSee, [=](absl::Status may) {
    if (!may.ok()) return done(may);
    ReadTaskOf(parts, job, index, done);
  });
}

void ReadTasks(const ServiceParts& parts, JobId job, TaskIndex from, std::vector<TaskState> states,
               size_t limit, std::function<void(absl::StatusOr<TaskPage>)> done) {
  auto live = std::make_shared<std::map<TaskIndex, std::pair<uint32_t, TaskState>>>();
  const absl::Status asked = parts.loop->Query(
      [job, live](Scheduler& scheduler, const Now&) {
        for (const auto& [run, state] : scheduler.LiveRuns(job))
          (*live)[run.first] = {run.count, state};
      },
      [=] {
        FindJob(parts, job, nullptr, [=](absl::StatusOr<FoundJob> found) {
          if (!found.ok()) return done(found.status());
          const bool posted = parts.reader->Post(found->store, [=](StoreReader& reader) {
            auto ended = ReadEnded(reader, job, found->job.cancelled);
            if (!ended.ok()) return done(ReadFault(ended.status()));
            const auto wanted = [&states](TaskState state) {
              return states.empty() ||
                     std::find(states.begin(), states.end(), state) != states.end();
            };
            TaskPage page;
            Bodies bodies(reader, job);
            const uint64_t total = found->job.view.counts.total;
            for (uint64_t i = from; i < total;) {
              const auto index = static_cast<TaskIndex>(i);
              const auto* run = Find(*ended, index);
              auto next_live = live->upper_bound(index);
              const bool is_live =
                  run == nullptr && next_live != live->begin() &&
                  index < std::prev(next_live)->first + std::prev(next_live)->second.first;
              const TaskState state = run != nullptr ? run->second.state
                                      : is_live      ? std::prev(next_live)->second.second
                                                : TaskState::kAssigned;  // Between the two looks.
              if (!wanted(state)) {
                // Whole runs are passed over.
                i = run != nullptr ? uint64_t{run->first} + run->second.count
                    : is_live
                        ? uint64_t{std::prev(next_live)->first} + std::prev(next_live)->second.first
                        : i + 1;
                continue;
              }
              if (page.tasks.size() == limit) {
                page.next = index;
                break;
              }
              v1::Task& task = page.tasks.emplace_back();
              if (run != nullptr) {
                if (absl::Status s = bodies.Fill(index, *run, &task); !s.ok())
                  return done(ReadFault(s));
              } else {
                TaskView view;
                view.state = state;
                ToProto(job, index, view, &task);
              }
              ++i;
            }
            done(std::move(page));
          });
          if (!posted)
            done(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                           "too many reads wait", absl::Milliseconds(200)));
        });
      });
  if (!asked.ok()) done(asked);
}

}  // namespace reeve
