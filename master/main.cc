// reeve-master: takes jobs, gives them to workers, keeps what comes back.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/accept_guard.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/host_key.h"
#include "base/log.h"
#include "base/memory_watch.h"
#include "base/periodic_thread.h"
#include "base/private_memory.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "base/systemd_notify.h"
#include "base/time_scale.h"
#include "base/uuid.h"
#include "base/version.h"
#include "base/zmq_gate.h"
#include "master/access/access.h"
#include "master/access/audit_log.h"
#include "master/access/identity.h"
#include "master/access/listening.h"
#include "master/collector/collector.h"
#include "master/dispatch/dispatcher.h"
#include "master/dispatch/key_paths.h"
#include "master/dispatch/session_registry.h"
#include "master/runtime/master_loop.h"
#include "master/service/api_server.h"
#include "master/service/schedule_settings.h"
#include "master/store/disk_room.h"
#include "master/store/job_record.h"
#include "master/store/memory_store.h"
#include "master/store/reader_thread.h"
#include "master/store/sqlite_store.h"
#include "master/store/store_thread.h"

namespace reeve {
namespace {

// In the state folder after a fault of the store: the next start reads all of it first.
constexpr char kCheckMark[] = "CHECK";
constexpr int kExitUsage = 2;
constexpr int kExitFault = 70;
constexpr int kExitNoState = 73;
constexpr int kExitConfig = 78;

constexpr absl::Duration kJoinTokenLife = absl::Hours(24 * 7);
constexpr absl::Duration kJoinTokenSpare = absl::Hours(24);
constexpr absl::Duration kGuard = absl::Seconds(1);
constexpr absl::Duration kUpkeep = absl::Minutes(1);
constexpr absl::Duration kGateAnswers = absl::Seconds(5);

struct Flags {
  ListenFlags listen;
  std::vector<std::string> advertise;  // Further names of this master.
  int port = 7520;
  std::string state_dir;
  std::string token_file;
  bool init = false;
  bool init_only = false;
  bool check = false;
  std::string advertise_collector;
  uint64_t max_memory_mib = 4096;
  uint64_t max_active_jobs = SchedulerOptions().max_active_jobs;
  uint64_t max_queued_tasks = SchedulerOptions().max_queued_payload_tasks;
  uint64_t max_queued_mib = SchedulerOptions().max_queued_bytes >> 20;
  int64_t retain_hours = absl::ToInt64Hours(RetentionOptions().age);
  uint64_t retain_jobs = RetentionOptions().jobs;
  uint64_t retain_bytes = RetentionOptions().bytes;
};

std::string DefaultStateDir() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state != '\0') return StrCat(state, "/reeve");
  const char* home = std::getenv("HOME");
  return StrCat(home == nullptr ? "/tmp" : home, "/.local/state/reeve");
}

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "reeve-master: %s\n", std::string(ToStd(status.message())).c_str());
  return code;
}

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kNotFound: return kExitNoState;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kInvalidArgument: return kExitConfig;
    default: return kExitFault;
  }
}

SchedulerOptions MakeSchedulerOptions(const Flags& flags) {
  SchedulerOptions options;
  options.max_active_jobs = flags.max_active_jobs;
  options.max_queued_payload_tasks = flags.max_queued_tasks;
  options.max_queued_bytes = flags.max_queued_mib << 20;
  for (absl::Duration* time : {&options.suspect, &options.lease, &options.reconnect_grace,
                               &options.resend, &options.reattach_window, &options.cancel_grace}) {
    *time = Scaled(*time);
  }
  return options;
}

// A token for `reeve worker join`; a new one before the old one ends.
absl::Status KeepJoinToken(const MasterIdentity& identity, Access* access) {
  const absl::Time now = absl::Now();
  const auto there = ReadSmallFile(identity.join_token_file());
  if (there.ok() && access->Identify(*there, now + kJoinTokenSpare).ok()) return absl::OkStatus();
  const auto made = access->CreateToken("join", kRoleWorker, now + kJoinTokenLife, now);
  if (!made.ok()) return made.status();
  return WriteSecretFile(identity.join_token_file(), made->text);
}

// Without the gate libzmq lets anybody in.
void EndUnlessGuarded(ZmqGate& gate) {
  if (gate.Answers(kGateAnswers)) return;
  REEVE_LOG_ERROR("the gate of the link does not answer, ending");
  _exit(kExitFault);
}

void KeepKeys(MasterIdentity& identity, Access* access) {
  absl::Status status = identity.Renew(absl::Now());
  if (status.ok()) status = KeepJoinToken(identity, access);
  if (!status.ok()) REEVE_LOG_ERROR("keys cannot be renewed why={}", status.ToString());
}

