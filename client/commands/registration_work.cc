#include <algorithm>

#include "base/ids.h"
#include "base/strings.h"
#include "client/commands/program.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

// An option that may be repeated, with one value each.
void AddList(CLI::App* verb, const std::string& names, std::vector<std::string>* values,
             const std::string& what) {
  verb->add_option(names, *values, what + "; may be repeated")->expected(1)->take_all();
}

// What becomes of attempts that fail.
void AddAttemptOptions(CLI::App* verb, JobOptions* job) {
  verb->add_option("--retries", job->retries, "Further attempts of a task that fails")
      ->check(CLI::Range(0, 999));
  verb->add_option("--retry-backoff", job->retry_backoff,
                   "FIRST[,MAX], the longest waits before attempts: 1s,5m; they double");
  AddList(verb, "--retry-on", &job->retry_on,
          "Only what failed so is tried again: exit codes and reasons, as in 75,TIMEOUT");
  AddList(verb, "--halt", &job->halt,
          "Stop the job after 3 failures, 10% of them or the first success; 3,soft lets what runs "
          "end");
  verb->add_flag("--at-most-once", job->at_most_once,
                 "Never begin a task twice; what a lost worker held fails with WORKER_LOST");
  verb->add_flag("--exclusive", job->exclusive,
                 "Never run a task at two places at once, not even when its worker is cut off");
}

void AddTimeOptions(CLI::App* verb, JobOptions* job) {
  verb->add_option("--time-limit", job->time_limit, "Longest time of an attempt: 90s, 5m, 2h");
  verb->add_option("--soft-time-limit", job->soft_time_limit,
                   "After so long an attempt is told to stop (SIGTERM), before --time-limit");
  verb->add_option("--start-at", job->start_at,
                   "Nothing runs before: 2026-12-24T18:00:00Z, '2026-12-24 18:00', 18:00");
  verb->add_option("--delay", job->delay, "Nothing runs before so long after its creation");
  verb->add_option("--deadline", job->deadline,
                   "What has not ended after so long, or at that time, is stopped: EXPIRED");
}

// When and where its tasks are placed.
void AddPlaceOptions(CLI::App* verb, JobOptions* job) {
  verb->add_option("--queue", job->queue, "The queue it stands in");
  verb->add_option("--priority", job->priority, "0 to 9, default 4; higher goes first in its queue")
      ->check(CLI::Range(0, 9));
  verb->add_option("--max-in-flight", job->max_in_flight, "Most tasks at workers at once");
  AddList(verb, "--rate", &job->rates,
          "key=.host:5/s or key=@host:5/s, so many starts of each key: field or URL's host");
  AddList(verb, "--resource", &job->resources,
          "NAME=AMOUNT, what each task occupies of its worker: cpus=2, memory=512M, gpu=0.5");
  AddList(verb, "--on,--worker-selector", &job->selectors,
          "Only on workers with these labels: zone=eu, zone!=eu, gpu, !gpu");
  verb->add_flag("--pack", job->pack, "Fill one worker before the next");
}

// What a job waits for, and how it is found.
void AddOrderOptions(CLI::App* verb, JobOptions* job) {
  AddList(verb, "--after", &job->after,
          "Begin when these jobs have ended so: JOB[:success|failure|end],…");
  verb->add_flag("--after-results", job->after_results,
                 "Hand the results of --after on, as files $REEVE_RESULTS_DIR/JOB/INDEX");
  AddList(verb, "--results-of", &job->results_of,
          "JOB[:NAME], wait for a job and hand its results on, in the folder NAME");
  verb->add_option("--if-unmet", job->if_unmet,
                   "When --after cannot come true any more: cancel (default) or skip");
  verb->add_flag("--hold", job->hold, "Begin paused; `reeve resume` lets it run");
  AddList(verb, "--label", &job->labels, "NAME=VALUE, for people and filters");
  verb->add_option("--unique", job->unique, "Only one unfinished job may have this key");
  verb->add_option("--if-exists", job->if_exists,
                   "What if one has it: reject (default), attach or replace");
}

}  // namespace

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
  verb->add_option("--limit", job->limits,
                   "NAME=VALUE, what each process of a command may use: cpu=30s, memory=512M, "
                   "file-size=1G, open-files=100, processes=50, core=1G; or key=.host:2, so many "
                   "tasks of each key at once; may be repeated")
      ->expected(1)
      ->take_all();
  verb->add_option("--durability", job->durability, "durable (default) or ephemeral");
  verb->add_option("--max-tasks", job->max_tasks,
                   "Tasks may add inputs to their job, as crawl does, up to so many in all");
  AddAttemptOptions(verb, job);
  AddTimeOptions(verb, job);
  AddPlaceOptions(verb, job);
  AddOrderOptions(verb, job);
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

