#include "worker/sdk/worker.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "base/descriptor_limit.h"
#include "base/failpoint.h"
#include "base/host_address.h"
#include "base/host_key.h"
#include "base/json_text.h"
#include "base/label.h"
#include "base/link_keys.h"
#include "base/log.h"
#include "base/private_memory.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "base/systemd_notify.h"
#include "base/time_scale.h"
#include "base/uuid.h"
#include "base/version.h"
#include "base/zmq_curve.h"
#include "worker/async/event_loop.h"
#include "worker/async/processes.h"
#include "worker/crawl/crawl_handler.h"
#include "worker/handlers/builtin.h"
#include "worker/http/http_client.h"
#include "worker/http/http_handler.h"
#include "worker/isolation/child.h"
#include "worker/isolation/child_pool.h"
#include "worker/lanes/async_lane.h"
#include "worker/lanes/null_lane.h"
#include "worker/lanes/process_lane.h"
#include "worker/lanes/scratch_folders.h"
#include "worker/lanes/secrets_folder.h"
#include "worker/lanes/thread_lane.h"
#include "worker/plugin/plugin_loader.h"
#include "worker/runtime/idle_links.h"
#include "worker/runtime/worker_loop.h"
#include "worker/sdk/handler_registry.h"
#include "worker/sdk/own_resources.h"
#include "worker/sdk/worker_policy.h"
#include "worker/sdk/yaml_config.h"
#include "worker/sql/sql_handler.h"
#include "worker/supervisor/crash_notes.h"
#include "worker/supervisor/supervisor.h"

namespace reeve {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitNoState = 73;
constexpr int kExitConfig = 78;
// Threads that run when the worker ends are waited for so long.
constexpr absl::Duration kStopGrace = absl::Seconds(1);
// Of one idle link, and of everything else beside them.
constexpr uint64_t kDescriptorsPerLink = 2, kOtherDescriptors = 64;

struct Flags {
  std::string master = "127.0.0.1:7520";
  std::string collector, collector_key;
  uint32_t slots = 0;
  uint32_t process_slots = 0;
  uint32_t async_slots = 1'000;
  HttpClientOptions http;
  std::string http_files;
  std::vector<std::string> sql;  // NAME=DATABASE.
  uint32_t sql_connections = 10;
  std::string state_dir;
  std::string token_file;
  std::string key_file;
  std::string name;
  std::vector<std::string> labels;     // NAME=VALUE.
  std::vector<std::string> resources;  // NAME=AMOUNT.
  double connect_timeout = 30;
  double drain_timeout = 10;
  std::vector<std::string> plugins;
  std::vector<std::string> isolate;
  bool isolated_child = false;
  bool acknowledge_only = false;
  uint32_t idle_links = 0;
  WorkerPolicy policy;
};

std::string DefaultStateDir() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state != '\0') return StrCat(state, "/reeve-worker");
  const char* home = std::getenv("HOME");
  return StrCat(home == nullptr ? "/tmp" : home, "/.local/state/reeve-worker");
}

std::string DefaultTokenFile(const std::string& master) {
  const char* file = std::getenv("REEVE_TOKEN_FILE");
  if (file != nullptr && *file != '\0') return file;
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = config != nullptr && *config != '\0'
                               ? config
                               : StrCat(home == nullptr ? "" : home, "/.config");
  std::string name = master;
  std::replace(name.begin(), name.end(), ':', '_');
  return StrCat(base, "/reeve/clusters/", name, ".token");
}

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "reeve-worker: %s\n", std::string(ToStd(status.message())).c_str());
  return code;
}

// `flags.sql` has been checked.
SqlPools MakeSqlPools(const Flags& flags, EventLoop* loop) {
  SqlPools pools;
  for (const std::string& named : flags.sql) {
    const size_t equals = named.find('=');
    SqlPoolOptions options{.database = named.substr(equals + 1),
                           .max_connections = flags.sql_connections};
    pools.emplace_back(named.substr(0, equals),
                       std::make_unique<SqlPool>(loop, std::move(options)));
  }
  return pools;
}

std::vector<v1::PoolStatus> StatusOf(const SqlPools& pools, const Flags& flags) {
  std::vector<v1::PoolStatus> statuses;
  for (const auto& [name, pool] : pools) {
    const SqlPoolState state = pool->state();
    v1::PoolStatus& status = statuses.emplace_back();
    status.set_name(StrCat("sql:", name));
    status.set_limit(flags.sql_connections);
    status.set_open(state.open);
    status.set_busy(state.busy);
    status.set_waiting(state.waiting);
    status.set_connect_count(state.connects);
    status.set_failed_connect_count(state.failed_connects);
    status.set_lost_count(state.lost);
    status.set_last_error(std::string(Beginning(AsUtf8(state.last_error), 400)));
  }
  return statuses;
}

