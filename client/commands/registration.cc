#include "client/commands/registration.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/ids.h"
#include "base/strings.h"
#include "base/version.h"
#include "client/bench/bench.h"
#include "client/bench/models.h"
#include "client/commands/access.h"
#include "client/commands/api.h"
#include "client/commands/completion.h"
#include "client/commands/doctor.h"
#include "client/commands/inspect.h"
#include "client/commands/map.h"
#include "client/commands/results.h"
#include "client/commands/run.h"
#include "client/commands/session.h"
#include "client/commands/up.h"
#include "client/commands/verbs.h"
#include "client/commands/wait.h"
#include "client/exit_code.h"
#include "client/input/command_line.h"

namespace reeve {
namespace {

// Everything flags are read into, and what is to be done.
struct Program {
  Session session;
  CommandLine line;
  Action action;
  std::string master, token_file;
  bool json = false, quiet = false;

  UpOptions up;
  DownOptions down;
  RunOptions run;
  MapOptions map;
  WaitOptions wait;
  ResultsOptions results;
  LogsOptions logs;
  ListOptions list;
  StatsOptions stats;
  BenchOptions bench;
  ModelsOptions models;
  std::vector<std::string> jobs;
  std::string job, task, symbol, method, request = "{}", shell;
  std::vector<std::string> states;
  JoinOptions join;
  TokenOptions new_token;
  std::string worker, token, address, authority_file, drain_timeout;
  bool wait_for_drain = false;
};

}  // namespace

CLI::App* AddVerb(CLI::App* parent, const std::string& name, const std::string& what,
                  const std::string& example) {
  CLI::App* verb = parent->add_subcommand(name, what);
  verb->footer("Example: " + example);
  return verb;
}

void AddJobOptions(CLI::App* verb, JobOptions* job) {
  verb->add_option("--name", job->name, "Name of the job, for people");
  verb->add_option("--handler", job->handler,
                   "Handler instead of a command: http, crawl, jq, sql, digest, echo, sleep, or "
                   "one of your own");
  verb->add_option("--shell", job->shell,
                   "A script for /bin/sh instead of a command; what replaces {} is quoted");
  verb->add_option("--param", job->params, "NAME=VALUE, an option of the handler; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--env", job->environment,
                   "NAME=VALUE, or NAME for its value here; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--secret", job->secrets,
                   "A secret of the worker that the command needs; its file is "
                   "$REEVE_SECRET_NAME_FILE; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--workdir", job->workdir, "Working directory; \"\" for a scratch directory");
  verb->add_option("--retries", job->retries, "Further attempts of a task that fails")
      ->check(CLI::Range(0, 999));
  verb->add_option("--time-limit", job->time_limit, "Longest time of an attempt: 90s, 5m, 2h");
  verb->add_option("--limit", job->limits,
                   "NAME=VALUE, what each process of a command may use: cpu=30s, memory=512M, "
                   "file-size=1G, open-files=100, processes=50, core=1G; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--durability", job->durability, "durable (default) or ephemeral");
  verb->add_option("--priority", job->priority, "-100 to 100; higher goes first")
      ->check(CLI::Range(-100, 100));
  verb->add_option("--max-in-flight", job->max_in_flight, "Most tasks at workers at once");
  verb->add_option("--max-tasks", job->max_tasks,
                   "Tasks may add inputs to their job, as crawl does, up to so many in all");
  verb->add_flag("--at-most-once", job->at_most_once,
                 "Never begin a task twice; what a lost worker held fails with WORKER_LOST");
  verb->add_flag("--exclusive", job->exclusive,
                 "Never run a task at two places at once, not even when its worker is cut off");
}

void AddInputOptions(CLI::App* verb, MapOptions* map) {
  verb->add_option("--array", map->array, "A-B:STEP%LIMIT, a range of numbers");
  verb->add_option("--jsonl", map->jsonl,
                   "A file of JSON lines, one task each; - for standard input");
  verb->add_option("--lines", map->lines, "A file of lines, one task each; - for standard input");
  verb->add_option("--block", map->block_bytes,
                   "Whole lines together, up to so many bytes a task: 64K, 1M; for handlers that "
                   "take many, as jq does")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(size_t{1}, size_t{kMaxPayloadBytes}));
  verb->add_flag("-0,--null", map->nul, "Inputs end with NUL instead of a newline");
  verb->add_flag("--stdin", map->record_on_stdin,
                 "Give each input to the command on its standard input");
  verb->add_flag("--dry-run", map->dry_run, "Print the first commands and do nothing");
  verb->add_option("--timeout", map->timeout, "Stop waiting after this; the job goes on");
}

