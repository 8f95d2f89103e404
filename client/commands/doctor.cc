#include "client/commands/doctor.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/certificate.h"
#include "base/link_keys.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "base/version.h"
#include "client/commands/inspect.h"
#include "client/exit_code.h"
#include "client/output/json.h"
#include "client/output/table.h"
#include "client/pinned_authority.h"

namespace reeve {
namespace {

constexpr uint64_t kLittleDisk = uint64_t{1} << 30;
constexpr uint64_t kHighMemory = uint64_t{8} << 30;
constexpr rlim_t kFewFiles = 4096;
// Renewed a month before it ends: later than this, that did not happen.
constexpr absl::Duration kCertificateSpare = absl::Hours(24 * 14);
constexpr absl::Duration kClockApart = absl::Seconds(1);

enum class Verdict { kOk, kWarning, kBad };

struct Finding {
  Verdict verdict;
  std::string what;
  std::string detail;
};

std::string_view Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kWarning: return "warning";
    case Verdict::kBad: return "bad";
  }
  return "bad";
}

ClusterAccess CheckToken(const std::string& token_file, const Address& address,
                         std::vector<Finding>* findings) {
  const std::string file = token_file.empty() ? TokenFileOf(address) : token_file;
  const auto access = FindAccess(address, token_file);
  if (!access.ok()) {
    findings->push_back({Verdict::kBad, "token", std::string(access.status().message())});
  } else if (access->token.empty()) {
    findings->push_back(
        {Verdict::kWarning, "token", StrCat("none for ", address.ToString(), ": no ", file)});
  } else {
    findings->push_back({Verdict::kOk, "token", file});
  }
  return access.value_or(ClusterAccess());
}

// What the host's name stands for, and whether the three ports answer from here.
void CheckNetwork(const Address& address, std::vector<Finding>* findings) {
  constexpr std::pair<std::string_view, uint16_t> kPorts[] = {
      {"api", 0}, {"dispatch", 1}, {"collector", 2}};
  for (const auto& [name, offset] : kPorts) {
    const Address port{address.host, static_cast<uint16_t>(address.port + offset)};
    const absl::Status status = TryConnect(port);
    findings->push_back(
        {status.ok() ? Verdict::kOk : Verdict::kBad, StrCat("port ", port.port),
         status.ok()
             ? StrCat(name, " answers")
             : StrCat(name, ": ", ToStd(status.message()),
                      "; is a master there, and does a packet filter let this machine in?")});
  }
}

void CheckEncryption(const Address& address, const ClusterAccess& access,
                     std::vector<Finding>* findings) {
  if (access.authority.empty()) {
    findings->push_back({address.is_loopback() ? Verdict::kOk : Verdict::kBad, "encryption",
                         address.is_loopback()
                             ? "none, this machine only"
                             : StrCat("no authority is known; `reeve context add ",
                                      address.ToString(), " --token-file FILE`")});
    return;
  }
  const auto certificate = FetchCertificate(address);
  const auto end = certificate.ok() ? EndOf(*certificate) : certificate.status();
  if (!end.ok()) {
    findings->push_back({Verdict::kBad, "certificate", std::string(ToStd(end.status().message()))});
    return;
  }
  const absl::Duration left = *end - absl::Now();
  const std::string until = absl::FormatTime("%Y-%m-%d", *end, absl::UTCTimeZone());
  findings->push_back(
      left > kCertificateSpare
          ? Finding{Verdict::kOk, "certificate", StrCat("until ", until)}
          : Finding{
                left > absl::ZeroDuration() ? Verdict::kWarning : Verdict::kBad, "certificate",
                StrCat("ends ", until, "; `reeve cluster rotate-keys`, and look at both clocks")});
}

// Half of the call is the way there; the answer's clock is between its ends.
void CheckClock(const v1::Cluster& cluster, absl::Time asked, absl::Time answered,
                std::vector<Finding>* findings) {
  if (!cluster.has_current_time()) return;
  const absl::Time there = absl::FromUnixSeconds(cluster.current_time().seconds()) +
                           absl::Nanoseconds(cluster.current_time().nanos());
  const absl::Duration off = there - (asked + (answered - asked) / 2);
  const bool is_far = absl::AbsDuration(off) > kClockApart + (answered - asked);
  findings->push_back({is_far ? Verdict::kWarning : Verdict::kOk, "clock",
                       StrCat(absl::FormatDuration(absl::Trunc(off, absl::Milliseconds(1))),
                              " from this machine's", is_far ? "; set both by NTP" : "")});
}

void CheckLimits(std::vector<Finding>* findings) {
  struct rlimit files {};
  getrlimit(RLIMIT_NOFILE, &files);
  findings->push_back({files.rlim_max < kFewFiles ? Verdict::kWarning : Verdict::kOk, "open files",
                       StrCat("at most ", files.rlim_max,
                              files.rlim_max < kFewFiles ? "; raise it (ulimit -Hn)" : "")});
}

// The key of a worker that was joined from this machine, if there is one.
void CheckWorkerKey(std::vector<Finding>* findings) {
  const std::string folder = DefaultWorkerFolder(), file = folder + "/worker.key";
  const auto keys = ReadLinkKeys(file);
  if (absl::IsNotFound(keys.status())) return;
  if (!keys.ok()) {
    findings->push_back({Verdict::kBad, "worker key", std::string(ToStd(keys.status().message()))});
    return;
  }
  const auto id = ReadSmallFile(folder + "/worker_id");
  const bool is_its = id.ok() && *id == keys->worker_id;
  findings->push_back(
      {is_its ? Verdict::kOk : Verdict::kBad, "worker key",
       is_its ? file : StrCat(file, " is of another worker than ", folder, "; join again")});
}

