#include <memory>
#include <string>

#include "client/commands/schedules.h"
#include "client/commands/verbs.h"

namespace reeve {
namespace {

// What flags are read into.
struct ScheduleFlags {
  ScheduleOptions create;
  ScheduleName which;
  uint32_t count = 10;
};

void AddCreate(CLI::App* schedule, Session* session, const CommandLine* line, Action* action,
               std::shared_ptr<ScheduleFlags> flags) {
  CLI::App* create =
      AddVerb(schedule, "create", "Make jobs at times",
              "reeve schedule create nightly --cron '0 3 * * *' --tz Europe/Prague -- ./report.sh");
  ScheduleOptions* options = &flags->create;
  create->add_option("schedule", options->name, "Its name")->required();
  create->add_option("--cron", options->cron,
                     "Minute, hour, day of month, month and day of week, or @daily and the like");
  create->add_option("--every", options->every, "From start to start: 2s, 15m, 24h");
  create->add_option("--at", options->at,
                     "Once: 2026-12-24T18:00:00+01:00, '2026-12-24 18:00', 18:00, +90m");
  create->add_option("--tz", options->zone,
                     "Time zone of --cron (default: UTC) or --at (default: the one here): "
                     "Europe/Prague");
  create->add_option("--overlap", options->overlap,
                     "While the job before goes on: skip (default), queue, replace or allow");
  create->add_option("--catch-up", options->catch_up,
                     "What passed while no master was there: none, last (default) or all");
  create->add_option("--jitter", options->jitter, "Start up to so much later, at random: 5m");
  create->add_option("--count", options->count, "So many jobs, then it ends")
      ->check(CLI::PositiveNumber);
  create->add_flag("--paused", options->paused, "Make no jobs until `reeve schedule resume`");
  create->add_option("--request-id", options->tasks.request_id,
                     "A name for this request: the same again within 24 hours gives the same "
                     "schedule");
  AddJobOptions(create, &options->tasks.job);
  AddInputOptions(create, &options->tasks);
  for (const char* only_now : {"--dry-run", "--timeout"})
    create->remove_option(create->get_option(only_now));
  create->add_option("--input", options->tasks.input, "The input");
  create->callback([=] {
    flags->create.tasks.job.command = line->command;
    flags->create.tasks.arguments = line->arguments;
    *action = [=] { return RunScheduleCreate(*session, flags->create); };
  });
}

}  // namespace

void AddScheduleVerbs(CLI::App* app, Session* session, const CommandLine* line, Action* action) {
  CLI::App* schedule =
      AddVerb(app, "schedule", "Jobs that are made at times", "reeve schedule list");
  schedule->require_subcommand(1);
  const auto flags = std::make_shared<ScheduleFlags>();
  AddCreate(schedule, session, line, action, flags);
  AddVerb(schedule, "list", "List schedules", "reeve schedule list")->callback([=] {
    *action = [=] { return RunScheduleList(*session); };
  });
  const auto add = [&](const std::string& name, const std::string& what,
                       absl::StatusOr<int> (*run)(Session&, const ScheduleName&)) {
    CLI::App* verb = AddVerb(schedule, name, what, "reeve schedule " + name + " nightly");
    verb->add_option("schedule", flags->which.name, "Its name")->required();
    verb->add_option("--owner", flags->which.owner, "Whose it is, for an admin");
    verb->callback([=] { *action = [=] { return run(*session, flags->which); }; });
  };
  add("get", "Show a schedule", RunScheduleGet);
  add("pause", "Make no jobs until it is resumed", RunSchedulePause);
  add("resume", "Make jobs again", RunScheduleResume);
  add("run", "Make a job now, beside the fire times", RunScheduleRun);
  add("delete", "Delete a schedule; its jobs go on", RunScheduleDelete);
  CLI::App* next =
      AddVerb(schedule, "next", "Print the next fire times", "reeve schedule next nightly -n 5");
  next->add_option("schedule", flags->which.name, "Its name")->required();
  next->add_option("-n,--number", flags->count, "How many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  next->add_option("--owner", flags->which.owner, "Whose it is, for an admin");
  next->callback(
      [=] { *action = [=] { return RunScheduleNext(*session, flags->which, flags->count); }; });
}

}  // namespace reeve