namespace {

// A local cluster is named by its folder and port; an address would be ignored.
absl::StatusOr<int> WithoutMaster(Program* p, std::string_view verb, const Action& action) {
  if (p->master.empty()) return action();
  return UsageError(StrCat("--master: `", verb,
                           "` is about a local cluster; name it by --state-dir",
                           verb == "up" ? " and --port" : ""));
}

void AddLocalVerbs(CLI::App* app, Program* p) {
  CLI::App* up = AddVerb(app, "up", "Start a local cluster, or what is missing of it",
                         "reeve up --workers 2 --detach");
  up->add_option("--workers", p->up.workers, "Worker processes")->capture_default_str();
  up->add_option("--slots", p->up.slots, "Threads of each worker; default: the number of cores");
  up->add_option("--process-slots", p->up.process_slots,
                 "Commands at once of each worker; default: as --slots");
  up->add_option("--async-slots", p->up.async_slots,
                 "Tasks of the async lane at once of each worker; default: 1000");
  up->add_option("--state-dir", p->up.state_folder, "Folder of the state");
  up->add_option("--port", p->up.port, "Port of the API; the next two are used, too");
  up->add_option("--listen", p->up.listen,
                 "An address of this machine for workers and clients on others; may be repeated. "
                 "Everything is encrypted then, and asks for keys");
  up->add_option(
        "--handlers", p->up.handlers,
        "Built-in handlers that the workers offer; default: all, with --listen all but exec")
      ->type_name("NAME,…");
  up->add_flag("--allow-shell", p->up.allow_shell,
               "With --listen: commands may be scripts for a shell");
  up->add_flag("--detach", p->up.detach, "Keep it running and return");
  up->callback([p] {
    p->action = [p] { return WithoutMaster(p, "up", [p] { return RunUp(p->session, p->up); }); };
  });

  CLI::App* down = AddVerb(app, "down", "Stop a detached local cluster", "reeve down");
  down->add_option("--state-dir", p->down.state_folder, "Folder of the state");
  down->add_option("--timeout", p->down.timeout, "How long to wait before killing");
  down->callback([p] {
    p->action = [p] {
      return WithoutMaster(p, "down", [p] { return RunDown(p->session, p->down); });
    };
  });
}

void AddWorkVerbs(CLI::App* app, Program* p) {
  CLI::App* run = AddVerb(app, "run", "Run one command; its output and exit code are passed on",
                          "reeve run -- ./simulate --seed 7");
  AddJobOptions(run, &p->run.job);
  run->add_option("--input", p->run.input, "Input for a handler");
  run->add_flag("--no-stdin", p->run.no_stdin, "Do not pass standard input on");
  run->callback([p] {
    p->run.job.command = p->line.command;
    p->action = [p] { return RunOne(p->session, p->run); };
  });

  CLI::App* map = AddVerb(app, "map", "Run one task per input; print the results",
                          "reeve map -- wc -c {} ::: *.log");
  AddJobOptions(map, &p->map.job);
  AddInputOptions(map, &p->map);
  map->add_flag("--ordered", p->map.ordered, "Results in the order of inputs");
  map->add_option("--joblog", p->map.job_log, "Write a line per task to this file");
  map->add_flag("--resume", p->map.resume, "Skip what the job log says succeeded");
  map->callback([p] {
    p->map.job.command = p->line.command;
    p->map.arguments = p->line.arguments;
    p->action = [p] { return RunMap(p->session, p->map); };
  });

  CLI::App* submit = AddVerb(app, "submit", "Create a job and print its id",
                             "reeve submit -q --name nightly -- ./job.sh");
  AddJobOptions(submit, &p->map.job);
  AddInputOptions(submit, &p->map);
  submit->add_option("--input", p->map.input, "The input");
  submit->add_option("--count", p->map.count, "So many tasks with the same input")
      ->check(CLI::Range(uint32_t{1}, kMaxTasksPerJob));
  submit->add_flag("--wait", p->map.wait, "Wait until it has ended");
  submit->add_option("--request-id", p->map.request_id,
                     "A name for this request: the same again within 24 hours gives the same job");
  submit->callback([p] {
    p->map.job.command = p->line.command;
    p->map.arguments = p->line.arguments;
    p->action = [p] { return RunSubmit(p->session, p->map); };
  });
}

void AddFollowVerbs(CLI::App* app, Program* p) {
  CLI::App* wait =
      AddVerb(app, "wait", "Wait until jobs have ended", "reeve wait last --timeout 10m");
  wait->add_option("job", p->wait.jobs, "Jobs: 42, last, all, 1,3,5-8, - (standard input)")
      ->required();
  wait->add_option("--timeout", p->wait.timeout, "Stop waiting after this: exit code 124");
  wait->callback([p] { p->action = [p] { return RunWait(p->session, p->wait); }; });

  CLI::App* results =
      AddVerb(app, "results", "Print the results of a job", "reeve results last --ordered");
  results->add_option("job", p->results.job, "The job")->required();
  results->add_flag("--ordered", p->results.ordered, "In the order of inputs");
  results->add_flag("-f,--follow", p->results.follow, "Wait for more until it has ended");
  results->add_option("--only", p->results.only, "failed or succeeded");
  results->add_option("--cursor", p->results.cursor, "Go on behind this place");
  results->add_option("--timeout", p->results.timeout, "Stop waiting after this: exit code 124");
  results->callback([p] { p->action = [p] { return RunResults(p->session, p->results); }; });

  CLI::App* logs = AddVerb(app, "logs", "Print what the last attempts of tasks wrote",
                           "reeve logs last --task 3,7-9");
  logs->add_option("job", p->logs.job, "The job")->required();
  logs->add_flag("-f,--follow", p->logs.follow, "Wait for more until it has ended");
  logs->add_option("--task", p->logs.tasks, "Only these tasks: 3,7-9");
  logs->callback([p] { p->action = [p] { return RunLogs(p->session, p->logs); }; });
}

void AddListOptions(CLI::App* verb, ListOptions* list) {
  verb->add_option("--state", list->states, "Only in this state; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--limit", list->limit, "At most so many")
      ->check(CLI::Range(uint64_t{1}, uint64_t{kMaxTasksPerJob}));
  verb->add_flag("-a,--all", list->all, "All of them");
}

void AddLookVerbs(CLI::App* app, Program* p) {
  CLI::App* ps = AddVerb(app, "ps", "List jobs, newest first", "reeve ps --state active");
  AddListOptions(ps, &p->list);
  ps->callback([p] { p->action = [p] { return RunPs(p->session, p->list); }; });

  CLI::App* job = AddVerb(app, "job", "Jobs", "reeve job get last");
  job->require_subcommand(1);
  CLI::App* get = AddVerb(job, "get", "Show jobs", "reeve job get 42");
  get->add_option("job", p->jobs, "Jobs: 42, last, all, 1,3,5-8")->required();
  get->callback([p] { p->action = [p] { return RunJobGet(p->session, p->jobs); }; });
  CLI::App* jobs = AddVerb(job, "list", "List jobs, newest first", "reeve job list --all");
  AddListOptions(jobs, &p->list);
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

  CLI::App* cancel = AddVerb(app, "cancel", "Cancel jobs", "reeve cancel 42");
  cancel->add_option("job", p->jobs, "Jobs: 42, last, all, 1,3,5-8")->required();
  cancel->callback([p] { p->action = [p] { return RunCancel(p->session, p->jobs); }; });

  CLI::App* worker = AddVerb(app, "worker", "Workers", "reeve worker list");
  worker->require_subcommand(1);
  AddVerb(worker, "list", "List workers", "reeve worker list")->callback([p] {
    p->action = [p] { return RunWorkerList(p->session); };
  });
  CLI::App* drain =
      AddVerb(worker, "drain", "Let a worker finish and leave", "reeve worker drain w-3 --wait");
  drain->add_option("worker", p->worker, "Its name: w-3")->required();
  drain->add_flag("--wait", p->wait_for_drain, "Until it has left");
  drain->add_option("--timeout", p->drain_timeout, "How long to wait for it");
  drain->callback([p] {
    p->action = [p] {
      return RunWorkerDrain(p->session, p->worker, p->wait_for_drain, p->drain_timeout);
    };
  });
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

// Options that every benchmark has.
void AddBenchOptions(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--runs", bench->runs, "How many times")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  verb->add_option("--slots", bench->slots, "Threads of each worker that is started");
}

// Those of benchmarks that run on any cluster.
void AddLoadOptions(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--durability", bench->durability, "durable or ephemeral")
      ->capture_default_str();
  verb->add_option("--local", bench->local, "Start a cluster of so many workers for the run");
}

void AddTasksOption(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--tasks", bench->tasks, "How many tasks")
      ->check(CLI::Range(uint64_t{1}, uint64_t{kMaxTasksPerJob}));
}

void AddPayloadOption(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--payload-bytes", bench->payload_bytes, "Input and result of a task")
      ->capture_default_str();
}

void AddBatchOption(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--batch", bench->batch, "Tasks per message")->capture_default_str();
}

void AddBenchVerbs(CLI::App* app, Program* p) {
  CLI::App* bench = AddVerb(app, "bench", "Measure the cluster, checking every result",
                            "reeve bench throughput --local 2 --json");
  bench->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& what, const std::string& example,
                       Benchmark benchmark) {
    CLI::App* verb = AddVerb(bench, name, what, example);
    AddBenchOptions(verb, &p->bench);
    verb->callback([p, benchmark] {
      p->action = [p, benchmark] { return RunBench(p->session, p->bench, benchmark); };
    });
    return verb;
  };
  CLI::App* throughput = add("throughput", "A million no-op tasks with payloads appended by stream",
                             "reeve bench throughput --tasks 1000000 --json", MeasureThroughput);
  throughput->add_flag("--array", p->bench.array, "One array instead of streamed payloads");
  throughput
      ->add_option("--streams", p->bench.streams, "Jobs that are fed and read at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  throughput->add_flag("--acknowledge-only", p->bench.acknowledge_only,
                       "Workers acknowledge without executing, to see the master alone");
  CLI::App* latency = add("latency", "One task per job and call",
                          "reeve bench latency --durability ephemeral", MeasureLatency);
  latency->add_option("--in-flight", p->bench.in_flight, "Calls at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 200));
  CLI::App* spawn =
      add("spawn", "Commands, beside xargs -P2", "reeve bench spawn --tasks 2000", MeasureSpawn);
  CLI::App* sleep = add("sleep", "Sleeps of 1 and 100 ms on 16 threads: what they cost beyond",
                        "reeve bench sleep", MeasureSleep);
  CLI::App* payload =
      add("payload", "Results of 1 MiB", "reeve bench payload --tasks 1000", MeasurePayload);
  CLI::App* http = add("http", "Requests to a server that answers after a second, all at once",
                       "reeve bench http --tasks 100", MeasureHttp);
  CLI::App* memory = add("memory", "Memory of the master for each task that waits",
                         "reeve bench memory", MeasureMemory);
  CLI::App* depth = add("depth", "The rate beside 10 M queued tasks, finished ones, 100,000 jobs",
                        "reeve bench depth --runs 5", MeasureDepth);
  CLI::App* restart = add("restart", "From kill -9 of the master until it assigns again",
                          "reeve bench restart --runs 5", MeasureRestart);
  CLI::App* workers = add("workers", "The rate with 1 to 8 workers; what 1,000 idle ones cost",
                          "reeve bench workers", MeasureWorkers);
  CLI::App* encryption = add("encryption", "The rate with TLS and CURVE against the rate without",
                             "reeve bench encryption --runs 5", MeasureEncryption);
  for (CLI::App* verb : {throughput, latency, spawn, payload, sleep})
    AddLoadOptions(verb, &p->bench);
  for (CLI::App* verb :
       {throughput, latency, spawn, payload, http, memory, depth, restart, workers, encryption})
    AddTasksOption(verb, &p->bench);
  for (CLI::App* verb : {throughput, latency, memory, depth, restart, workers, encryption})
    AddPayloadOption(verb, &p->bench);
  for (CLI::App* verb : {throughput, depth, workers, encryption}) AddBatchOption(verb, &p->bench);

  CLI::App* models =
      AddVerb(bench, "models", "The same work on each lane, and in Python's own ways",
              "reeve bench models --requests 100 --runs 5");
  models->add_option("--runs", p->models.runs, "How many times")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  models
      ->add_option("--requests", p->models.requests,
                   "How many requests to a server that waits; several numbers are several rows")
      ->check(CLI::Range(1, 10'000));
  models->add_option("--sums", p->models.sums, "How many sums of squares up to 500,000")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  models->add_option("--answer-after", p->models.answer_after, "Seconds that the server waits")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 60.0));
  models
      ->add_option("--workers", p->models.workers,
                   "Worker processes; several numbers are several rows")
      ->check(CLI::Range(1, 64));
  models->add_option("--plugin", p->models.plugins,
                     "A plug-in with sum_squares or blocking_get, instead of those beside reeve");
  models->add_option("--python", p->models.python, "The Python to compare with")
      ->capture_default_str();
  models->callback([p] { p->action = [p] { return RunBenchModels(p->session, p->models); }; });

  CLI::App* all = AddVerb(bench, "all", "Every target: bar, aim, and what is measured here",
                          "reeve bench all --json");
  AddBenchOptions(all, &p->bench);
  all->add_option("--local", p->bench.local, "Workers of the clusters that are started; default 2");
  // The callback of the verb knows whether the flag was given; five runs make a median.
  all->callback([p, all] {
    if (all->count("--runs") == 0) p->bench.runs = 5;
    p->action = [p] { return RunBenchAll(p->session, p->bench); };
  });
}

CommandTree TreeOf(const CLI::App& app) {
  CommandTree tree;
  tree.name = app.get_name();
  tree.description = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) tree.options.push_back("--" + name);
    for (const std::string& name : option->get_snames()) tree.options.push_back("-" + name);
  }
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    tree.verbs.push_back(TreeOf(*verb));
  }
  return tree;
}

