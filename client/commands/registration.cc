#include "client/commands/registration.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/version.h"
#include "client/commands/api.h"
#include "client/commands/completion.h"
#include "client/commands/doctor.h"
#include "client/commands/program.h"
#include "client/exit_code.h"

namespace reeve {

CLI::App* AddVerb(CLI::App* parent, const std::string& name, const std::string& what,
                  const std::string& example) {
  CLI::App* verb = parent->add_subcommand(name, what);
  verb->footer("Example: " + example);
  return verb;
}

namespace {

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
  AddControlVerbs(&app, &program);
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
