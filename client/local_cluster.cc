#include "client/local_cluster.h"

#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "base/host_address.h"
#include "base/link_keys.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "client/enrolment.h"
#include "client/programs.h"

namespace reeve {
namespace {

constexpr absl::Duration kReadyWithin = absl::Seconds(30);
constexpr absl::Duration kPoll = absl::Milliseconds(20);
constexpr absl::Duration kSupervisePoll = absl::Milliseconds(300);
constexpr absl::Duration kFirstPause = absl::Seconds(1), kLongestPause = absl::Seconds(30);
// Whoever lived this long before it died is started again soon.
constexpr absl::Duration kWasStable = absl::Minutes(1);

absl::Status LocalError(std::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "LOCAL", message);
}

bool IsOurs(const std::string& entry) {
  return entry == "run" || entry == "log" || entry == "token" || entry.rfind("worker-", 0) == 0 ||
         entry == "LOCK";
}

// Whether the folder holds nothing but what `up` itself puts there.
bool HoldsNothingForeign(const std::string& folder) {
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return true;
  bool is_clean = true;
  while (const dirent* entry = readdir(listing)) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && !IsOurs(name)) is_clean = false;
  }
  closedir(listing);
  return is_clean;
}

std::vector<std::string> WorkerNames(const std::string& state_folder) {
  std::vector<std::string> names;
  DIR* listing = opendir((state_folder + "/run").c_str());
  if (listing == nullptr) return names;
  while (const dirent* entry = readdir(listing)) {
    const std::string name = entry->d_name;
    const size_t dot = name.rfind(".pid");
    if (name.rfind("worker-", 0) == 0 && dot != std::string::npos)
      names.push_back(name.substr(0, dot));
  }
  closedir(listing);
  std::sort(names.begin(), names.end());
  return names;
}

std::string PidFile(const std::string& state_folder, const std::string& name) {
  return StrCat(state_folder, "/run/", name, ".pid");
}

bool CanBind(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const bool is_free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return is_free;
}

// Asks all to end, waits, and kills who does not. Returns: whether none had to be killed.
bool StopProcesses(const std::vector<ProcessId>& processes, absl::Duration grace) {
  bool is_clean = true;
  const absl::Time deadline = absl::Now() + grace;
  for (const ProcessId& process : processes) SendSignal(process, SIGTERM);
  for (const ProcessId& process : processes) {
    if (WaitForEnd(process, deadline)) continue;
    is_clean = false;
    SendSignal(process, SIGKILL);
    WaitForEnd(process, absl::Now() + absl::Seconds(5));
  }
  return is_clean;
}

}  // namespace

absl::StatusOr<uint16_t> FindFreePorts() {
  constexpr uint16_t kFirst = 20000, kRange = 8000, kPorts = 4;
  for (int attempt = 0; attempt < 200; ++attempt) {
    const uint16_t port = static_cast<uint16_t>(kFirst + RandomId() % kRange);
    bool is_free = true;
    for (uint16_t i = 0; i < kPorts; ++i)
      is_free = is_free && CanBind(static_cast<uint16_t>(port + i));
    if (is_free) return port;
  }
  return LocalError("no four free ports in a row between 20000 and 28000");
}

absl::StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::Start(
    const LocalClusterOptions& options, Canceller& canceller) {
  auto cluster = std::unique_ptr<LocalCluster>(new LocalCluster(options));
  absl::Status status = cluster->PrepareFolder();
  if (status.ok()) status = cluster->ChooseAddress();
  if (status.ok()) status = cluster->ChooseListen();
  if (status.ok()) status = cluster->StartMaster();
  // Workers that need keys ask the master for them; others find it by themselves.
  if (status.ok() && !cluster->listen_.empty()) {
    status = cluster->WaitFor(canceller, [&](JobClient& c) { return cluster->CheckMaster(c); });
  }
  if (status.ok()) status = cluster->StartWorkers();
  if (status.ok())
    status = cluster->WaitFor(canceller, [&](JobClient& c) { return cluster->CheckReady(c); });
  if (status.ok()) status = cluster->PublishAccess();
  if (status.ok()) return cluster;
  cluster->Stop(absl::Seconds(5));
  return status;
}

