#include "master/service/task_reads.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "master/service/convert.h"
#include "master/store/job_record.h"

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

absl::StatusOr<EndedMap> ReadEnded(StoreReader& reader, const StoredJob& of) {
  const JobId job = of.view.job;
  EndedMap ended;
  const TaskState unrun =
      of.view.state == JobState::kExpired ? TaskState::kExpired : TaskState::kCancelled;
  for (const Run& run : of.cancelled) ended[run.first] = {run.count, unrun, 0, 0};
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

// Of a task without a result.
std::string WhyEnded(Cause cause) {
  switch (cause) {
    case Cause::kNone: break;
    case Cause::kCancelledByUser: return "Its job was cancelled.";
    case Cause::kDeadline: return "The time of its job was over.";
    case Cause::kDependency: return "A job that its job depends on did not end as it had to.";
    case Cause::kSkipped:
      return "A job that its job depends on did not end as it had to, and its job was skipped.";
    case Cause::kStopRule: return "The stop rule of its job ended it.";
    case Cause::kReplaced: return "Another job took the place of its job.";
    case Cause::kAbandoned: return "Nobody read the results of its job, which is EPHEMERAL.";
  }
  return "";
}

absl::Status ReadFault(const absl::Status& status) {
  return MakeError(absl::StatusCode::kDataLoss, "DATA_LOSS", ToStd(status.message()));
}

// Tasks that have not ended, as the scheduler knows them.
using LiveMap = std::map<TaskIndex, std::pair<uint32_t, TaskState>>;

const LiveMap::value_type* Find(const LiveMap& live, TaskIndex index) {
  auto it = live.upper_bound(index);
  if (it == live.begin()) return nullptr;
  --it;
  return index < it->first + it->second.first ? &*it : nullptr;
}

// The tasks of [first, end) from `next` on. Returns: how it went; `page->next` is set once full.
absl::Status AddToPage(JobId job, uint64_t next, uint64_t end, const EndedMap& ended,
                       const LiveMap& live, const std::vector<TaskState>& states, size_t limit,
                       Bodies* bodies, TaskPage* page) {
  while (next < end) {
    const auto index = static_cast<TaskIndex>(next);
    const auto* run = Find(ended, index);
    const auto* alive = run == nullptr ? Find(live, index) : nullptr;
    const TaskState state = run != nullptr     ? run->second.state
                            : alive != nullptr ? alive->second.second
                                               : TaskState::kAssigned;  // Between the two looks.
    if (!states.empty() && std::find(states.begin(), states.end(), state) == states.end()) {
      // Whole runs are passed over.
      next = run != nullptr     ? uint64_t{run->first} + run->second.count
             : alive != nullptr ? uint64_t{alive->first} + alive->second.first
                                : next + 1;
      continue;
    }
    if (page->tasks.size() == limit) {
      page->next = index;
      return absl::OkStatus();
    }
    v1::Task& task = page->tasks.emplace_back();
    if (run != nullptr) {
      if (absl::Status s = bodies->Fill(index, *run, &task); !s.ok()) return ReadFault(s);
    } else {
      TaskView view;
      view.state = state;
      ToProto(job, index, view, &task);
    }
    ++next;
  }
  return absl::OkStatus();
}

absl::StatusOr<TaskPage> PageOf(StoreReader& reader, const StoredJob& job, const LiveMap& live,
                                TaskIndex from, const std::vector<TaskState>& states,
                                size_t limit) {
  const auto ended = ReadEnded(reader, job);
  if (!ended.ok()) return ReadFault(ended.status());
  std::vector<Run> tasks = job.selected;
  if (tasks.empty()) tasks.push_back({0, static_cast<uint32_t>(job.view.counts.total)});
  TaskPage page;
  Bodies bodies(reader, job.view.job);
  for (const Run& run : tasks) {
    if (absl::Status s = AddToPage(job.view.job, std::max(from, run.first), run.end(), *ended, live,
                                   states, limit, &bodies, &page);
        !s.ok()) {
      return s;
    }
    if (page.next > 0) break;
  }
  return page;
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
          for (const Wait wait : (*view)->waits)
            response.add_waits(static_cast<v1::ExplainTaskResponse::Wait>(wait));
          return done(std::move(response));
        }
        FindJob(parts, job, nullptr, [parts, job, index, done](absl::StatusOr<FoundJob> found) {
          if (!found.ok()) return done(found.status());
          const bool retry = IsRetry(found->job.view.record);  // Its indexes have gaps.
          if (!retry && index >= found->job.view.counts.total) return done(NoTask(job, index));
          const bool posted =
              parts.reader->Post(found->store, [job, index, done, found](StoreReader& reader) {
                auto ended = ReadEnded(reader, found->job);
                if (!ended.ok()) return done(ReadFault(ended.status()));
                const auto* run = Find(*ended, index);
                if (run == nullptr) return done(NoTask(job, index));
                v1::ExplainTaskResponse response;
                if (absl::Status s = Bodies(reader, job).Fill(index, *run, response.mutable_task());
                    !s.ok()) {
                  return done(ReadFault(s));
                }
                response.add_explanations(HowItEnded(response.task()));
                if (run->second.seq == 0 && found->job.view.cause != Cause::kNone)
                  response.add_explanations(WhyEnded(found->job.view.cause));
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
  auto live = std::make_shared<LiveMap>();
  const auto read = [=](absl::StatusOr<FoundJob> found) {
    if (!found.ok()) return done(found.status());
    const StoreKind store = found->store;
    const bool posted = parts.reader->Post(
        store, [=, job = std::move(found->job), live = live](StoreReader& reader) {
          done(PageOf(reader, job, *live, from, states, limit));
        });
    if (!posted) {
      done(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "too many reads wait",
                     absl::Milliseconds(200)));
    }
  };
  const absl::Status asked = parts.loop->Query(
      [job, live](Scheduler& scheduler, const Now&) {
        for (const auto& [run, state] : scheduler.LiveRuns(job))
          (*live)[run.first] = {run.count, state};
      },
      [=] {
        FindJob(parts, job, nullptr, [=](absl::StatusOr<FoundJob> found) {
          if (!found.ok()) return done(found.status());
          AddSelected(parts, *std::move(found), read);
        });
      });
  if (!asked.ok()) done(asked);
}

}  // namespace reeve
