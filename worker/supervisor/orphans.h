// The processes that commands leave behind: orphans.
//
// A command's group dies with its leader, but a descendant that called setsid is in a group of its
// own. The supervisor is the subreaper of all of them, so whoever loses its parent becomes the
// supervisor's child: an orphan. Which command it came from says a mark in the environment, which
// children inherit; the supervisor sets it. An orphan without a mark (env -i, or its memory written
// over) might be of any command that ran when it was first seen, and ends with the last of those.
// One that was seen while no command ran is of the worker proper, and ends with it.
//
// Out of reach: what is left when the supervisor itself is killed with SIGKILL.
//
// Thread: the supervisor's only one.

#ifndef REEVE_WORKER_SUPERVISOR_ORPHANS_H_
#define REEVE_WORKER_SUPERVISOR_ORPHANS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace reeve {

class Orphans {
 public:
  // Makes the calling process, which has one thread, the subreaper of its descendants.
  Orphans();
  ~Orphans();
  Orphans(const Orphans&) = delete;
  Orphans& operator=(const Orphans&) = delete;

  // The entry NAME=VALUE for the environment of the command that runs as `id` (not in use).
  std::string Mark(uint64_t id) const;

  // A child has ended; if it was a command, `ended` says which. Kills every orphan, descendants
  // included, that no command in `running` can have left. `own`: children that are no orphans. The
  // killed become zombies of this process, to be reaped as any other.
  // Cost: one read of /proc for this process, one more for each new orphan.
  void Sweep(const std::set<uint64_t>& running, std::optional<uint64_t> ended,
             const std::set<pid_t>& own);

  // Kills every child but `own`, descendants included.
  void KillAll(const std::set<pid_t>& own);

  // A child was reaped: its number may come back as another process.
  void Forget(pid_t pid) { suspects_.erase(pid); }

 private:
  std::set<uint64_t> CommandsOf(pid_t pid, const std::set<uint64_t>& possible) const;
  std::vector<pid_t> OwnChildren() const;

  const std::string name_;  // Tells this supervisor's marks from those of one above it.
  const int own_children_;  // The file of /proc, kept open: it is read at the end of every command.
  std::map<pid_t, std::set<uint64_t>> suspects_;  // Of orphans: whose they may be.
};

}  // namespace reeve

#endif  // REEVE_WORKER_SUPERVISOR_ORPHANS_H_
