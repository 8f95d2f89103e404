#include "base/ids.h"
#include "client/commands/program.h"

namespace reeve {
namespace {

constexpr const char* kJobs = "Jobs: 42, last, all, 1,3,5-8, - (standard input)";

using JobsAction = absl::StatusOr<int> (*)(Session&, const std::vector<std::string>&);

void AddJobsVerb(CLI::App* app, Program* p, const std::string& name, const std::string& what,
                 const std::string& example, JobsAction action) {
  CLI::App* verb = AddVerb(app, name, what, example);
  verb->add_option("job", p->jobs, kJobs)->required();
  verb->callback([p, action] { p->action = [p, action] { return action(p->session, p->jobs); }; });
}

void AddRetryVerb(CLI::App* app, Program* p) {
  CLI::App* retry =
      AddVerb(app, "retry", "Try tasks of an ended job again, as a new job; prints its id",
              "reeve retry last --failed");
  retry->add_option("job", p->retry.jobs, kJobs)->required();
  const auto list = [&](const char* option, std::vector<std::string>* values, const char* what) {
    retry->add_option(option, *values, what)->expected(1)->take_all();
  };
  retry->add_flag("--failed", p->retry.failed,
                  "Only tasks that failed; default: all but succeeded");
  list("--state", &p->retry.states,
       "Only tasks in this state: failed, cancelled, expired; may be repeated");
  list("--reason", &p->retry.reasons,
       "Only tasks that failed for this reason: timeout, worker_lost; may be repeated");
  list("--exit-code", &p->retry.exit_codes, "Only tasks that ended with it: 3,4; may be repeated");
  retry->add_option("--task", p->retry.tasks, "Only these tasks: 3,7-9");
  retry->add_flag("--all", p->retry.all, "Tasks that succeeded, too");
  retry->add_flag("--wait", p->retry.wait, "Wait until it has ended");
  retry->add_option("--timeout", p->retry.timeout, "Stop waiting after this: exit code 124");
  retry->callback([p] { p->action = [p] { return RunRetry(p->session, p->retry); }; });
}

void AddAppendVerb(CLI::App* app, Program* p) {
  CLI::App* append = AddVerb(app, "append", "Add tasks to an open job; several may do so at once",
                             "reeve append 42 ::: a b c");
  append->add_option("job", p->append.job, "The job")->required();
  MapOptions* const inputs = &p->append.inputs;
  append->add_option("--jsonl", inputs->jsonl,
                     "A file of JSON lines, one task each; - for standard input");
  append->add_option("--lines", inputs->lines,
                     "A file of lines, one task each; default: standard input");
  append
      ->add_option("--block", inputs->block_bytes,
                   "Whole lines together, up to so many bytes a task: 64K, 1M")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(size_t{1}, size_t{kMaxPayloadBytes}));
  append->add_flag("-0,--null", inputs->nul, "Inputs end with NUL instead of a newline");
  append->add_option("--appender", p->append.appender,
                     "A name for these inputs, 1 to 64 characters: the same command may be "
                     "repeated until it ends well, and each input becomes one task");
  append->add_flag("--close", p->append.close, "Close the job behind them");
  append->callback([p] {
    p->append.inputs.arguments = p->line.arguments;
    p->action = [p] { return RunAppend(p->session, p->append); };
  });
}

void AddQueueVerbs(CLI::App* app, Program* p) {
  CLI::App* queue = AddVerb(app, "queue", "Queues of jobs, and their limits", "reeve queue list");
  queue->require_subcommand(1);
  AddVerb(queue, "list", "List queues", "reeve queue list")->callback([p] {
    p->action = [p] { return RunQueueList(p->session); };
  });
  const auto add = [&](const char* name, const char* what, const char* example,
                       std::function<absl::StatusOr<int>()> action) {
    CLI::App* verb = AddVerb(queue, name, what, example);
    verb->add_option("name", p->queue.name, "Its name")->required();
    verb->callback([p, action] { p->action = action; });
    return verb;
  };
  add("get", "Show a queue", "reeve queue get nightly",
      [p] { return RunQueueGet(p->session, p->queue.name); });
  CLI::App* set = add("set", "Set a queue up, or change what is given of one",
                      "reeve queue set nightly --weight 1 --max-in-flight 4 --rate 50/s",
                      [p] { return RunQueueSet(p->session, p->queue); });
  set->add_option("--weight", p->queue.weight, "Its part beside other queues, 1 to 1000")
      ->check(CLI::Range(1, 1000));
  set->add_option("--max-in-flight", p->queue.max_in_flight,
                  "Most of its tasks at workers at once; 0: no limit");
  set->add_option("--max-tasks", p->queue.max_tasks,
                  "Most unfinished tasks; beyond, jobs are refused; 0: no limit");
  set->add_option("--rate", p->queue.rate, "Starts of its tasks: 50/s, 100/1m:10, none");
  set->add_option("--retry-rate", p->queue.retry_rate, "Attempts after a failure: 10/s, none");
  add("pause", "Give nothing of it to workers", "reeve queue pause nightly",
      [p] { return RunQueuePause(p->session, p->queue.name, true); });
  add("resume", "Go on with it", "reeve queue resume nightly",
      [p] { return RunQueuePause(p->session, p->queue.name, false); });
  add("delete", "Forget what was set up of it", "reeve queue delete nightly",
      [p] { return RunQueueDelete(p->session, p->queue.name); });
}

}  // namespace

void AddControlVerbs(CLI::App* app, Program* p) {
  AddJobsVerb(app, p, "cancel", "Cancel jobs", "reeve cancel 42", RunCancel);
  AddJobsVerb(app, p, "pause", "Give nothing more of jobs to workers; what runs goes on",
              "reeve pause 42", RunPause);
  AddJobsVerb(app, p, "resume", "Let paused or held jobs go on", "reeve resume 42", RunResume);
  CLI::App* update =
      AddVerb(app, "update", "Change jobs while they wait or run", "reeve update 42 --priority 9");
  update->add_option("job", p->update.jobs, kJobs)->required();
  update->add_option("--priority", p->update.priority, "0 to 9; higher goes first in its queue")
      ->check(CLI::Range(0, 9));
  update->add_option("--max-in-flight", p->update.max_in_flight,
                     "Most tasks at workers at once; 0: no limit");
  update->callback([p] { p->action = [p] { return RunUpdate(p->session, p->update); }; });
  AddRetryVerb(app, p);
  AddJobsVerb(app, p, "delete", "Forget ended jobs, their results and their output",
              "reeve delete 42", RunDelete);
  AddAppendVerb(app, p);
  AddJobsVerb(app, p, "close", "Say that open jobs get no more tasks", "reeve close 42", RunClose);
  AddQueueVerbs(app, p);
}

}  // namespace reeve
