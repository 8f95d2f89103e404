#include "master/access/listening.h"

#include <algorithm>

#include "base/host_address.h"
#include "base/host_key.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr char kLoopback[] = "127.0.0.1";

absl::Status Refused(const std::string& host) {
  return absl::FailedPreconditionError(
      StrCat("--plaintext with --listen ", host,
             " would let everybody on the network run commands as this user and read all data. "
             "Leave --plaintext out: `reeve-master --listen ",
             host, "` encrypts and asks for keys (or `reeve up --listen ", host, "`)"));
}

std::vector<std::string> EachOnce(std::vector<std::string> hosts) {
  if (hosts.empty()) hosts = {kLoopback};
  std::replace(hosts.begin(), hosts.end(), std::string("*"), std::string("0.0.0.0"));
  std::sort(hosts.begin(), hosts.end());
  hosts.erase(std::unique(hosts.begin(), hosts.end()), hosts.end());
  return hosts;
}

}  // namespace

std::vector<std::string> Listening::Addresses(uint32_t port, std::string_view scheme) const {
  std::vector<std::string> all;
  for (const std::string& host : hosts) all.push_back(StrCat(scheme, WithPort(host, port)));
  return all;
}

std::vector<std::string> Listening::Names(const std::vector<std::string>& further) const {
  std::vector<std::string> names = further;
  names.insert(names.end(), {"localhost", kLoopback, "::1"});
  for (const std::string& host : hosts) {
    if (!IsWildcardHost(host)) names.push_back(host);
  }
  if (std::string own = HostName(); !own.empty()) names.push_back(std::move(own));
  return names;
}

absl::StatusOr<Listening> DecideListening(const ListenFlags& flags) {
  if (flags.plaintext && flags.encrypt)
    return absl::InvalidArgumentError("--plaintext and --encrypt contradict each other");
  Listening listening{.hosts = EachOnce(flags.hosts), .is_protected = flags.encrypt};
  const auto outward =
      std::find_if_not(listening.hosts.begin(), listening.hosts.end(), IsLoopbackHost);
  if (outward == listening.hosts.end()) return listening;
  if (flags.plaintext && !flags.insecure) return Refused(*outward);
  listening.is_protected = !flags.plaintext;
  listening.is_open = flags.plaintext;
  const auto covers_loopback = [](const std::string& host) {
    return IsWildcardHost(host) || IsLoopbackHost(host);
  };
  if (std::none_of(listening.hosts.begin(), listening.hosts.end(), covers_loopback))
    listening.hosts.emplace_back(kLoopback);
  return listening;
}

}  // namespace reeve
