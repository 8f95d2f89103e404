#include "client/commands/up.h"

#include <unistd.h>

#include <climits>

#include "absl/strings/str_join.h"
#include "base/host_address.h"
#include "base/host_key.h"
#include "base/strings.h"
#include "client/canceller.h"
#include "client/exit_code.h"
#include "client/input/duration.h"
#include "client/interrupt.h"
#include "client/local_cluster.h"
#include "client/output/json.h"

namespace reeve {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(30);
constexpr uint32_t kMaxWorkers = 1000;

// From the flag, the settings or the default; absolute, because daemons outlive the client's place.
std::string StateFolder(Session& session, const std::string& flag) {
  session.settings().Set("state_dir", flag);
  std::string folder = session.settings().Get("state_dir");
  if (folder.empty()) folder = DefaultStateFolder();
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  char here[PATH_MAX];
  if (folder[0] != '/' && getcwd(here, sizeof(here)) != nullptr) folder = StrCat(here, "/", folder);
  return folder;
}

// By which another machine reaches the master.
std::string NameForOthers(const LocalCluster& cluster) {
  const std::string& first = cluster.listen().front();
  return IsWildcardHost(first) ? HostName() : first;
}

void PrintUp(Console& console, const LocalCluster& cluster, const LocalClusterOptions& options,
             bool has_handlers) {
  const std::string address = cluster.address().ToString();
  if (console.is_json()) {
    JsonWriter json;
    json.BeginObject().Key("address").String(address);
    json.Key("state_directory").String(options.state_folder);
    json.Key("workers").Number(uint64_t{options.workers});
    json.Key("started").BeginArray();
    for (const std::string& name : cluster.started()) json.String(name);
    json.EndArray();
    json.Key("listen").BeginArray();
    for (const std::string& host : cluster.listen()) json.String(host);
    json.EndArray();
    if (!cluster.listen().empty()) json.Key("join_token_file").String(cluster.join_token_file());
    json.EndObject();
    console.Out(json.text() + "\n");
    return;
  }
  const std::string master =
      cluster.address().port == kDefaultPort ? "" : StrCat(" --master ", address);
  const std::string started = cluster.started().empty()
                                  ? std::string("everything was running")
                                  : StrCat("started ", absl::StrJoin(cluster.started(), ", "));
  console.Out(StrCat("Reeve is up at ", address, " with ", options.workers, " workers (", started,
                     ").\n", "state: ", options.state_folder, "\n", "next:  reeve", master,
                     cluster.listen().empty() ? " map -- wc -c {}" : " map --handler digest",
                     " ::: /etc/*.conf\n"));
  if (cluster.listen().empty()) return;
  if (!has_handlers) {
    console.Out(
        "commands: these workers run none for others, unless you allow it: --handlers exec,echo\n");
  }
  console.Out(StrCat("other machines: copy ", cluster.join_token_file(),
                     " there (it is good for a week), and run\n       reeve worker join ",
                     WithPort(NameForOthers(cluster), cluster.address().port),
                     " --token-file join_token\n"));
}

}  // namespace

absl::StatusOr<int> RunUp(Session& session, const UpOptions& options) {
  if (options.port > 65532) return UsageError("--port: at most 65532; ports are P to P + 3");
  if (options.workers > kMaxWorkers) return UsageError(StrCat("--workers: at most ", kMaxWorkers));
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  LocalClusterOptions local;
  local.state_folder = StateFolder(session, options.state_folder);
  local.port = static_cast<uint16_t>(options.port);
  local.workers = options.workers;
  local.slots = options.slots;
  local.process_slots = options.process_slots;
  local.async_slots = options.async_slots;
  local.listen = options.listen;
  if (!options.handlers.empty()) local.worker_flags = {"--handlers", options.handlers};
  if (options.allow_shell) local.worker_flags.push_back("--allow-shell");
  for (const std::string& resource : options.resources) {
    local.worker_flags.push_back("--resource");
    local.worker_flags.push_back(resource);
  }
  local.is_detached = options.detach;
  const auto cluster = LocalCluster::Start(local, canceller);
  if (!cluster.ok()) return cluster.status();
  Console& console = session.console();
  PrintUp(console, **cluster, local, !options.handlers.empty());
  if (options.detach) {
    console.Note(StrCat("stop it with: reeve down",
                        options.state_folder.empty() ? "" : " --state-dir ", options.state_folder));
    return kExitOk;
  }
  if ((*cluster)->started().empty()) return kExitOk;
  console.Note("Ctrl-C drains and stops it");
  (*cluster)->Supervise(canceller, [&](std::string_view sentence) { console.Note(sentence); });
  console.Note("draining; a second Ctrl-C leaves at once");
  if (!(*cluster)->Stop(kGrace)) console.Note("some tasks did not end in time and will run again");
  return kExitOk;
}

absl::StatusOr<int> RunDown(Session& session, const DownOptions& options) {
  absl::Duration grace = kGrace;
  if (!options.timeout.empty()) {
    const auto parsed = ParseDurationOption("--timeout", options.timeout);
    if (!parsed.ok()) return parsed.status();
    grace = *parsed;
  }
  const std::string folder = StateFolder(session, options.state_folder);
  const std::vector<std::string> stopped = LocalCluster::StopAll(folder, grace);
  if (session.console().is_json()) {
    JsonWriter json;
    json.BeginObject().Key("stopped").BeginArray();
    for (const std::string& name : stopped) json.String(name);
    json.EndArray().EndObject();
    session.console().Out(json.text() + "\n");
  } else if (stopped.empty()) {
    session.console().Note(StrCat("nothing was running on ", folder));
  } else {
    session.console().Note(StrCat("stopped ", absl::StrJoin(stopped, ", ")));
  }
  return kExitOk;
}

}  // namespace reeve
