#include "client/commands/queues.h"

#include "absl/time/time.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/job_rules.h"
#include "client/output/table.h"

namespace reeve {
namespace {

// As it is given: `5/s`, `100/1m30s:10`.
std::string RateText(const v1::Rate& rate) {
  if (rate.count() == 0) return "none";
  const absl::Duration per =
      absl::Seconds(rate.per().seconds()) + absl::Nanoseconds(rate.per().nanos());
  std::string unit = absl::FormatDuration(per);
  if (per == absl::Seconds(1)) unit = "s";
  if (per == absl::Minutes(1)) unit = "m";
  if (per == absl::Hours(1)) unit = "h";
  if (per == absl::Hours(24)) unit = "d";
  return StrCat(rate.count(), "/", unit, rate.burst() > 1 ? StrCat(":", rate.burst()) : "");
}

std::string LimitText(uint64_t limit) { return limit == 0 ? "none" : StrCat(limit); }

std::string QueueTable(const v1::ListQueuesResponse& queues) {
  Table table({"QUEUE", "STATE", "JOBS", "TASKS", "IN FLIGHT", "WEIGHT", "MAX IN FLIGHT", "RATE",
               "RETRY RATE", "MAX TASKS"});
  for (const v1::Queue& queue : queues.queues()) {
    table.Add({queue.name(), queue.paused() ? "PAUSED" : "ACTIVE", StrCat(queue.job_count()),
               StrCat(queue.task_count()), StrCat(queue.in_flight()), StrCat(queue.weight()),
               LimitText(queue.max_in_flight()), RateText(queue.rate()),
               RateText(queue.retry_rate()), LimitText(queue.max_tasks())});
  }
  return table.ToString();
}

void PrintQueue(Session& session, const v1::Queue& queue) {
  v1::ListQueuesResponse one;
  *one.add_queues() = queue;
  session.Print(queue, QueueTable(one));
}

// `none`: an empty rate, which is no limit.
absl::Status SetRate(std::string_view option, const std::string& text, v1::Rate* rate) {
  if (text == "none") return absl::OkStatus();
  const auto parsed = ParseRate(option, text);
  if (!parsed.ok()) return UsageError(StrCat(parsed.status().message(), ", or none"));
  *rate = *parsed;
  return absl::OkStatus();
}

absl::StatusOr<int> Update(Session& session, const v1::Queue& queue) {
  if (const absl::Status s = CheckName("the queue", queue.name()); !s.ok()) return s;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto updated = (*client)->UpdateQueue(queue);
  if (!updated.ok()) return updated.status();
  PrintQueue(session, *updated);
  return kExitOk;
}

}  // namespace

absl::StatusOr<int> RunQueueList(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto queues = (*client)->ListQueues();
  if (!queues.ok()) return queues.status();
  session.Print(*queues, QueueTable(*queues));
  return kExitOk;
}

absl::StatusOr<int> RunQueueGet(Session& session, const std::string& name) {
  if (const absl::Status s = CheckName("the queue", name); !s.ok()) return s;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto queue = (*client)->GetQueue(name);
  if (!queue.ok()) return queue.status();
  PrintQueue(session, *queue);
  return kExitOk;
}

absl::StatusOr<int> RunQueueSet(Session& session, const QueueOptions& options) {
  v1::Queue queue;
  queue.set_name(options.name);
  if (options.weight.has_value()) queue.set_weight(*options.weight);
  if (options.max_in_flight.has_value()) queue.set_max_in_flight(*options.max_in_flight);
  if (options.max_tasks.has_value()) queue.set_max_tasks(*options.max_tasks);
  if (!options.rate.empty()) {
    if (const absl::Status s = SetRate("--rate", options.rate, queue.mutable_rate()); !s.ok())
      return s;
  }
  if (!options.retry_rate.empty()) {
    const absl::Status s = SetRate("--retry-rate", options.retry_rate, queue.mutable_retry_rate());
    if (!s.ok()) return s;
  }
  return Update(session, queue);
}

absl::StatusOr<int> RunQueuePause(Session& session, const std::string& name, bool pause) {
  v1::Queue queue;
  queue.set_name(name);
  queue.set_paused(pause);
  return Update(session, queue);
}

absl::StatusOr<int> RunQueueDelete(Session& session, const std::string& name) {
  if (const absl::Status s = CheckName("the queue", name); !s.ok()) return s;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  if (const absl::Status status = (*client)->DeleteQueue(name); !status.ok()) return status;
  session.Print(v1::DeleteQueueResponse(), StrCat("queue ", name, ": deleted\n"));
  return kExitOk;
}

}  // namespace reeve
