#include "worker/sdk/own_resources.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <string_view>
#include <thread>

#include "absl/strings/numbers.h"
#include "base/resource.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr std::string_view kPowers = "KMGT";

int64_t HardwareThreads() {
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof mine, &mine) == 0) return CPU_COUNT(&mine);
  return std::max(1u, std::thread::hardware_concurrency());
}

// Of the line `0::/path`; nothing where there is no cgroup of version 2.
std::optional<std::string> CgroupPath(const std::string& cgroup_file) {
  std::ifstream lines(cgroup_file);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("0::/", 0) == 0) return line.substr(3);
  }
  return std::nullopt;
}

// `max` or a file that is not there: nothing changes.
void LookAtCgroup(const std::string& folder, MachineRoom* room) {
  std::string quota, most;
  int64_t period = 0, memory = 0;
  double share = 0;
  if (std::ifstream(folder + "/cpu.max") >> quota >> period && period > 0 &&
      absl::SimpleAtod(quota, &share)) {
    const auto thousandths = static_cast<int64_t>(share * 1'000 / static_cast<double>(period));
    room->cpu_thousandths = std::min(room->cpu_thousandths, std::max<int64_t>(1, thousandths));
  }
  if (std::ifstream(folder + "/memory.max") >> most && absl::SimpleAtoi(most, &memory))
    room->memory_bytes = std::min(room->memory_bytes, memory);
}

// Thousandths, or nothing.
std::optional<int64_t> ParseAmount(std::string_view text) {
  double factor = 1'000;
  if (const size_t power = text.empty() ? std::string_view::npos : kPowers.find(text.back());
      power != std::string_view::npos) {
    factor *= std::pow(1'024, static_cast<double>(power) + 1);
    text.remove_suffix(1);
  }
  double amount = 0;
  if (!absl::SimpleAtod(ToAbsl(text), &amount)) return std::nullopt;
  const double thousandths = std::round(amount * factor);
  if (!(thousandths >= 1 && thousandths <= static_cast<double>(kMostOfAResource)))
    return std::nullopt;
  return static_cast<int64_t>(thousandths);
}

}  // namespace

MachineRoom LookAtMachine(const std::string& cgroup_file, const std::string& cgroup_root) {
  MachineRoom room;
  room.cpu_thousandths = HardwareThreads() * 1'000;
  room.memory_bytes =
      static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  std::optional<std::string> path = CgroupPath(cgroup_file);
  while (path.has_value()) {
    LookAtCgroup(cgroup_root + *path, &room);
    if (path->size() <= 1) break;
    path->resize(std::max<size_t>(1, path->rfind('/')));
  }
  return room;
}

absl::StatusOr<std::map<std::string, int64_t>> OwnResources(const std::vector<std::string>& given,
                                                            const MachineRoom& machine) {
  std::map<std::string, int64_t> resources;
  for (const std::string& one : given) {
    const size_t equals = one.find('=');
    const std::string name = one.substr(0, equals);
    const auto amount = equals == std::string::npos
                            ? std::nullopt
                            : ParseAmount(std::string_view(one).substr(equals + 1));
    if (!IsResourceName(name) || !amount.has_value()) {
      return absl::InvalidArgumentError(
          StrCat("--resource ", one,
                 ": NAME=AMOUNT is wanted, the name of 1 to 63 of a-z, 0-9, ., _, -, the amount "
                 "from 0.001 to 10^15, as 2, 0.5 or 16G"));
    }
    if (!resources.emplace(name, *amount).second)
      return absl::InvalidArgumentError(StrCat("--resource ", name, ": given twice"));
  }
  resources.emplace("cpus", machine.cpu_thousandths);
  if (machine.memory_bytes > 0)
    resources.emplace("memory", std::min(machine.memory_bytes, kMostOfAResource / 1'000) * 1'000);
  if (resources.size() > kMaxResources) {
    return absl::InvalidArgumentError(
        StrCat("--resource: at most ", kMaxResources, ", cpus and memory among them"));
  }
  return resources;
}

}  // namespace reeve