absl::Status LocalCluster::PrepareFolder() {
  const std::string& folder = options_.state_folder;
  must_init_ = ::access((folder + "/reeve.db").c_str(), F_OK) != 0;
  if (must_init_ && !HoldsNothingForeign(folder)) {
    return LocalError(
        StrCat(folder, " is not empty and holds no cluster; give another --state-dir"));
  }
  for (const char* part : {"", "/run", "/log"}) {
    if (const absl::Status status = MakeFolders(folder + part); !status.ok()) return status;
  }
  absl::StatusOr<std::string> token = ReadSmallFile(folder + "/token");
  if (absl::IsNotFound(token.status())) {
    token = RandomHex(32);
    const absl::Status status = WriteSecretFile(folder + "/token", *token + "\n");
    if (!status.ok()) return LocalError(ToStd(status.message()));
  }
  if (!token.ok()) return LocalError(ToStd(token.status().message()));
  access_.token = *token;
  return absl::OkStatus();
}

absl::Status LocalCluster::ChooseAddress() {
  const std::string file = options_.state_folder + "/run/address";
  address_.host = options_.host;
  const absl::StatusOr<std::string> last = ReadSmallFile(file);
  const absl::StatusOr<Address> known = last.ok() ? ParseAddress(*last) : last.status();
  if (options_.port != 0) {
    address_.port = options_.port;
  } else if (known.ok()) {
    address_ = *known;
  }
  const bool is_running = FindProcess(PidFile(options_.state_folder, "master")).has_value();
  if (is_running && known.ok() && known->ToString() != address_.ToString()) {
    return LocalError(StrCat("the cluster on ", options_.state_folder, " runs at ",
                             known->ToString(), " already; `reeve down` stops it"));
  }
  const absl::Status status = WriteSecretFile(file, address_.ToString() + "\n");
  return status.ok() ? status : LocalError(ToStd(status.message()));
}

// As given, or as it was when it ran last: a cluster that was open to other machines stays so.
absl::Status LocalCluster::ChooseListen() {
  const std::string file = options_.state_folder + "/run/listen";
  listen_ = options_.listen;
  if (listen_.empty()) {
    const absl::StatusOr<std::string> last = ReadSmallFile(file);
    if (last.ok()) listen_ = absl::StrSplit(*last, '\n', absl::SkipEmpty());
    return absl::OkStatus();
  }
  const absl::Status status = WriteSecretFile(file, absl::StrJoin(listen_, "\n"));
  return status.ok() ? status : LocalError(ToStd(status.message()));
}

// Where `reeve` looks for the way in. Only once the master there is known to be ours: the file may
// be that of another cluster.
absl::Status LocalCluster::PublishAccess() const {
  absl::Status status = SaveAccess(address_, access_);
  for (const std::string& host : listen_) {
    if (status.ok() && !IsWildcardHost(host)) status = SaveAccess({host, address_.port}, access_);
  }
  return status;
}

ProcessSpec LocalCluster::Spec(const std::string& name, const std::string& program) const {
  const std::string& state = options_.state_folder;
  return {.name = name,
          .argv = {program, "--token-file", state + "/token"},
          .pid_file = PidFile(state, name),
          .log_file = StrCat(state, "/log/", name, ".log"),
          .is_detached = options_.is_detached};
}

absl::Status LocalCluster::StartMaster() {
  const auto master = FindProgram("reeve-master", "master");
  if (!master.ok()) return master.status();
  ProcessSpec spec = Spec("master", *master);
  for (const std::string& flag :
       {std::string("--listen"), address_.host, std::string("--port"), StrCat(address_.port),
        std::string("--state-dir"), options_.state_folder})
    spec.argv.push_back(flag);
  for (const std::string& host : listen_) spec.argv.insert(spec.argv.end(), {"--listen", host});
  if (!listen_.empty()) spec.argv.push_back("--encrypt");
  if (must_init_) spec.argv.push_back("--init");
  return StartMember(std::move(spec));
}