void CheckWorkers(JobClient* client, std::vector<Finding>* findings) {
  const auto workers = ListAllWorkers(client);
  if (!workers.ok()) {
    findings->push_back({Verdict::kBad, "workers", std::string(workers.status().message())});
    return;
  }
  uint64_t online = 0;
  std::string trouble;
  for (const v1::Worker& worker : workers->workers()) {
    online += worker.state() == v1::Worker::ONLINE;
    for (const v1::LaneStatus& lane : worker.lanes()) {
      if (lane.stuck() > 0)
        StrAppend(&trouble, "; ", worker.worker(), " has ", lane.stuck(), " stuck slots");
    }
    for (const v1::PoolStatus& pool : worker.pools()) {
      if (pool.open() == 0 && pool.failed_connect_count() > 0)
        StrAppend(&trouble, "; ", worker.worker(), " has no connection to ",
                  Printable(pool.name(), 60), ": ", Printable(pool.last_error(), 200));
    }
    if (worker.state() == v1::Worker::ONLINE) continue;
    StrAppend(&trouble, "; ", worker.worker(), " is ", v1::Worker::State_Name(worker.state()), " ",
              Printable(worker.message(), 200));
  }
  const Verdict verdict =
      online == 0 ? Verdict::kBad : (trouble.empty() ? Verdict::kOk : Verdict::kWarning);
  findings->push_back({verdict, "workers", StrCat(online, " online", trouble)});
}

void CheckDisk(const std::string& folder, std::vector<Finding>* findings) {
  struct statvfs about;
  if (folder.empty() || statvfs(folder.c_str(), &about) != 0) return;
  const uint64_t free_bytes = uint64_t{about.f_bavail} * about.f_frsize;
  findings->push_back({free_bytes < kLittleDisk ? Verdict::kWarning : Verdict::kOk, "disk",
                       StrCat(HumanBytes(free_bytes), " free under ", folder)});
}

void CheckMaster(Session& session, const Address& address, std::vector<Finding>* findings) {
  const auto client = session.Connect();
  if (!client.ok()) {
    findings->push_back({Verdict::kBad, "master", std::string(client.status().message())});
    return;
  }
  const absl::Time asked = absl::Now();
  const auto cluster = (*client)->GetCluster();
  const absl::Time answered = absl::Now();
  if (!cluster.ok()) {
    findings->push_back({Verdict::kBad, "master", std::string(cluster.status().message())});
    return;
  }
  findings->push_back(
      {Verdict::kOk, "master",
       StrCat("epoch ", cluster->epoch(), ", ", cluster->active_job_count(), " active jobs, ",
              cluster->unfinished_task_count(), " unfinished tasks")});
  CheckClock(*cluster, asked, answered, findings);
  const bool is_same = cluster->version() == kVersion;
  findings->push_back({is_same ? Verdict::kOk : Verdict::kWarning, "version",
                       StrCat("client ", kVersion, ", master ", cluster->version())});
  findings->push_back({cluster->resident_bytes() > kHighMemory ? Verdict::kWarning : Verdict::kOk,
                       "memory", StrCat(HumanBytes(cluster->resident_bytes()), " in the master")});
  // The folder is on the master's machine.
  if (address.is_loopback()) CheckDisk(cluster->state_directory(), findings);
  CheckWorkers(*client, findings);
}

void PrintFindings(Console& console, const std::vector<Finding>& findings) {
  if (!console.is_json()) {
    Table table({"CHECK", "IS", "DETAIL"});
    for (const Finding& finding : findings) {
      table.Add({finding.what, std::string(Word(finding.verdict)), finding.detail});
    }
    console.Out(table.ToString());
    return;
  }
  JsonWriter json;
  json.BeginObject().Key("checks").BeginArray();
  for (const Finding& finding : findings) {
    json.BeginObject().Key("name").String(finding.what);
    json.Key("verdict").String(Word(finding.verdict));
    json.Key("detail").String(finding.detail).EndObject();
  }
  json.EndArray().EndObject();
  console.Out(json.text() + "\n");
}

}  // namespace

absl::StatusOr<int> RunDoctor(Session& session) {
  const auto address = session.MasterAddress();
  if (!address.ok()) return address.status();
  std::vector<Finding> findings;
  findings.push_back({Verdict::kOk, "address", address->ToString()});
  const ClusterAccess access =
      CheckToken(session.settings().Get("token_file"), *address, &findings);
  CheckNetwork(*address, &findings);
  CheckEncryption(*address, access, &findings);
  CheckLimits(&findings);
  CheckWorkerKey(&findings);
  CheckMaster(session, *address, &findings);
  PrintFindings(session.console(), findings);
  int code = kExitOk;
  for (const Finding& finding : findings) {
    if (finding.verdict != Verdict::kBad) continue;
    if (finding.what == "master" || finding.what == "token") return kExitNoConnection;
    code = kExitRefused;
  }
  return code;
}

absl::StatusOr<int> RunVersion(Session& session) {
  if (session.console().is_json()) {
    JsonWriter json;
    json.BeginObject().Key("version").String(kVersion).EndObject();
    session.console().Out(json.text() + "\n");
  } else {
    session.console().Out(StrCat("reeve ", kVersion, "\n"));
  }
  return kExitOk;
}

}  // namespace reeve