// Errors: INVALID_ARGUMENT  a name that is none, or twice; too many; no connection string.
absl::Status CheckSql(const std::vector<std::string>& sql) {
  std::set<std::string> names;
  if (sql.size() > 32) return absl::InvalidArgumentError("--sql: at most 32 databases");
  for (const std::string& named : sql) {
    const size_t equals = named.find('=');
    const std::string name = named.substr(0, std::min(equals, named.size()));
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    if (equals == std::string::npos || name.empty() || name.size() > 32 ||
        name.find_first_not_of(kAllowed) != std::string::npos)
      return absl::InvalidArgumentError(
          StrCat("--sql ", name, ": NAME=DATABASE is wanted, with a name of a-z, 0-9, _ and -"));
    if (!names.insert(name).second)
      return absl::InvalidArgumentError(StrCat("--sql ", name, ": given twice"));
    if (absl::Status s = SqlPool::Check(named.substr(equals + 1)); !s.ok())
      return absl::InvalidArgumentError(StrCat("--sql ", name, ": ", ToStd(s.message())));
  }
  return absl::OkStatus();
}

// Errors: INVALID_ARGUMENT  a name, label or resource that is none, or too many.
absl::Status CheckNames(const Flags& flags) {
  if (flags.name.size() > 64 || !IsUtf8(flags.name))
    return absl::InvalidArgumentError("--name: at most 64 bytes of UTF-8");
  if (flags.labels.size() > 64) return absl::InvalidArgumentError("--label: at most 64");
  for (const std::string& label : flags.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || !IsLabel(std::string_view(label).substr(0, equals),
                                                std::string_view(label).substr(equals + 1))) {
      return absl::InvalidArgumentError(
          StrCat("--label ", label,
                 ": NAME=VALUE is wanted, the name of 1 to 63 of a-z, 0-9, ., _, "
                 "-, /, the value at most 63 printable characters"));
    }
    if (const std::string name = label.substr(0, equals); name == "host" || name == "name") {
      return absl::InvalidArgumentError(
          StrCat("--label ", label,
                 ": every worker has the labels `host`, its machine's name, and "
                 "`name`, which --name sets"));
    }
  }
  return OwnResources(flags.resources, LookAtMachine()).status();
}

WorkerLoop* draining_loop = nullptr;
IdleLinks* draining_links = nullptr;

void OnTerminate(int) {
  if (draining_loop != nullptr) draining_loop->Drain();
  if (draining_links != nullptr) draining_links->Drain();
}

AgentOptions MakeAgentOptions(const Flags& flags) {
  AgentOptions options;
  options.connect_timeout = absl::Seconds(flags.connect_timeout);
  options.drain_grace = absl::Seconds(flags.drain_timeout);
  options.hello_repeat = Scaled(options.hello_repeat);
  options.exclusive_hold = Scaled(options.exclusive_hold);
  options.results_repeat = Scaled(options.results_repeat);
  return options;
}