absl::StatusOr<std::string> LocalCluster::EnrolledKeyFile(const std::string& worker_folder) {
  const std::string file = worker_folder + "/worker.key";
  if (ReadLinkKeys(file).ok()) return file;
  JobClient client(address_.ToString(), access_);
  const absl::Status enrolled = EnrolWorker(client, worker_folder, file);
  if (!enrolled.ok()) return enrolled;
  return file;
}

absl::Status LocalCluster::StartWorkers() {
  for (uint32_t i = 1; i <= options_.workers; ++i) {
    const std::string name = StrCat("worker-", i);
    std::vector<std::string> flags = options_.worker_flags;
    const auto add = [&](const std::string& flag, const std::string& value) {
      flags.push_back(flag);
      flags.push_back(value);
    };
    const std::string folder = StrCat(options_.state_folder, "/", name);
    add("--state-dir", folder);
    if (!listen_.empty()) {
      const auto key_file = EnrolledKeyFile(folder);
      if (!key_file.ok()) return key_file.status();
      add("--key-file", *key_file);
    }
    if (options_.slots > 0) add("--slots", StrCat(options_.slots));
    if (options_.process_slots > 0) add("--process-slots", StrCat(options_.process_slots));
    if (options_.async_slots > 0) add("--async-slots", StrCat(options_.async_slots));
    if (const absl::Status s = AddWorker(name, flags); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status LocalCluster::AddWorker(const std::string& name,
                                     const std::vector<std::string>& flags) {
  const auto worker = FindProgram("reeve-worker", "worker");
  if (!worker.ok()) return worker.status();
  ProcessSpec spec = Spec(name, *worker);
  spec.argv.insert(spec.argv.end(), {"--master", address_.ToString()});
  spec.argv.insert(spec.argv.end(), flags.begin(), flags.end());
  return StartMember(std::move(spec));
}

absl::Status LocalCluster::KillAndStart(std::string_view name) {
  for (Member& member : members_) {
    if (member.spec.name != name) continue;
    SendSignal(member.process, SIGKILL);
    WaitForEnd(member.process, absl::Now() + absl::Seconds(5));
    const absl::StatusOr<ProcessId> process = StartProcess(member.spec);
    if (process.ok()) member.process = *process;
    return process.status();
  }
  return LocalError(StrCat("no ", name, " was started here"));
}

absl::Status LocalCluster::StartMember(ProcessSpec spec) {
  if (FindProcess(spec.pid_file).has_value()) return absl::OkStatus();
  const absl::StatusOr<ProcessId> process = StartProcess(spec);
  if (!process.ok()) return process.status();
  started_names_.push_back(spec.name);
  members_.push_back({std::move(spec), *process, kFirstPause, absl::Now()});
  return absl::OkStatus();
}

absl::Status LocalCluster::CheckMembers() {
  for (Member& member : members_) {
    const std::optional<std::string> end = ReapChild(member.process);
    if (!end.has_value()) continue;
    unlink(member.spec.pid_file.c_str());
    return LocalError(StrCat("the ", member.spec.name, " ", *end, "; its log ",
                             member.spec.log_file, " ends with:\n",
                             TailOf(member.spec.log_file, 5)));
  }
  return absl::OkStatus();
}

absl::Status LocalCluster::CheckMaster(JobClient& client) const {
  if (const absl::Status status = client.CheckHealth(); !status.ok()) return status;
  // Another master may sit on the port: ours is told by its pid.
  const auto cluster = client.GetCluster();
  if (!cluster.ok()) return cluster.status();
  const auto ours = FindProcess(PidFile(options_.state_folder, "master"));
  if (!ours.has_value() || static_cast<pid_t>(cluster->pid()) != ours->pid) {
    return LocalError(StrCat("another master answers at ", address_.ToString()));
  }
  return absl::OkStatus();
}

absl::Status LocalCluster::CheckReady(JobClient& client) const {
  if (const absl::Status status = CheckMaster(client); !status.ok()) return status;
  v1::ListWorkersRequest request;
  request.set_page_size(1000);
  const auto workers = client.ListWorkers(request);
  if (!workers.ok()) return workers.status();
  const auto online =
      std::count_if(workers->workers().begin(), workers->workers().end(),
                    [](const v1::Worker& worker) { return worker.state() == v1::Worker::ONLINE; });
  if (online >= static_cast<int64_t>(options_.workers)) return absl::OkStatus();
  return absl::UnavailableError(StrCat(online, " of ", options_.workers, " workers are there"));
}

absl::Status LocalCluster::WaitFor(Canceller& canceller,
                                   const std::function<absl::Status(JobClient&)>& ready) {
  const absl::Time deadline = absl::Now() + kReadyWithin;
  std::unique_ptr<JobClient> client;
  for (;;) {
    if (const absl::Status status = CheckMembers(); !status.ok()) return status;
    // The authority is the master's to make, when it starts for the first time.
    const absl::StatusOr<std::string> authority = ReadSmallFile(options_.state_folder + "/ca.pem");
    if (!listen_.empty() && authority.ok()) access_.authority = *authority + "\n";
    const bool is_known = listen_.empty() || authority.ok();
    if (client == nullptr && is_known)
      client = std::make_unique<JobClient>(address_.ToString(), access_);
    const absl::Status status =
        is_known ? ready(*client) : absl::UnavailableError("the master has no authority yet");
    if (status.ok()) return status;
    if (absl::Now() >= deadline) {
      return MakeError(absl::StatusCode::kDeadlineExceeded, "LOCAL",
                       StrCat("the cluster is not ready after ", absl::FormatDuration(kReadyWithin),
                              ": ", status.message(), "; see ", options_.state_folder, "/log"));
    }
    if (!canceller.SleepFor(kPoll))
      return MakeError(absl::StatusCode::kCancelled, "LOCAL", "interrupted");
  }
}

void LocalCluster::Supervise(Canceller& canceller,
                             const std::function<void(std::string_view)>& tell) {
  while (canceller.SleepFor(kSupervisePoll)) {
    for (Member& member : members_) {
      if (member.process.pid != 0) {
        const std::optional<std::string> end = ReapChild(member.process);
        if (!end.has_value()) continue;
        member.pause = absl::Now() - member.start > kWasStable
                           ? kFirstPause
                           : std::min(member.pause * 2, kLongestPause);
        member.start = absl::Now() + member.pause;
        member.process = ProcessId();
        tell(StrCat("the ", member.spec.name, " ", *end, "; starting it again in ",
                    absl::FormatDuration(member.pause), " (", member.spec.log_file, ")"));
      } else if (absl::Now() >= member.start) {
        const absl::StatusOr<ProcessId> process = StartProcess(member.spec);
        if (process.ok()) member.process = *process;
        member.start = absl::Now() + (process.ok() ? absl::ZeroDuration() : member.pause);
      }
    }
  }
}

bool LocalCluster::Stop(absl::Duration grace) {
  std::vector<ProcessId> masters, workers;
  for (const Member& member : members_) {
    if (member.process.pid == 0) continue;
    (member.spec.name == "master" ? masters : workers).push_back(member.process);
  }
  const bool is_clean = StopProcesses(workers, grace) & StopProcesses(masters, grace);
  for (const Member& member : members_) unlink(member.spec.pid_file.c_str());
  members_.clear();
  return is_clean;
}

std::vector<std::string> LocalCluster::StopAll(const std::string& state_folder,
                                               absl::Duration grace) {
  std::vector<std::string> stopped;
  const auto stop = [&](const std::vector<std::string>& names) {
    std::vector<ProcessId> processes;
    for (const std::string& name : names) {
      const auto process = FindProcess(PidFile(state_folder, name));
      if (!process.has_value()) continue;
      processes.push_back(*process);
      stopped.push_back(name);
    }
    StopProcesses(processes, grace);
    for (const std::string& name : names) unlink(PidFile(state_folder, name).c_str());
  };
  stop(WorkerNames(state_folder));
  stop({"master"});
  return stopped;
}

}  // namespace reeve