void AddToolVerbs(CLI::App* app, Program* p) {
  CLI::App* api = AddVerb(app, "api", "Any method of the API, by reflection",
                          "reeve api call reeve.v1.JobService/GetJob '{\"job_id\": 42}'");
  api->require_subcommand(1);
  AddVerb(api, "list", "List services and methods", "reeve api list")->callback([p] {
    p->action = [p] { return RunApiList(p->session); };
  });
  CLI::App* describe = AddVerb(api, "describe", "Show a service, method or message",
                               "reeve api describe reeve.v1.Job");
  describe->add_option("symbol", p->symbol, "Its full name")->required();
  describe->callback([p] { p->action = [p] { return RunApiDescribe(p->session, p->symbol); }; });
  CLI::App* call = AddVerb(api, "call", "Call a method with JSON",
                           "reeve api call reeve.v1.ClusterService/GetCluster");
  call->add_option("method", p->method, "SERVICE/METHOD")->required();
  call->add_option("request", p->request, "The request as JSON; - for standard input");
  call->callback(
      [p] { p->action = [p] { return RunApiCall(p->session, p->method, p->request); }; });

  CLI::App* completion = AddVerb(app, "completion", "Print a completion script",
                                 "reeve completion bash > /etc/bash_completion.d/reeve");
  completion->add_option("shell", p->shell, "bash, zsh or fish")->required();
  completion->callback([app, p] {
    p->action = [app, p]() -> absl::StatusOr<int> {
      const auto script = CompletionScript(TreeOf(*app), p->shell);
      if (!script.ok()) return script.status();
      p->session.console().Out(*script);
      return kExitOk;
    };
  });
  AddVerb(app, "doctor", "Look at everything that has to be right", "reeve doctor")->callback([p] {
    p->action = [p] { return RunDoctor(p->session); };
  });
  AddVerb(app, "version", "Print the version", "reeve version")->callback([p] {
    p->action = [p] { return RunVersion(p->session); };
  });
}

