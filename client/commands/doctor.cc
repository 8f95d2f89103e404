#include "client/commands/doctor.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/version.h"
#include "client/exit_code.h"
#include "client/output/json.h"
#include "client/output/table.h"

namespace reeve {
namespace {

constexpr uint64_t kLittleDisk = uint64_t{1} << 30;
constexpr uint64_t kHighMemory = uint64_t{8} << 30;

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

void CheckToken(const std::string& token_file, const Address& address,
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
}

void CheckWorkers(JobClient* client, std::vector<Finding>* findings) {
  v1::ListWorkersRequest request;
  request.set_page_size(1000);
  const auto workers = client->ListWorkers(request);
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

void CheckMaster(Session& session, std::vector<Finding>* findings) {
  const auto client = session.Connect();
  if (!client.ok()) {
    findings->push_back({Verdict::kBad, "master", std::string(client.status().message())});
    return;
  }
  const auto cluster = (*client)->GetCluster();
  if (!cluster.ok()) {
    findings->push_back({Verdict::kBad, "master", std::string(cluster.status().message())});
    return;
  }
  findings->push_back(
      {Verdict::kOk, "master",
       StrCat("epoch ", cluster->epoch(), ", ", cluster->active_job_count(), " active jobs, ",
              cluster->unfinished_task_count(), " unfinished tasks")});
  const bool is_same = cluster->version() == kVersion;
  findings->push_back({is_same ? Verdict::kOk : Verdict::kWarning, "version",
                       StrCat("client ", kVersion, ", master ", cluster->version())});
  findings->push_back({cluster->resident_bytes() > kHighMemory ? Verdict::kWarning : Verdict::kOk,
                       "memory", StrCat(HumanBytes(cluster->resident_bytes()), " in the master")});
  CheckDisk(cluster->state_directory(), findings);
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
  CheckToken(session.settings().Get("token_file"), *address, &findings);
  CheckMaster(session, &findings);
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
