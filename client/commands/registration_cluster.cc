#include "base/strings.h"
#include "client/commands/program.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

// A local cluster is named by its folder and port; an address would be ignored.
absl::StatusOr<int> WithoutMaster(Program* p, std::string_view verb, const Action& action) {
  if (p->master.empty()) return action();
  return UsageError(StrCat("--master: `", verb,
                           "` is about a local cluster; name it by --state-dir",
                           verb == "up" ? " and --port" : ""));
}

}  // namespace

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
  up->add_option("--resource", p->up.resources,
                 "NAME=AMOUNT, what each worker has for tasks to occupy: gpu=2; may be repeated")
      ->expected(1)
      ->take_all();
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

}  // namespace reeve