int Serve(const Flags& flags, SystemdNotify& systemd) {
  if (absl::Status s = MakeRoomForConnections(); !s.ok()) return Fail(kExitConfig, s);
  WatchMemory(flags.max_memory_mib << 20,
              {static_cast<uint16_t>(flags.port + 1), static_cast<uint16_t>(flags.port + 2)},
              kExitFault);
  auto folder = StateFolder::Open(flags.state_dir, flags.init);
  if (!folder.ok()) return Fail(ExitCodeOf(folder.status()), folder.status());
  const auto listening = DecideListening(flags.listen);
  if (!listening.ok()) return Fail(kExitConfig, listening.status());
  const auto token = flags.token_file.empty() ? (*folder)->ReadOrMake("token", RandomHex(32))
                                              : ReadSmallFile(flags.token_file);
  if (!token.ok()) return Fail(kExitConfig, token.status());
  const auto cluster_id = (*folder)->ReadOrMake("cluster_id", MakeUuid());
  if (!cluster_id.ok()) return Fail(kExitNoState, cluster_id.status());
  std::unique_ptr<MasterIdentity> identity;
  if (listening->is_protected) {
    auto opened = MasterIdentity::Open((*folder)->path(), *cluster_id,
                                       listening->Names(flags.advertise), absl::Now());
    if (!opened.ok()) return Fail(kExitConfig, opened.status());
    identity = *std::move(opened);
  }
  auto access = Access::Open({.file = (*folder)->path() + "/access.json",
                              .root_token = *token,
                              .fingerprint = identity ? identity->fingerprint() : ""});
  if (!access.ok()) return Fail(kExitConfig, access.status());
  if (identity != nullptr) {
    if (absl::Status s = KeepJoinToken(*identity, access->get()); !s.ok())
      return Fail(kExitConfig, s);
  }
  AuditLog audit((*folder)->path() + "/audit.log");

  const bool check = flags.check || (*folder)->HasMark(kCheckMark);
  auto durable = OpenSqliteStore({.path = (*folder)->database(),
                                  .create = flags.init,
                                  .check = check,
                                  .retention = {.age = absl::Hours(flags.retain_hours),
                                                .jobs = flags.retain_jobs,
                                                .bytes = flags.retain_bytes}});
  if (durable.ok()) (*folder)->Unmark(kCheckMark);
  if (!durable.ok()) return Fail(ExitCodeOf(durable.status()), durable.status());
  if (flags.init_only) {
    std::printf("The store is ready in %s\n", (*folder)->path().c_str());
    return 0;
  }
  auto memory = NewMemoryStore({});
  auto image = (*durable)->Load();
  if (!image.ok()) return Fail(kExitFault, image.status());
  for (ScheduleImage& schedule : image->schedules) RestoreSettings(&schedule);
  Failpoint("master.recovered");
  auto durable_reader = (*durable)->NewReader();
  if (!durable_reader.ok()) return Fail(kExitFault, durable_reader.status());
  ReaderThread reader(std::move(*durable_reader), *memory->NewReader());

  const Epoch epoch = image->epoch;
  const std::vector<std::string> dispatch = listening->Addresses(flags.port + 1, "tcp://");
  const std::vector<std::string> collect = listening->Addresses(flags.port + 2, "tcp://");
  // A worker finds the collector on the host by which it found the dispatcher.
  const std::string told_collector = flags.advertise_collector.empty()
                                         ? StrCat("tcp://*:", flags.port + 2)
                                         : flags.advertise_collector;
  const CurveKeys link_keys = identity ? identity->current() : CurveKeys();
  ZmqContext context(2);
  auto gate = ZmqGate::Start(
      context, [&access](const std::string& key) { return (*access)->IsEnrolled(key); });
  if (!gate.ok()) return Fail(kExitFault, gate.status());
  SessionRegistry sessions;
  KeyPaths key_paths;
  for (const JobImage& job : image->jobs) {
    if (!job.job.options.accepts_inputs) continue;
    const std::string path = TaskKeyPathOf(job.job.view.record);
    if (!path.empty()) key_paths.Put(job.job.view.job, path);
  }
  Hub hub;
  MasterLoop loop;
  DiskRoom room((*folder)->path());
  const auto on_fault = [&folder](const absl::Status& status) {
    // What stands in the store is unknown: go on from what it says after a restart, once it is
    // checked.
    REEVE_LOG_ERROR("the store failed, ending why={}", status.ToString());
    (*folder)->Mark(kCheckMark);
    _exit(kExitFault);
  };
  StoreThread store_thread(
      durable->get(), &room,
      [&loop](uint64_t number) {
        loop.PostInternal(Committed{StoreKind::kDurable, number});
      },
      on_fault);
  Collector collector(
      context,
      {.endpoints = collect,
       .curve = link_keys,
       .epoch = epoch,
       .sessions = &sessions,
       .key_paths = &key_paths,
       .is_relay =
           [&access](const std::string& key) {
             const auto enrolled = (*access)->WorkerOf(key);
             return enrolled.ok() && enrolled->is_relay;
           }},
      {.results = [&loop](ResultsArrived results,
                          size_t bytes) { return loop.PostResults(std::move(results), bytes); },
       .output = [&loop](OutputArrived output,
                         size_t bytes) { return loop.PostOutput(std::move(output), bytes); }});

  MasterLoop::Parts parts;
  parts.scheduler = std::make_unique<Scheduler>(MakeSchedulerOptions(flags), std::move(*image),
                                                Now{Monotonic(), absl::Now()});
  parts.key_paths = &key_paths;
  parts.make_dispatcher = [&] {
    Dispatcher::Options options{.endpoints = dispatch,
                                .curve = link_keys,
                                .access = access->get(),
                                .collector_endpoint = told_collector,
                                .next_server_key = identity ? identity->next_public_key() : "",
                                .epoch = epoch,
                                .host_key = HostKey(),
                                .sessions = &sessions};
    for (absl::Duration* time :
         {&options.heartbeat, &options.lease, &options.orphan_timeout, &options.probe_after})
      *time = Scaled(*time);
    return Dispatcher::Create(context, options);
  };
  parts.acknowledge = [&collector](AckResults ack) { collector.Acknowledge(std::move(ack)); };
  parts.output = [&](JobId job, std::vector<StoredLog> logs) {
    hub.OnLogs(job, logs);
    // The memory store takes those of its own jobs and refuses others.
    if (!memory->CommitLogs(job, logs).ok()) store_thread.SubmitLogs(job, std::move(logs));
  };
  parts.durable = &store_thread;
  parts.memory = memory.get();
  parts.reader = &reader;
  parts.api = &hub;
  parts.disk_is_low = [&room](uint64_t waiting) { return room.is_low(waiting); };
  parts.on_fault = on_fault;
  parts.on_turn = [&systemd](absl::Duration now) { systemd.Alive(now); };

  if (absl::Status s = collector.Start(); !s.ok()) return Fail(ExitCodeOf(s), s);
  store_thread.Start();
  reader.Start();
  if (absl::Status s = loop.Start(std::move(parts)); !s.ok()) return Fail(ExitCodeOf(s), s);
  const auto server_keys = [&identity] {
    return identity ? ServerKeys{identity->current().public_key, identity->next_public_key()}
                    : ServerKeys();
  };
  // On the loop thread. The collector may change a moment after the dispatcher: workers connect to
  // it again by the Welcome that the dispatcher answers them with.
  const auto rotate_keys = [&]() -> absl::Status {
    if (absl::Status s = identity->Rotate(absl::Now()); !s.ok()) return s;
    collector.ChangeKeys(identity->current());
    const absl::Status bound =
        loop.dispatcher().ChangeKeys(identity->current(), identity->next_public_key());
    if (!bound.ok()) on_fault(bound);
    return absl::OkStatus();
  };
  auto server = ApiServer::Start(
      {&loop, &reader, &hub, nullptr},
      {.addresses = listening->Addresses(flags.port),
       .certificate_file = identity ? identity->certificate_file() : "",
       .access = access->get(),
       .audit = &audit,
       .link_ports = {static_cast<uint32_t>(flags.port + 1), static_cast<uint32_t>(flags.port + 2)},
       .server_keys = server_keys,
       .rotate_keys = identity ? rotate_keys : decltype(ApiServer::Options::rotate_keys)(),
       .cluster_id = *cluster_id,
       .dispatch_endpoint = dispatch.front(),
       .collector_endpoint = collect.front(),
       .state_directory = (*folder)->path(),
       .epoch = epoch,
       .start_time = absl::Now()});
  if (!server.ok()) return Fail(ExitCodeOf(server.status()), server.status());
  const PeriodicThread guard("guard", kGuard, [&] {
    EndUnlessGuarded(**gate);
    (*server)->EndRevoked();
  });
  const PeriodicThread upkeep("upkeep", kUpkeep, [&] {
    if (identity != nullptr) KeepKeys(*identity, access->get());
    if (listening->is_open) {
      REEVE_LOG_WARNING(
          "this master listens beyond loopback without encryption: everybody there can read all "
          "data, and whoever has read a token can run commands");
    }
  });
  REEVE_LOG_INFO("master serves address={} epoch={} state={} encrypted={}",
                 listening->Addresses(flags.port).front(), epoch.value, (*folder)->path(),
                 listening->is_protected);
  systemd.Send(StrCat("READY=1\nSTATUS=serves ", listening->Addresses(flags.port).front(),
                      ", epoch ", epoch.value));

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) {
    const absl::Status read = (*access)->Reload();
    REEVE_LOG_INFO("the access file was read again result={}", read.ToString());
  }
  REEVE_LOG_INFO("master stops signal={}", signal);
  systemd.Send("STOPPING=1\nSTATUS=stops");
  (*server)->Stop();
  loop.Stop();
  collector.Stop();
  store_thread.Stop();
  reader.Stop();
  return 0;
}

}  // namespace
}  // namespace reeve

