#include <map>
#include <string>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "client/commands/inspect.h"
#include "client/exit_code.h"
#include "client/output/table.h"

namespace reeve {
namespace {

std::string Slots(const v1::Worker& worker, v1::Lane lane) {
  for (const v1::LaneStatus& status : worker.lanes()) {
    if (status.lane() != lane) continue;
    return status.stuck() > 0 ? StrCat(status.slots(), " (", status.stuck(), " stuck)")
                              : StrCat(status.slots());
  }
  return "0";
}

std::string Amount(const std::string& name, double amount) {
  return name == "memory" ? HumanBytes(static_cast<uint64_t>(amount)) : StrCat(amount);
}

// `cpus 1/4,gpu 0/2`: of what it has, what tasks occupy.
std::string Resources(const v1::Worker& worker) {
  const std::map<std::string, double> all(worker.resources().begin(), worker.resources().end());
  std::string text;
  for (const auto& [name, amount] : all) {
    const auto used = worker.used_resources().find(name);
    const double in_use = used == worker.used_resources().end() ? 0.0 : used->second;
    StrAppend(&text, text.empty() ? "" : ",", name, " ", Amount(name, in_use), "/",
              Amount(name, amount));
  }
  return Printable(text, 60);
}

// A line a pool.
std::string Pools(const v1::Worker& worker) {
  std::string lines;
  for (const v1::PoolStatus& pool : worker.pools()) {
    StrAppend(&lines, worker.worker(), ": ", Printable(pool.name(), 60), ": ", pool.open(), " of ",
              pool.limit(), " connections open, ", pool.busy(), " busy, ", pool.waiting(),
              " tasks waiting; ", pool.connect_count(), " made, ", pool.failed_connect_count(),
              " not made, ", pool.lost_count(), " lost");
    if (!pool.last_error().empty())
      StrAppend(&lines, "; last: ", Printable(pool.last_error(), 200));
    lines += '\n';
  }
  return lines;
}

std::string HostOf(const v1::Worker& worker) {
  return worker.name().empty() ? worker.hostname()
                               : StrCat(worker.hostname(), " (", worker.name(), ")");
}

std::string Handlers(const v1::Worker& worker) {
  std::string names;
  for (const v1::HandlerOffer& offer : worker.handlers()) {
    StrAppend(&names, names.empty() ? "" : ",", offer.name());
  }
  return Printable(names, 60);
}

}  // namespace

absl::StatusOr<v1::ListWorkersResponse> ListAllWorkers(JobClient* client) {
  v1::ListWorkersResponse workers;
  v1::ListWorkersRequest request;
  request.set_page_size(1000);
  do {
    const auto page = client->ListWorkers(request);
    if (!page.ok()) return page.status();
    workers.mutable_workers()->MergeFrom(page->workers());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return workers;
}

absl::StatusOr<int> RunWorkerList(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto workers = ListAllWorkers(*client);
  if (!workers.ok()) return workers.status();
  Table table({"WORKER", "STATE", "HOST", "PID", "THREADS", "ASYNC", "PROCESSES", "HELD",
               "FINISHED", "SEEN", "RESOURCES", "HANDLERS"});
  std::string messages;
  for (const v1::Worker& worker : workers->workers()) {
    table.Add({worker.worker().empty() ? "-" : worker.worker(),
               v1::Worker::State_Name(worker.state()), Printable(HostOf(worker), 60),
               StrCat(worker.pid()), Slots(worker, v1::THREAD), Slots(worker, v1::ASYNC),
               Slots(worker, v1::PROCESS), StrCat(worker.held_count()),
               StrCat(worker.finished_count()), Ago(worker.last_seen_time()), Resources(worker),
               Handlers(worker)});
    messages += Pools(worker);
    if (!worker.message().empty()) {
      const std::string who = worker.worker().empty() ? "refused" : worker.worker();
      StrAppend(&messages, who, ": ", Printable(worker.message(), 400), "\n");
    }
  }
  session.Print(*workers, table.ToString() + messages);
  return kExitOk;
}

absl::StatusOr<int> RunClusterInfo(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto cluster = (*client)->GetCluster();
  if (!cluster.ok()) return cluster.status();
  session.Print(
      *cluster,
      StrCat("cluster     ", cluster->cluster_id(), "\n", "version     ", cluster->version(), "\n",
             "epoch       ", cluster->epoch(), "\n", "started     ", Ago(cluster->start_time()),
             "\n", "dispatch    ", cluster->dispatch_endpoint(), "\n", "collector   ",
             cluster->collector_endpoint(), "\n", "workers     ", cluster->worker_count(), "\n",
             "jobs        ", cluster->active_job_count(), " active\n", "tasks       ",
             cluster->unfinished_task_count(), " unfinished, ", HumanBytes(cluster->queued_bytes()),
             " queued\n", "master      pid ", cluster->pid(), ", ",
             HumanBytes(cluster->resident_bytes()), " resident\n", "seen        ",
             cluster->superseded_result_count(), " late results, ", cluster->expired_lease_count(),
             " expired leases, ", cluster->resent_assignment_count(), " assignments sent again, ",
             cluster->crash_count(), " crashes, ", cluster->suspicion_count(), " suspicions\n",
             "state       ", cluster->state_directory(), "\n"));
  return kExitOk;
}

}  // namespace reeve
