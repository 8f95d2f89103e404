// reeve-master: takes jobs, gives them to workers, keeps what comes back.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "CLI/CLI.hpp"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/accept_guard.h"
#include "base/clock.h"
#include "base/connection_watch.h"
#include "base/descriptor_limit.h"
#include "base/failpoint.h"
#include "base/host_key.h"
#include "base/log.h"
#include "base/named_thread.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "base/time_scale.h"
#include "base/uuid.h"
#include "base/version.h"
#include "base/zmq_gate.h"
#include "master/collector/collector.h"
#include "master/dispatch/dispatcher.h"
#include "master/dispatch/session_registry.h"
#include "master/runtime/master_loop.h"
#include "master/service/api_server.h"
#include "master/store/disk_room.h"
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
constexpr uint64_t kLeastDescriptors = 512;
constexpr uint64_t kKeptFromConnections = 8;  // One of so many descriptors.

struct Flags {
  std::string listen = "127.0.0.1";
  int port = 7520;
  std::string state_dir;
  std::string token_file;
  bool init = false;
  bool check = false;
  std::string advertise_collector;
  uint64_t max_memory_mib = 4096;
  uint64_t max_active_jobs = SchedulerOptions().max_active_jobs;
  uint64_t max_queued_tasks = SchedulerOptions().max_queued_payload_tasks;
  uint64_t max_queued_mib = SchedulerOptions().max_queued_bytes >> 20;
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

// At its limit of descriptors libzmq spins in accept; so there must be room from the start, and an
// eighth of it is kept from connections.
absl::Status MakeRoomForConnections() {
  const uint64_t limit = RaiseDescriptorLimit();
  RefuseConnectionsFrom(
      static_cast<int>(std::min<uint64_t>(INT_MAX, limit - limit / kKeptFromConnections)));
  if (limit >= kLeastDescriptors) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat("only ", limit, " open files are allowed, at least ",
                                              kLeastDescriptors, " are needed (ulimit -n)"));
}