// What the file says is not said by options.
absl::StatusOr<int> SubmitGraph(Program* p, const CLI::App& submit) {
  const std::vector<std::string> allowed = {"--file", "--wait", "--timeout", "--dry-run",
                                            "--request-id"};
  for (const CLI::Option* option : submit.get_options()) {
    const std::string name = "--" + (option->get_lnames().empty() ? "" : option->get_lnames()[0]);
    if (option->count() > 0 && std::find(allowed.begin(), allowed.end(), name) == allowed.end())
      return UsageError(StrCat(name, " does not go with --file: give it in the file"));
  }
  if (p->line.command.has_value() || p->line.arguments.has_value())
    return UsageError("neither a command nor inputs go with --file: give them in the file");
  p->graph.wait = p->map.wait;
  p->graph.timeout = p->map.timeout;
  p->graph.dry_run = p->map.dry_run;
  p->graph.request_id = p->map.request_id;
  return RunSubmitGraph(p->session, p->graph);
}

void AddFollowVerbs(CLI::App* app, Program* p) {
  CLI::App* wait =
      AddVerb(app, "wait", "Wait until jobs have ended", "reeve wait last --timeout 10m");
  wait->add_option("job", p->wait.jobs, "Jobs: 42, last, all, 1,3,5-8, - (standard input)")
      ->required();
  wait->add_option("--timeout", p->wait.timeout, "Stop waiting after this: exit code 124");
  wait->callback([p] { p->action = [p] { return RunWait(p->session, p->wait); }; });

  CLI::App* watch =
      AddVerb(app, "watch", "Print each change of jobs until they have ended", "reeve watch last");
  watch->add_option("job", p->wait.jobs, "Jobs: 42, last, all, 1,3,5-8, - (standard input)")
      ->required();
  watch->add_option("--timeout", p->wait.timeout, "Stop after this: exit code 124");
  watch->callback([p] {
    p->wait.each = true;
    p->action = [p] { return RunWait(p->session, p->wait); };
  });

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

}  // namespace

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
  submit->add_flag("--open", p->map.open, "Take more tasks, by `reeve append`, until it is closed");
  submit->add_option("--close-when-idle", p->map.job.close_when_idle,
                     "With --open: it closes itself after so long without a task");
  submit->add_flag("--wait", p->map.wait, "Wait until it has ended");
  submit->add_option("--request-id", p->map.request_id,
                     "A name for this request: the same again within 24 hours gives the same job");
  submit->add_option("-f,--file", p->graph.file,
                     "Several jobs that wait for one another, as this YAML or JSON file says; - "
                     "for standard input");
  submit->callback([p, submit] {
    if (!p->graph.file.empty()) {
      p->action = [p, submit] { return SubmitGraph(p, *submit); };
      return;
    }
    p->map.open = p->map.open || !p->map.job.close_when_idle.empty();
    p->map.job.command = p->line.command;
    p->map.arguments = p->line.arguments;
    p->action = [p] { return RunSubmit(p->session, p->map); };
  });
  AddFollowVerbs(app, p);
}

}  // namespace reeve
