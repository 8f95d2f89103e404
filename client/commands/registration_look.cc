#include "base/ids.h"
#include "client/commands/program.h"

namespace reeve {
namespace {

void AddListOptions(CLI::App* verb, ListOptions* list) {
  verb->add_option("--state", list->states, "Only in this state; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--limit", list->limit, "At most so many")
      ->check(CLI::Range(uint64_t{1}, uint64_t{kMaxTasksPerJob}));
  verb->add_flag("-a,--all", list->all, "All of them");
}

void AddJobFilters(CLI::App* verb, ListOptions* list) {
  verb->add_option("--label", list->labels,
                   "Only with these labels: team=blue, team!=blue, team, !team; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--queue", list->queue, "Only of this queue");
  verb->add_option("--name", list->name, "Only of this name");
}

}  // namespace

void AddLookVerbs(CLI::App* app, Program* p) {
  CLI::App* ps = AddVerb(app, "ps", "List jobs, newest first", "reeve ps --state active");
  AddListOptions(ps, &p->list);
  AddJobFilters(ps, &p->list);
  ps->callback([p] { p->action = [p] { return RunPs(p->session, p->list); }; });

  CLI::App* job = AddVerb(app, "job", "Jobs", "reeve job get last");
  job->require_subcommand(1);
  CLI::App* get = AddVerb(job, "get", "Show jobs", "reeve job get 42");
  get->add_option("job", p->jobs, "Jobs: 42, last, all, 1,3,5-8")->required();
  get->callback([p] { p->action = [p] { return RunJobGet(p->session, p->jobs); }; });
  CLI::App* jobs = AddVerb(job, "list", "List jobs, newest first", "reeve job list --all");
  AddListOptions(jobs, &p->list);
  AddJobFilters(jobs, &p->list);
  jobs->callback([p] { p->action = [p] { return RunPs(p->session, p->list); }; });

  CLI::App* task = AddVerb(app, "task", "Single tasks", "reeve task why 42/17");
  task->require_subcommand(1);
  CLI::App* list =
      AddVerb(task, "list", "List the tasks of a job", "reeve task list last --state failed");
  list->add_option("job", p->job, "The job")->required();
  AddListOptions(list, &p->list);
  list->callback([p] { p->action = [p] { return RunTaskList(p->session, p->job, p->list); }; });
  CLI::App* one = AddVerb(task, "get", "Show a task", "reeve task get 42/17");
  one->add_option("task", p->task, "The task: 42/17")->required();
  one->callback([p] { p->action = [p] { return RunTaskGet(p->session, p->task); }; });
  CLI::App* why = AddVerb(task, "why", "Say why a task is in its state", "reeve task why 42/17");
  why->add_option("task", p->task, "The task: 42/17")->required();
  why->callback([p] { p->action = [p] { return RunTaskWhy(p->session, p->task); }; });

  CLI::App* worker = AddVerb(app, "worker", "Workers", "reeve worker list");
  worker->require_subcommand(1);
  AddVerb(worker, "list", "List workers", "reeve worker list")->callback([p] {
    p->action = [p] { return RunWorkerList(p->session); };
  });
  CLI::App* drain =
      AddVerb(worker, "drain", "Let a worker finish and leave", "reeve worker drain w-3 --wait");
  drain->add_option("worker", p->worker, "Its name: w-3")->required();
  drain->add_flag("--stay", p->stays, "It stays, without work, until it is undrained");
  drain->add_flag("--wait", p->wait_for_drain, "Until it has left, or with --stay has nothing");
  drain->add_option("--timeout", p->drain_timeout, "How long to wait for it");
  drain->callback([p] {
    p->action = [p] {
      return RunWorkerDrain(p->session, {.worker = p->worker,
                                         .stay = p->stays,
                                         .wait = p->wait_for_drain,
                                         .timeout = p->drain_timeout});
    };
  });
  CLI::App* undrain = AddVerb(worker, "undrain", "Give work to a worker that was drained to stay",
                              "reeve worker undrain w-3");
  undrain->add_option("worker", p->worker, "Its name: w-3")->required();
  undrain->callback([p] { p->action = [p] { return RunWorkerUndrain(p->session, p->worker); }; });
  CLI::App* cluster = AddVerb(app, "cluster", "The cluster as a whole", "reeve cluster info");
  cluster->require_subcommand(1);
  AddVerb(cluster, "info", "Show the cluster", "reeve cluster info")->callback([p] {
    p->action = [p] { return RunClusterInfo(p->session); };
  });

  CLI::App* stats =
      AddVerb(app, "stats", "What became of the calls of handlers, and how long they took",
              "reeve stats --prometheus > /var/lib/node_exporter/reeve.prom");
  stats->add_flag("--reset", p->stats.reset, "Begin anew; what was there is shown");
  stats->add_flag("--prometheus", p->stats.prometheus, "As text for Prometheus");
  stats->callback([p] { p->action = [p] { return RunStats(p->session, p->stats); }; });
}

}  // namespace reeve