// With keys, the connection says who the worker is.
absl::StatusOr<WorkerIdentity> MakeIdentity(const Flags& flags) {
  WorkerIdentity identity;
  if (flags.key_file.empty()) {
    const auto token =
        ReadSmallFile(flags.token_file.empty() ? DefaultTokenFile(flags.master) : flags.token_file);
    if (!token.ok()) return token.status();
    identity.token = *token;
  }
  auto resources = OwnResources(flags.resources, LookAtMachine());
  if (!resources.ok()) return resources.status();
  identity.resources = *std::move(resources);
  identity.hostname = HostName();
  identity.name = flags.name;
  for (const std::string& label : flags.labels) {
    const size_t equals = label.find('=');
    identity.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  identity.version = kVersion;
  identity.host_key = HostKey();
  return identity;
}

// Errors: INVALID_ARGUMENT  no address.
//         FAILED_PRECONDITION  beyond loopback without keys.
absl::StatusOr<std::string> DispatchEndpoint(const Flags& flags) {
  const auto master = ParseHostPort(flags.master);
  if (!master.ok() || master->port > 65'533) {
    return absl::InvalidArgumentError(StrCat("--master ", flags.master, ": HOST:PORT is wanted"));
  }
  if (flags.key_file.empty() && !IsLoopbackHost(master->host)) {
    return absl::FailedPreconditionError(
        StrCat("--master ", flags.master,
               " is another machine, and no key file was given; run "
               "`reeve worker join ",
               flags.master, " --token-file FILE` once, which makes one"));
  }
  return StrCat("tcp://", WithPort(master->host, master->port + 1u));
}

absl::StatusOr<LinkKeys> MakeLinkKeys(const Flags& flags, const std::string& worker_id) {
  if (flags.key_file.empty()) return LinkKeys();
  auto keys = ReadLinkKeys(flags.key_file);
  if (keys.ok() && keys->worker_id != worker_id) {
    return absl::FailedPreconditionError(StrCat("the key file ", flags.key_file,
                                                " is of another worker than the state folder ",
                                                flags.state_dir));
  }
  return keys;
}

// Where results go instead of the master's collector, if anywhere.
absl::Status CheckRelay(const Flags& flags) {
  if (flags.collector.empty()) return absl::OkStatus();
  constexpr std::string_view kScheme = "tcp://";
  const auto relay = flags.collector.rfind(kScheme, 0) == 0
                         ? ParseHostPort(flags.collector.substr(kScheme.size()))
                         : absl::InvalidArgumentError("no scheme");
  if (!relay.ok()) {
    return absl::InvalidArgumentError(
        StrCat("--collector ", flags.collector, ": tcp://HOST:PORT is wanted"));
  }
  if (!flags.key_file.empty() && !IsCurveKey(flags.collector_key)) {
    return absl::InvalidArgumentError(
        "--collector wants the relay's public key, which it logs when it starts: --collector-key");
  }
  if (flags.key_file.empty() && !IsLoopbackHost(relay->host)) {
    return absl::FailedPreconditionError(
        StrCat("--collector ", flags.collector, " is another machine, and no key file was given"));
  }
  return absl::OkStatus();
}

int HoldIdleLinks(const Flags& flags, const std::string& dispatch) {
  const uint64_t wanted = kDescriptorsPerLink * flags.idle_links + kOtherDescriptors;
  if (const uint64_t allowed = RaiseDescriptorLimit(); allowed < wanted) {
    return Fail(kExitConfig, absl::FailedPreconditionError(
                                 StrCat("only ", allowed, " open files are allowed, ", wanted,
                                        " are needed for --idle-links (ulimit -n)")));
  }
  auto identity = MakeIdentity(flags);
  if (!identity.ok()) return Fail(kExitConfig, identity.status());
  identity->pid = static_cast<uint32_t>(getpid());
  IdleLinks links({.dispatch_endpoint = dispatch,
                   .identity = *std::move(identity),
                   .agent = MakeAgentOptions(flags),
                   .count = flags.idle_links});
  draining_links = &links;
  for (const int end : {SIGTERM, SIGINT}) signal(end, OnTerminate);
  const int code = links.Run();
  draining_links = nullptr;
  return code;
}

// Not in the supervisor: what a plug-in does when it is loaded is its own.
absl::Status AddPlugins(const Flags& flags, HandlerRegistry* registry) {
  for (const std::string& path : flags.plugins) {
    if (absl::Status s = LoadPlugin(path, registry); !s.ok()) return s;
  }
  for (const std::string& name : flags.isolate) {
    if (registry->Find(name) == nullptr)
      return absl::InvalidArgumentError(
          StrCat("--isolate ", name, ": no such handler on the thread lane"));
    registry->mutable_options(name)->isolation = Isolation::kProcess;
  }
  return absl::OkStatus();
}

// The worker proper: in the forked child of the supervisor.
int Serve(const Flags& flags, const WorkerIdentity& identity, const std::string& dispatch,
          HandlerRegistry handlers, const std::vector<std::string>& child_argv,
          SpawnChannel& channel, CrashNotes& notes, int joined, const SecretsFolder& secrets) {
  if (absl::Status s = AddPlugins(flags, &handlers); !s.ok()) return Fail(kExitConfig, s);
  // By default the kernel may wake a sleeper 50 us late, which is much to a task of 1 ms. Threads
  // made from here on inherit it; commands are the parent's and keep the default.
  prctl(PR_SET_TIMERSLACK, 1000);
  // The async lane holds a connection a task. Commands are the parent's, and keep the limit they
  // know.
  RaiseDescriptorLimit();
  WorkerLoop::Options options;
  options.dispatch_endpoint = dispatch;
  // Read anew: the process before this one may have learned others than the parent knows.
  auto keys = MakeLinkKeys(flags, identity.worker_id);
  if (!keys.ok()) return Fail(kExitConfig, keys.status());
  options.keys = *std::move(keys);
  options.on_keys = [&flags](const LinkKeys& told) {
    const absl::Status kept = WriteLinkKeys(flags.key_file, told);
    REEVE_LOG_INFO("the master told its keys anew kept={}", kept.ToString());
  };
  options.relay = flags.collector;
  options.relay_key = flags.collector_key;
  options.identity = identity;
  options.identity.process_id = MakeUuid();
  options.identity.pid = static_cast<uint32_t>(getpid());
  options.agent = MakeAgentOptions(flags);
  options.spool.folder = flags.state_dir;
  options.agent.spool_bytes = options.spool.memory_bytes + options.spool.file_bytes;
  ChildPool children({.argv = child_argv});
  EventLoop event_loop;
  HttpClient http(&event_loop, flags.http);
  Processes child_processes(&event_loop);
  HttpClientOptions public_only = flags.http;
  public_only.public_only = true;
  HttpClient public_http(&event_loop, public_only);
  HandlerRegistry registry = Isolated(handlers, &children);
  if (!registry.has("http") && flags.policy.Offers("http"))
    registry.AddAsync("http", MakeHttpHandler(&http, {.files_root = flags.http_files}));
  const SqlPools sql = MakeSqlPools(flags, &event_loop);
  if (!registry.has("sql") && !sql.empty() && flags.policy.Offers("sql"))
    registry.AddAsync("sql", MakeSqlHandler(&sql));
  options.pools = [&sql, &flags] { return StatusOf(sql, flags); };
  if (!registry.has("crawl") && flags.policy.Offers("crawl"))
    registry.AddAsync("crawl", MakeCrawlHandler(&http, &public_http));
  for (const std::string& name : registry.names())
    options.identity.handlers.emplace_back(name, Lane::kThread);
  for (const std::string& name : registry.async_names())
    options.identity.handlers.emplace_back(name, Lane::kAsync);
  if (flags.policy.Offers("exec")) options.identity.handlers.emplace_back("exec", Lane::kProcess);

  const CrashNotes::Kept kept = notes.kept();
  for (const CrashNotes::Task& task : kept.tasks)
    options.before.suspects.push_back({task.job, task.birth, task.index});
  options.before.culprit_named = kept.named;
  options.before.process_id = kept.process_id;
  notes.SetProcess(options.identity.process_id);
  options.on_before_told = [&notes] { notes.Forget(); };
  options.on_joined = [joined] { eventfd_write(joined, 1); };

  WorkerLoop loop(std::move(options));
  draining_loop = &loop;
  struct sigaction action {};
  action.sa_handler = OnTerminate;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGINT, SIG_IGN);  // The supervisor gets it, too, and passes it on.
  signal(SIGPIPE, SIG_IGN);
  CrashNotes::CatchFaults();
  ScratchFolders scratch(StrCat(flags.state_dir, "/scratch-handlers"));
  std::unique_ptr<TaskLane> threads, coroutines;
  if (flags.acknowledge_only) {
    threads = std::make_unique<NullLane>(flags.slots, loop.sink());
    coroutines = std::make_unique<NullLane>(flags.async_slots, loop.sink());
  } else {
    threads = std::make_unique<ThreadLane>(flags.slots, &registry, loop.sink(), &notes, &scratch);
    coroutines = std::make_unique<AsyncLane>(
        AsyncLane::Options{.slots = flags.async_slots,
                           .note = notes.slot(flags.slots + flags.process_slots),
                           .scratch = &scratch,
                           .http = &http,
                           .processes = &child_processes},
        &registry, &event_loop, loop.sink());
  }
  ProcessLane processes({.slots = flags.process_slots,
                         .scratch_root = StrCat(flags.state_dir, "/scratch"),
                         .notes = &notes,
                         .first_note = flags.slots,
                         .allow_commands = flags.policy.Offers("exec"),
                         .allow_shell = flags.policy.allows_shell(),
                         .limits = flags.policy.limits,
                         .secrets = &secrets},
                        &channel, loop.sink());
  loop.AddLane(Lane::kThread, threads.get());
  loop.AddLane(Lane::kAsync, coroutines.get());
  loop.AddLane(Lane::kProcess, &processes);
  const int code = loop.Run();
  processes.Stop(absl::ZeroDuration());
  coroutines->Stop(kStopGrace);
  threads->Stop(kStopGrace);
  draining_loop = nullptr;
  // A thread that did not end may still use what stands above.
  std::fflush(nullptr);
  _exit(code);
}

}  // namespace

