#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/strings.h"
#include "client/commands/inspect.h"
#include "client/exit_code.h"
#include "client/input/selector.h"
#include "client/output/table.h"

namespace reeve {
namespace {

constexpr uint32_t kScreenful = 100;
constexpr uint32_t kMaxPage = 1000;

absl::Status AddStates(const std::vector<std::string>& names, v1::ListTasksRequest* request) {
  for (const std::string& name : names) {
    v1::Task::State state;
    if (!v1::Task::State_Parse(absl::AsciiStrToUpper(name), &state) ||
        state == v1::Task::STATE_UNSPECIFIED) {
      return UsageError(StrCat("--state '", name,
                               "': blocked, scheduled, ready, assigned, running, succeeded, "
                               "failed, cancelled or expired"));
    }
    request->add_states(state);
  }
  return absl::OkStatus();
}

absl::Duration RunTime(const v1::Task& task) {
  return absl::Seconds(task.run_time().seconds()) + absl::Nanoseconds(task.run_time().nanos());
}

std::string Failure(const v1::Task& task) {
  if (task.reason() == v1::Task::REASON_UNSPECIFIED) return "";
  std::string text = v1::Task::Reason_Name(task.reason());
  if (task.reason() == v1::Task::EXIT_NONZERO) StrAppend(&text, " ", task.exit_code());
  if (task.reason() == v1::Task::SIGNALLED) StrAppend(&text, " ", task.signal());
  if (!task.message().empty()) StrAppend(&text, ": ", Printable(task.message(), 100));
  return text;
}

std::string TaskTable(const v1::ListTasksResponse& tasks) {
  Table table({"TASK", "STATE", "ATTEMPT", "WORKER", "TIME", "BYTES", "FAILURE"});
  for (const v1::Task& task : tasks.tasks()) {
    table.Add({StrCat(task.job_id(), "/", task.index()), v1::Task::State_Name(task.state()),
               StrCat(task.attempt()), task.worker(),
               task.has_run_time() ? HumanDuration(RunTime(task)) : "", StrCat(task.output_bytes()),
               Failure(task)});
  }
  return table.ToString();
}

std::string DescribeTask(const v1::Task& task) {
  std::string text = StrCat("task      ", task.job_id(), "/", task.index(), "\n");
  StrAppend(&text, "state     ", v1::Task::State_Name(task.state()), "\n");
  if (task.attempt() > 0) StrAppend(&text, "attempt   ", task.attempt(), "\n");
  if (!task.worker().empty()) StrAppend(&text, "worker    ", task.worker(), "\n");
  if (task.has_progress()) {
    StrAppend(&text, "progress  ", ProgressText(task.progress()), "\n");
  }
  if (task.has_start_time()) StrAppend(&text, "started   ", Ago(task.start_time()), "\n");
  if (task.has_run_time()) StrAppend(&text, "ran       ", HumanDuration(RunTime(task)), "\n");
  if (const std::string failure = Failure(task); !failure.empty()) {
    StrAppend(&text, "failure   ", failure, "\n");
  }
  if (task.state() == v1::Task::SUCCEEDED || task.output_bytes() > 0) {
    StrAppend(&text, "result    ", HumanBytes(task.output_bytes()), "\n");
  }
  return text;
}

struct TaskName {
  uint64_t job_id;
  uint32_t index;
  uint32_t attempt;  // 0: not given.
};

absl::StatusOr<TaskName> FindTask(Session& session, const std::string& text) {
  const auto selector = ParseTaskSelector(text);
  if (!selector.ok()) return selector.status();
  const auto job = selector->job.kind == JobSelector::Kind::kLast
                       ? session.SelectJob("last")
                       : absl::StatusOr<uint64_t>(selector->job.ids.front());
  if (!job.ok()) return job.status();
  return TaskName{*job, selector->index, selector->attempt};
}

// The master keeps the last attempt of a task.
absl::Status CheckAttempt(const TaskName& name, const v1::Task& task) {
  if (name.attempt == 0 || name.attempt == task.attempt()) return absl::OkStatus();
  return absl::NotFoundError(StrCat(
      "attempt ", name.attempt, " of task ", name.job_id, "/", name.index,
      name.attempt < task.attempt() ? " is not kept; the last is " : " has not begun; the last is ",
      task.attempt()));
}

}  // namespace

std::string ProgressText(const v1::TaskProgress& progress) {
  return StrCat(absl::StrFormat("%.1f", 100 * progress.done()), " %",
                progress.note().empty() ? "" : ", ", Printable(progress.note(), 200));
}

absl::StatusOr<int> RunTaskList(Session& session, const std::string& job,
                                const ListOptions& options) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto id = session.SelectJob(job);
  if (!id.ok()) return id.status();
  v1::ListTasksRequest request;
  request.set_job_id(*id);
  if (const absl::Status status = AddStates(options.states, &request); !status.ok()) return status;
  const uint64_t wanted =
      options.all ? UINT64_MAX : (options.limit > 0 ? options.limit : kScreenful);
  v1::ListTasksResponse tasks;
  do {
    request.set_page_size(static_cast<uint32_t>(
        std::min<uint64_t>(kMaxPage, wanted - static_cast<uint64_t>(tasks.tasks_size()))));
    const auto page = (*client)->ListTasks(request);
    if (!page.ok()) return page.status();
    tasks.mutable_tasks()->MergeFrom(page->tasks());
    tasks.set_next_page_token(page->next_page_token());
    request.set_page_token(page->next_page_token());
  } while (!tasks.next_page_token().empty() && static_cast<uint64_t>(tasks.tasks_size()) < wanted);
  session.Print(tasks, TaskTable(tasks));
  if (!tasks.next_page_token().empty()) {
    session.console().Note(
        StrCat("the first ", tasks.tasks_size(), " are shown; --all shows the rest"));
  }
  return kExitOk;
}

absl::StatusOr<int> RunTaskGet(Session& session, const std::string& text) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto name = FindTask(session, text);
  if (!name.ok()) return name.status();
  const auto task = (*client)->GetTask(name->job_id, name->index);
  if (!task.ok()) return task.status();
  if (const absl::Status status = CheckAttempt(*name, *task); !status.ok()) return status;
  session.Print(*task, DescribeTask(*task));
  return kExitOk;
}

absl::StatusOr<int> RunTaskWhy(Session& session, const std::string& text) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto name = FindTask(session, text);
  if (!name.ok()) return name.status();
  const auto answer = (*client)->ExplainTask(name->job_id, name->index);
  if (!answer.ok()) return answer.status();
  if (const absl::Status s = CheckAttempt(*name, answer->task()); !s.ok()) return s;
  std::string lines = StrCat("task ", name->job_id, "/", name->index, ": ",
                             v1::Task::State_Name(answer->task().state()), "\n");
  for (const std::string& sentence : answer->explanations()) {
    StrAppend(&lines, "  ", Printable(sentence, 1000), "\n");
  }
  session.Print(*answer, lines);
  return kExitOk;
}

}  // namespace reeve