void AddAccessVerbs(CLI::App* app, Program* p) {
  CLI::App* worker = app->get_subcommand("worker");
  CLI::App* join = AddVerb(worker, "join", "Enrol this machine with a master and start a worker",
                           "reeve worker join 10.0.0.5:7520 --token-file join_token -- --slots 8");
  join->add_option("address", p->join.address, "HOST:PORT of the master")->required();
  join->add_option("--state-dir", p->join.state_folder, "Folder that keeps the worker's identity");
  join->add_flag("--relay", p->join.relay, "Enrol a relay (reeve-collector); say how to start it");
  join->add_flag("--no-start", p->join.no_start, "Only enrol; say how to start it");
  join->callback([p] {
    p->join.flags = p->line.command.value_or(std::vector<std::string>());
    p->action = [p] { return RunWorkerJoin(p->session, p->join); };
  });
  AddVerb(worker, "enrolled", "List the workers whose keys are known", "reeve worker enrolled")
      ->callback([p] { p->action = [p] { return RunWorkerEnrolled(p->session); }; });
  CLI::App* revoke = AddVerb(worker, "revoke", "Forget a worker's key: it cannot connect any more",
                             "reeve worker revoke w-3");
  revoke->add_option("worker", p->worker, "Its name or worker id")->required();
  revoke->callback([p] { p->action = [p] { return RunWorkerRevoke(p->session, p->worker); }; });

  CLI::App* token = AddVerb(app, "token", "Tokens of those who may call", "reeve token list");
  token->require_subcommand(1);
  CLI::App* create =
      AddVerb(token, "create", "Make a token",
              "reeve token create alice --role submit --expires 720h --out alice.token");
  create->add_option("principal", p->new_token.principal, "Whose it is: jobs belong to this name")
      ->required();
  create->add_option("--role", p->new_token.roles, "submit, read, admin or worker; may be repeated")
      ->required();
  create->add_option("--handler", p->new_token.handlers,
                     "A handler that its jobs may use; may be repeated; default: all");
  create->add_option("--expires", p->new_token.expires, "After how long; default: never");
  create->add_option("--out", p->new_token.out, "Write it to this file, for its owner alone");
  create->callback([p] { p->action = [p] { return RunTokenCreate(p->session, p->new_token); }; });
  AddVerb(token, "list", "List tokens", "reeve token list")->callback([p] {
    p->action = [p] { return RunTokenList(p->session); };
  });
  CLI::App* revoke_token =
      AddVerb(token, "revoke", "Revoke a token, or all of a principal", "reeve token revoke alice");
  revoke_token->add_option("token", p->token, "Its id, or a principal")->required();
  revoke_token->callback([p] { p->action = [p] { return RunTokenRevoke(p->session, p->token); }; });

  CLI::App* context = AddVerb(app, "context", "Ways into clusters", "reeve context list");
  context->require_subcommand(1);
  CLI::App* add = AddVerb(context, "add", "Keep the way into a cluster",
                          "reeve context add 10.0.0.5:7520 --token-file alice.token");
  add->add_option("address", p->address, "HOST:PORT of the master")->required();
  add->add_option("--ca-file", p->authority_file,
                  "What to trust, for a token that does not say: ca.pem of the master's state");
  add->callback([p] {
    p->action = [p] { return RunContextAdd(p->session, p->address, p->authority_file); };
  });
  AddVerb(context, "list", "List the clusters that are known", "reeve context list")->callback([p] {
    p->action = [p] { return RunContextList(p->session); };
  });
  CLI::App* remove =
      AddVerb(context, "remove", "Forget a cluster", "reeve context remove 10.0.0.5:7520");
  remove->add_option("address", p->address, "HOST:PORT of the master")->required();
  remove->callback([p] { p->action = [p] { return RunContextRemove(p->session, p->address); }; });

  AddVerb(app->get_subcommand("cluster"), "rotate-keys", "Make the master's keys anew",
          "reeve cluster rotate-keys")
      ->callback([p] { p->action = [p] { return RunRotateKeys(p->session); }; });
}

