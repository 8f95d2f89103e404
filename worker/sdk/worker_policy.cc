#include "worker/sdk/worker_policy.h"

#include <algorithm>
#include <array>

#include "CLI/CLI.hpp"
#include "base/host_address.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr std::array<std::string_view, 8> kBuiltin = {"exec", "http", "crawl", "sql",
                                                      "jq",   "echo", "sleep", "digest"};

bool Contains(const auto& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string BuiltinNames() {
  std::string names;
  for (const std::string_view name : kBuiltin) names += StrCat(names.empty() ? "" : ", ", name);
  return names;
}

}  // namespace

bool WorkerPolicy::Offers(std::string_view handler) const {
  return handlers.empty() ? is_private || handler != "exec" : Contains(handlers, handler);
}

bool WorkerPolicy::allows_shell() const { return !no_shell && (allow_shell || is_private); }

void AddPolicyFlags(CLI::App* app, WorkerPolicy* policy) {
  constexpr uint64_t kMost = uint64_t{1} << 60;
  app->add_option("--handlers", policy->handlers,
                  StrCat("Built-in handlers to offer, of: ", BuiltinNames(),
                         "; default: all, without exec if the master is on another machine"))
      ->delimiter(',')
      ->type_name("NAME,…");
  app->add_flag("--allow-shell", policy->allow_shell,
                "Commands may be scripts for a shell; default: if the master is on this machine");
  app->add_flag("--no-shell", policy->no_shell, "They may not, wherever the master is");
  app->add_flag("--allow-root", policy->allow_root,
                "Run as root though the master is on another machine");
  app->add_option("--secrets-dir", policy->secrets_dir,
                  "Folder with a file for each secret that commands may name (700, files 600)");
  CommandSpec::Limits* limits = &policy->limits;
  app->add_option("--limit-cpu", limits->cpu_seconds, "Seconds of CPU time of a command's process")
      ->check(CLI::Range(uint64_t{1}, uint64_t{31'536'000}));
  app->add_option("--limit-memory", limits->memory_bytes,
                  "Address space of a command's process, in bytes (4G is understood)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{4} << 20, uint64_t{1} << 50));
  app->add_option("--limit-file-size", limits->file_size_bytes,
                  "Size of a file that a command writes, in bytes")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{1}, kMost));
  app->add_option("--limit-open-files", limits->open_files,
                  "Descriptors of a command's process; default: 1024, which it may raise")
      ->check(CLI::Range(uint64_t{4}, uint64_t{1'048'576}));
  app->add_option("--limit-processes", limits->processes,
                  "Processes of the worker's user at which a command can start no further one")
      ->check(CLI::Range(uint64_t{1}, uint64_t{4'194'304}));
}

absl::Status Settle(std::string_view master, bool has_keys, WorkerPolicy* policy) {
  const auto address = ParseHostPort(master);
  // What is no address is refused later, and with it the worker.
  policy->is_local = !address.ok() || IsLoopbackHost(address->host);
  policy->is_private = policy->is_local && !has_keys;
  for (const std::string& name : policy->handlers) {
    if (!Contains(kBuiltin, name)) {
      return absl::InvalidArgumentError(StrCat("--handlers: there is no built-in handler `", name,
                                               "`; there are: ", BuiltinNames()));
    }
  }
  if (policy->allow_shell && policy->no_shell)
    return absl::InvalidArgumentError("--allow-shell and --no-shell contradict each other");
  return absl::OkStatus();
}

absl::Status CheckUser(const WorkerPolicy& policy, bool is_root) {
  if (!is_root || policy.is_local || policy.allow_root) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "it would run as root what another machine sends; start it as a user of its own "
      "(useradd --system reeve-worker; in a systemd unit User=reeve-worker), or say --allow-root");
}

}  // namespace reeve