struct Worker::Impl {
  HandlerRegistry registry;
};

Worker::Worker() : impl_(std::make_unique<Impl>()) {}
Worker::~Worker() = default;

void Worker::Handle(std::string name, ThreadHandler handler, HandlerOptions options) {
  impl_->registry.Add(std::move(name), std::move(handler), options);
}

void Worker::HandleAsync(std::string name, AsyncHandler handler) {
  impl_->registry.AddAsync(std::move(name), std::move(handler));
}

int Worker::Main(int argc, char** argv) {
  Flags flags;
  flags.state_dir = DefaultStateDir();
  CLI::App app("reeve-worker: runs tasks for a master.");
  app.add_option("--master", flags.master,
                 "HOST:PORT of the master's API; dispatch is the port after it")
      ->envname("REEVE_MASTER")
      ->capture_default_str();
  app.add_option("--collector", flags.collector,
                 "tcp://HOST:PORT of a relay (reeve-collector) that takes the results; default: "
                 "the master's own collector, which also stands in for a relay that is silent");
  app.add_option("--collector-key", flags.collector_key,
                 "Public key of the relay, if links are encrypted");
  app.add_option("--slots", flags.slots,
                 "Threads of the thread lane; default: the number of cores");
  app.add_option("--process-slots", flags.process_slots, "Commands at once; default: as --slots");
  app.add_option("--async-slots", flags.async_slots, "Tasks of the async lane at once")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  app.add_option("--http-connections", flags.http.max_connections,
                 "Connections of the handler http in all")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  app.add_option("--http-connections-per-host", flags.http.max_connections_per_host,
                 "Connections of the handler http to one host")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  app.add_flag("--http-public-only", flags.http.public_only,
               "The handler http connects to no loopback, private or link-local address");
  app.add_option("--http-files", flags.http_files,
                 "Folder below which the handler http may write bodies to files; default: none");
  app.add_option(
         "--sql", flags.sql,
         "NAME=DATABASE: a PostgreSQL database for the handler sql, as libpq names them; may "
         "be repeated, jobs use the first unless they name another")
      ->type_name("NAME=DATABASE");
  app.add_option("--sql-connections", flags.sql_connections, "Connections to each of them")
      ->check(CLI::Range(1u, 1'000u))
      ->capture_default_str();
  app.add_option("--state-dir", flags.state_dir, "Folder that keeps the worker's identity")
      ->capture_default_str();
  app.add_option("--token-file", flags.token_file,
                 "File with the cluster's token; default: REEVE_TOKEN_FILE, then the clusters "
                 "folder of the configuration");
  app.add_option("--name", flags.name, "What to call this worker, beside its number");
  app.add_option(
         "--label,--labels", flags.labels,
         "NAME=VALUE: something to know about it; may be repeated. Jobs may ask for workers "
         "by their labels")
      ->type_name("NAME=VALUE");
  app.add_option(
         "--resource,--resources", flags.resources,
         "NAME=AMOUNT: what it has besides slots, for tasks that occupy some of it, as "
         "gpu=2; may be repeated. Default: cpus, and memory in bytes, of the machine or the "
         "cgroup")
      ->type_name("NAME=AMOUNT");
  app.add_option("--key-file", flags.key_file,
                 "The worker's keys for an encrypted link, as `reeve worker join` makes them; "
                 "needed for a master on another machine");
  app.add_option("--connect-timeout", flags.connect_timeout,
                 "Seconds to wait for the first answer of the master")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  app.add_option("--drain-timeout", flags.drain_timeout,
                 "Seconds that running tasks get to finish when the worker stops")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--plugin", flags.plugins,
                 "A shared library with handlers (worker/sdk/plugin.h); may be repeated");
  app.add_option("--isolate", flags.isolate,
                 "Run this handler of the thread lane in child processes: a crash costs its task "
                 "only, and it can be "
                 "killed; may be repeated");
  AddPolicyFlags(&app, &flags.policy);
  AddYamlConfig(&app);
  app.add_flag("--isolated-child", flags.isolated_child)
      ->group("");  // How a worker starts a child.
  app.add_flag("--acknowledge-only", flags.acknowledge_only,
               "For measuring the master: handlers do not run, their tasks succeed at once with "
               "empty results; commands run as ever");
  app.add_option("--idle-links", flags.idle_links,
                 "For measuring the master: be so many idle workers, without handlers and slots, "
                 "until SIGTERM; says when all are attached")
      ->check(CLI::Range(1u, kMaxIdleLinks));
  app.set_version_flag("--version", StrCat("reeve-worker ", kVersion));
  app.footer(
      "Example: reeve-worker --master 127.0.0.1:7520 --slots 8 --state-dir /var/lib/reeve-worker");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (absl::Status s = Settle(flags.master, !flags.key_file.empty(), &flags.policy); !s.ok())
    return Fail(kExitUsage, s);
  AddBuiltinHandlers([&](std::string_view name) { return flags.policy.Offers(name); },
                     &impl_->registry);
  if (flags.isolated_child) {
    const absl::Status added = AddPlugins(flags, &impl_->registry);
    return added.ok() ? ServeIsolated(impl_->registry, STDIN_FILENO) : Fail(kExitConfig, added);
  }
  if (absl::Status s = CheckUser(flags.policy, geteuid() == 0); !s.ok())
    return Fail(kExitConfig, s);
  KeepMemoryPrivate();
  if (absl::Status s = CheckSql(flags.sql); !s.ok()) return Fail(kExitConfig, s);
  if (absl::Status s = CheckNames(flags); !s.ok()) return Fail(kExitUsage, s);
  if (flags.slots == 0) flags.slots = std::max(1u, std::thread::hardware_concurrency());
  if (flags.process_slots == 0) flags.process_slots = flags.slots;
  if (flags.slots > 10'000 || flags.process_slots > 10'000) {
    return Fail(kExitConfig,
                absl::InvalidArgumentError("--slots and --process-slots: at most 10,000"));
  }
  const auto dispatch = DispatchEndpoint(flags);
  if (!dispatch.ok()) return Fail(kExitConfig, dispatch.status());
  if (absl::Status s = CheckRelay(flags); !s.ok()) return Fail(kExitConfig, s);
  const SystemdNotify systemd = SystemdNotify::FromEnvironment();
  InitLog("reeve-worker");
  if (absl::Status s = InitFailpoints(); !s.ok()) return Fail(kExitUsage, s);
  if (flags.idle_links > 0) return HoldIdleLinks(flags, *dispatch);
  auto folder = StateFolder::Open(flags.state_dir, true);
  if (!folder.ok()) {
    return Fail(absl::IsPermissionDenied(folder.status()) ? kExitNoState : kExitConfig,
                folder.status());
  }
  auto identity = MakeIdentity(flags);
  if (!identity.ok()) return Fail(kExitConfig, identity.status());
  const auto worker_id = (*folder)->ReadOrMake("worker_id", MakeUuid());
  if (!worker_id.ok()) return Fail(kExitNoState, worker_id.status());
  identity->worker_id = *worker_id;
  if (const auto keys = MakeLinkKeys(flags, *worker_id); !keys.ok())
    return Fail(kExitConfig, keys.status());
  const auto secrets = flags.policy.secrets_dir.empty()
                           ? absl::StatusOr<SecretsFolder>(SecretsFolder())
                           : SecretsFolder::Open(flags.policy.secrets_dir);
  if (!secrets.ok()) return Fail(kExitConfig, secrets.status());
  CrashNotes notes(flags.slots + flags.process_slots + 1);  // One for the async lane.
  const int joined = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  SupervisorOptions supervision{.notes = &notes, .joined = joined};
  // Ready means joined: a worker that finds no master ends, so its start has failed then.
  supervision.on_joined = [&] {
    systemd.Send(StrCat("READY=1\nSTATUS=joined the master at ", flags.master));
  };
  supervision.on_stopping = [&] { systemd.Send("STOPPING=1\nSTATUS=drains"); };
  // Divided as the master's grace for a closed connection is: a crash note that comes after it
  // finds the tasks given to others, and charges nobody.
  for (absl::Duration* time : {&supervision.first_backoff, &supervision.longest_backoff})
    *time = Scaled(*time);
  std::vector<std::string> child_argv(argv, argv + argc);
  child_argv.push_back("--isolated-child");
  return RunSupervised(supervision, [&](SpawnChannel& channel) {
    return Serve(flags, *identity, *dispatch, impl_->registry, child_argv, channel, notes, joined,
                 *secrets);
  });
}

}  // namespace reeve