std::vector<std::string> NamesOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

std::string Unknown(std::string_view kind, std::string_view word, const std::string& meant) {
  return StrCat("there is no ", kind, " `", word, "`",
                meant.empty() ? " (see reeve --help)" : StrCat("; did you mean `", meant, "`?"));
}

// What is wrong about a word that is no verb, or an option that is none, and what was meant; "" if
// neither is there.
std::string ExplainWords(CLI::App& app, const std::vector<std::string>& words) {
  CLI::App* at = &app;
  for (const std::string& word : words) {
    if (word.rfind("-", 0) == 0) {
      std::vector<std::string> options = TreeOf(*at).options;
      const std::vector<std::string> common = TreeOf(app).options;
      options.insert(options.end(), common.begin(), common.end());
      const std::string name = word.substr(0, word.find('='));
      if (std::find(options.begin(), options.end(), name) != options.end()) continue;
      return Unknown("option", name, Suggest(name, options));
    }
    CLI::App* next = nullptr;
    for (CLI::App* verb : at->get_subcommands([](const CLI::App*) { return true; })) {
      if (verb->get_name() == word) next = verb;
    }
    if (next == nullptr) {
      if (NamesOf(*at).empty()) return "";
      return Unknown("verb", word, Suggest(word, NamesOf(*at)));
    }
    at = next;
  }
  return "";
}

