// What the owner of a worker lets jobs do on it: which handlers it offers, whether commands may use
// a shell, what they may use of the machine, and whether the worker may run as root.
//
// The defaults depend on where the master is. On loopback who submits is, as a rule, who started
// the worker; elsewhere it is anyone with a token, so commands need the owner's word.
//
// Private to worker/sdk.
//
// Thread: none.

#ifndef REEVE_WORKER_SDK_WORKER_POLICY_H_
#define REEVE_WORKER_SDK_WORKER_POLICY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "worker/lanes/lane.h"

namespace CLI {
class App;
}  // namespace CLI

namespace reeve {

struct WorkerPolicy {
  // Built-in handlers to offer, as given; those that a program or a plug-in brings are always
  // offered.
  std::vector<std::string> handlers;
  bool allow_shell = false, no_shell = false, allow_root = false;
  std::string secrets_dir;     // Empty: none.
  CommandSpec::Limits limits;  // Of every command, beside those of its job.

  // Settled by Settle().
  bool is_local = true;    // The master is on this machine.
  bool is_private = true;  // And nobody else's jobs come from it: the link has no keys.

  // A built-in handler, named exactly.
  bool Offers(std::string_view handler) const;
  bool allows_shell() const;
};

// Adds the flags that set it. `policy` outlives the parsing.
void AddPolicyFlags(CLI::App* app, WorkerPolicy* policy);

// To be called once the flags are parsed. `has_keys`: the link is encrypted, so the master listens
// to other machines, too, or may. Errors: INVALID_ARGUMENT  an unknown handler; flags that
// contradict each other.
absl::Status Settle(std::string_view master, bool has_keys, WorkerPolicy* policy);

// Errors: FAILED_PRECONDITION  the worker would run as root for a master elsewhere, unasked.
absl::Status CheckUser(const WorkerPolicy& policy, bool is_root);

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_WORKER_POLICY_H_