uint64_t ResidentBytes() {
  uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Below this nobody looks who sends without end.
constexpr uint64_t kModestBytes = 128 << 20;
// What a connection may bring without a message: a worker sends again what is not acknowledged, 16
// MiB at most, also while nobody receives.
constexpr uint64_t kEndlessBytes = 64 << 20;

// A message without end grows inside libzmq: its connection is cut. If memory grows all the same,
// ending here and going on from the store is better than what the kernel would choose to kill.
void WatchMemory(uint64_t most_bytes, uint16_t dispatch_port, uint16_t collector_port) {
  NamedThread("memory-watch", [most_bytes, watch = ConnectionWatch({dispatch_port, collector_port},
                                                                   kEndlessBytes)]() mutable {
    for (;;) {
      const uint64_t resident = ResidentBytes();
      if (resident > most_bytes) {
        REEVE_LOG_ERROR("memory is above its bound, ending resident_bytes={} most_bytes={}",
                        resident, most_bytes);
        _exit(kExitFault);
      }
      if (const size_t ended = resident > kModestBytes ? watch.EndEndless() : 0; ended > 0)
        REEVE_LOG_ERROR("connections cut that sent without end count={}", ended);
      absl::SleepFor(absl::Milliseconds(50));
    }
  }).detach();
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

int Serve(const Flags& flags) {
  if (absl::Status s = MakeRoomForConnections(); !s.ok()) return Fail(kExitConfig, s);
  WatchMemory(flags.max_memory_mib << 20, static_cast<uint16_t>(flags.port + 1),
              static_cast<uint16_t>(flags.port + 2));
  auto folder = StateFolder::Open(flags.state_dir, flags.init);
  if (!folder.ok()) return Fail(ExitCodeOf(folder.status()), folder.status());
  const auto token = flags.token_file.empty() ? (*folder)->ReadOrMake("token", RandomHex(32))
                                              : ReadSmallFile(flags.token_file);
  if (!token.ok()) return Fail(kExitConfig, token.status());
  const auto cluster_id = (*folder)->ReadOrMake("cluster_id", MakeUuid());
  if (!cluster_id.ok()) return Fail(kExitNoState, cluster_id.status());

  const bool check = flags.check || (*folder)->HasMark(kCheckMark);
  auto durable =
      OpenSqliteStore({.path = (*folder)->database(), .create = flags.init, .check = check});
  if (durable.ok()) (*folder)->Unmark(kCheckMark);
  if (!durable.ok()) return Fail(ExitCodeOf(durable.status()), durable.status());
  auto memory = NewMemoryStore({});
  auto image = (*durable)->Load();
  if (!image.ok()) return Fail(kExitFault, image.status());
  Failpoint("master.recovered");
  auto durable_reader = (*durable)->NewReader();
  if (!durable_reader.ok()) return Fail(kExitFault, durable_reader.status());
  ReaderThread reader(std::move(*durable_reader), *memory->NewReader());

  const Epoch epoch = image->epoch;
  const std::string dispatch = StrCat("tcp://", flags.listen, ":", flags.port + 1);
  const std::string collect = StrCat("tcp://", flags.listen, ":", flags.port + 2);
  ZmqContext context(2);
  auto gate = ZmqGate::Start(context, [](const std::string&) { return false; });
  if (!gate.ok()) return Fail(kExitFault, gate.status());
  SessionRegistry sessions;
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
      context, {.endpoints = {collect}, .epoch = epoch, .sessions = &sessions},
      {.results = [&loop](ResultsArrived results,
                          size_t bytes) { return loop.PostResults(std::move(results), bytes); },
       .logs =
           [&](JobId job, std::vector<StoredLog> logs) {
             hub.OnLogs(job, logs);
             // The memory store takes those of its own jobs and refuses others.
             if (!memory->CommitLogs(job, logs).ok()) store_thread.SubmitLogs(job, std::move(logs));
           }});

  MasterLoop::Parts parts;
  parts.scheduler = std::make_unique<Scheduler>(MakeSchedulerOptions(flags), std::move(*image),
                                                Now{Monotonic(), absl::Now()});
  parts.make_dispatcher = [&] {
    Dispatcher::Options options{.endpoints = {dispatch},
                                .token = *token,
                                .collector_endpoint = flags.advertise_collector.empty()
                                                          ? collect
                                                          : flags.advertise_collector,
                                .epoch = epoch,
                                .host_key = HostKey(),
                                .sessions = &sessions};
    for (absl::Duration* time :
         {&options.heartbeat, &options.lease, &options.orphan_timeout, &options.probe_after})
      *time = Scaled(*time);
    return Dispatcher::Create(context, options);
  };
  parts.acknowledge = [&collector](AckResults ack) { collector.Acknowledge(std::move(ack)); };
  parts.durable = &store_thread;
  parts.memory = memory.get();
  parts.reader = &reader;
  parts.api = &hub;
  parts.disk_is_low = [&room](uint64_t waiting) { return room.is_low(waiting); };
  parts.on_fault = on_fault;

  if (absl::Status s = collector.Start(); !s.ok()) return Fail(ExitCodeOf(s), s);
  store_thread.Start();
  reader.Start();
  if (absl::Status s = loop.Start(std::move(parts)); !s.ok()) return Fail(ExitCodeOf(s), s);
  const std::string address = StrCat(flags.listen, ":", flags.port);
  auto server = ApiServer::Start({&loop, &reader, &hub}, {.address = address,
                                                          .token = *token,
                                                          .cluster_id = *cluster_id,
                                                          .dispatch_endpoint = dispatch,
                                                          .collector_endpoint = collect,
                                                          .state_directory = (*folder)->path(),
                                                          .epoch = epoch,
                                                          .start_time = absl::Now()});
  if (!server.ok()) return Fail(ExitCodeOf(server.status()), server.status());
  REEVE_LOG_INFO("master serves address={} epoch={} state={}", address, epoch.value,
                 (*folder)->path());

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  int signal = 0;
  sigwait(&signals, &signal);
  REEVE_LOG_INFO("master stops signal={}", signal);
  (*server)->Stop();
  loop.Stop();
  collector.Stop();
  store_thread.Stop();
  reader.Stop();
  return 0;
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

}  // namespace
}  // namespace reeve

int main(int argc, char** argv) {
  using namespace reeve;
  Flags flags;
  flags.state_dir = DefaultStateDir();
  CLI::App app("reeve-master: takes jobs, gives them to workers, keeps what comes back.");
  app.add_option("--listen", flags.listen, "Address to listen on")->capture_default_str();
  app.add_option("--port", flags.port, "Port of the API; PORT+1 dispatch, PORT+2 collector")
      ->check(CLI::Range(1, 65'532))
      ->capture_default_str();
  app.add_option("--state-dir", flags.state_dir, "Folder of the state")->capture_default_str();
  app.add_option("--token-file", flags.token_file,
                 "File with the token; default: `token` in the state folder");
  app.add_flag("--init", flags.init, "Make the state folder and store if they are not there");
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
  if (!IsLoopback(flags.listen)) {
    std::fprintf(
        stderr,
        "reeve-master: --listen %s: only loopback addresses until the sockets can be encrypted\n",
        flags.listen.c_str());
    return kExitConfig;
  }
  // Blocked before any thread exists, so that sigwait below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Debian's Abseil looks for deadlocks at each lock that gRPC takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  InitLog("reeve-master");
  if (absl::Status s = InitFailpoints(); !s.ok()) return Fail(kExitUsage, s);
  return Serve(flags);
}