absl::StatusOr<int> Execute(Program& p) {
  auto settings = Settings::Load();
  if (!settings.ok()) return settings.status();
  p.session.settings() = std::move(*settings);
  p.session.settings().Set("master", p.master);
  p.session.set_master_flag(p.master);
  p.session.settings().Set("token_file", p.token_file);
  const auto quiet = p.session.settings().GetBool("quiet");
  if (!quiet.ok()) return quiet.status();
  p.session.console().set_quiet(p.quiet || *quiet);
  return p.action();
}

}  // namespace

int RunReeve(int argc, char** argv) {
  Program program;
  const std::vector<std::string> words(argv + 1, argv + argc);
  auto line = SplitCommandLine(words);
  if (!line.ok()) {
    program.session.console().Fail(line.status());
    return kExitUsage;
  }
  program.line = std::move(*line);
  CLI::App app("reeve: run jobs on a cluster of workers.", "reeve");
  app.set_version_flag("--version", StrCat("reeve ", kVersion));
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--master", program.master,
                 "HOST:PORT of the master (REEVE_MASTER); default 127.0.0.1:7520");
  app.add_option("--token-file", program.token_file, "File with the token (REEVE_TOKEN_FILE)");
  app.add_flag("--json", program.json, "Results and errors as JSON");
  app.add_flag("-q,--quiet", program.quiet, "No messages and no progress");
  app.footer("Start with: reeve up --detach; reeve map -- wc -c {} ::: *");
  AddLocalVerbs(&app, &program);
  AddWorkVerbs(&app, &program);
  AddFollowVerbs(&app, &program);
  AddLookVerbs(&app, &program);
  AddAccessVerbs(&app, &program);
  AddScheduleVerbs(&app, &program.session, &program.line, &program.action);
  AddBenchVerbs(&app, &program);
  AddToolVerbs(&app, &program);
  std::vector<std::string> reversed(program.line.options.rbegin(), program.line.options.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    program.session.console().set_json(program.json);
    // A value that is wrong is explained by the error; only a word too many has another meaning.
    const int kind = error.get_exit_code();
    const bool is_word = kind == static_cast<int>(CLI::ExitCodes::ExtrasError) ||
                         kind == static_cast<int>(CLI::ExitCodes::RequiredError);
    const std::string unknown = is_word ? ExplainWords(app, program.line.options) : "";
    program.session.console().Fail(
        UsageError(unknown.empty() ? StrCat(error.what(), " (see reeve --help)") : unknown));
    return kExitUsage;
  }
  program.session.console().set_json(program.json);
  const absl::StatusOr<int> code = Execute(program);
  // What was not printed comes before what the command has to say.
  const int error = program.session.console().out_error();
  if (error == EPIPE) return kExitReaderGone;
  if (error != 0) {
    program.session.console().Fail(
        absl::InternalError(StrCat("cannot write standard output: ", strerror(error))));
    return kExitTaskFailed;
  }
  if (code.ok()) return *code;
  program.session.console().Fail(program.session.Explain(code.status()));
  return ExitCodeOf(code.status());
}

}  // namespace reeve