int main(int argc, char** argv) {
  using namespace reeve;
  umask(077);  // Whatever is made here is for the owner alone.
  Flags flags;
  flags.state_dir = DefaultStateDir();
  CLI::App app("reeve-master: takes jobs, gives them to workers, keeps what comes back.");
  app.add_option("--listen", flags.listen.hosts,
                 "Address to listen on; may be repeated; default 127.0.0.1. Beyond loopback "
                 "everything is encrypted and asks for keys");
  app.add_option("--advertise", flags.advertise,
                 "Another name or address clients know this master by, for its certificate; may be "
                 "repeated");
  app.add_flag("--encrypt", flags.listen.encrypt, "TLS, CURVE and keys also on loopback");
  app.add_flag("--plaintext", flags.listen.plaintext, "No encryption: refused beyond loopback");
  app.add_flag("--i-understand-insecure", flags.listen.insecure,
               "With --plaintext: beyond loopback all the same")
      ->group("");
  app.add_option("--port", flags.port, "Port of the API; PORT+1 dispatch, PORT+2 collector")
      ->check(CLI::Range(1, 65'532))
      ->capture_default_str();
  app.add_option("--state-dir", flags.state_dir, "Folder of the state")->capture_default_str();
  app.add_option("--token-file", flags.token_file,
                 "File with the token of root; default: `token` in the state folder");
  app.add_flag("--init", flags.init, "Make the state folder and store if they are not there");
  app.add_flag("--init-only", flags.init_only, "As --init, and end without serving");
  app.add_flag(
      "--check", flags.check,
      "Read the whole store before serving (0.6 s per 128 MiB); always done after a fault");
  app.add_option("--max-active-jobs", flags.max_active_jobs,
                 "Jobs that have not ended; more are refused until some end")
      ->capture_default_str();
  app.add_option("--max-queued-tasks", flags.max_queued_tasks,
                 "Tasks with inputs that wait; more are refused")
      ->capture_default_str();
  app.add_option("--max-queued-mib", flags.max_queued_mib, "MiB of inputs that wait; likewise")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  app.add_option("--retain-hours", flags.retain_hours,
                 "Hours for which ended jobs are kept with their results and output")
      ->check(CLI::Range(1, 24 * 365 * 100))
      ->capture_default_str();
  app.add_option("--retain-jobs", flags.retain_jobs,
                 "Ended jobs that are kept; beyond, the oldest are forgotten")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--retain-bytes", flags.retain_bytes,
                 "Bytes of inputs, results and output of ended jobs that are kept; likewise")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 60))
      ->capture_default_str();
  app.add_option("--max-memory", flags.max_memory_mib,
                 "Resident memory in MiB above which the master ends with 70, to recover")
      ->check(CLI::Range(128, 1 << 24))
      ->capture_default_str();
  app.add_option(
         "--advertise-collector", flags.advertise_collector,
         "Endpoint of the collector as workers are told it, when it is not where it listens")
      ->group("");
  app.set_version_flag("--version", StrCat("reeve-master ", kVersion));
  app.footer("Example: reeve-master --state-dir /var/lib/reeve --init");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  flags.init = flags.init || flags.init_only;
  SystemdNotify systemd = SystemdNotify::FromEnvironment();
  KeepMemoryPrivate();
  // Blocked before any thread exists, so that sigwait below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Debian's Abseil looks for deadlocks at each lock that gRPC takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  InitLog("reeve-master");
  if (absl::Status s = InitFailpoints(); !s.ok()) return Fail(kExitUsage, s);
  return Serve(flags, systemd);
}
