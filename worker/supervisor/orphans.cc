#include "worker/supervisor/orphans.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/strings.h"

namespace reeve {
namespace {

constexpr std::string_view kVariable = "REEVE_COMMAND=";

// No command has this number: the orphan is of the worker proper.
const std::set<uint64_t> kOfTheWorker = {0};

std::vector<pid_t> Children(pid_t pid) {
  std::ifstream file(StrCat("/proc/", pid, "/task/", pid, "/children"));
  return {std::istream_iterator<pid_t>(file), {}};
}

// Stopped one by one on the way down, so that nobody forks behind the walk's back.
void KillTree(pid_t root) {
  std::vector<pid_t> tree = {root};
  for (size_t i = 0; i < tree.size(); ++i) {
    kill(tree[i], SIGSTOP);
    const std::vector<pid_t> below = Children(tree[i]);
    tree.insert(tree.end(), below.begin(), below.end());
  }
  for (const pid_t pid : tree) kill(pid, SIGKILL);
}

// The value of our variable in the environment that the process was started with; the last one
// counts, as the supervisor appends it. Empty: it has none.
std::string MarkOf(pid_t pid) {
  std::ifstream file(StrCat("/proc/", pid, "/environ"), std::ios::binary);
  std::string entry, mark;
  while (std::getline(file, entry, '\0')) {
    if (entry.rfind(kVariable, 0) == 0) mark = entry.substr(kVariable.size());
  }
  return mark;
}

}  // namespace

Orphans::Orphans()
    : name_(StrCat(getpid(), ".")),
      own_children_(open(StrCat("/proc/", getpid(), "/task/", getpid(), "/children").c_str(),
                         O_RDONLY | O_CLOEXEC)) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Orphans::~Orphans() {
  if (own_children_ >= 0) close(own_children_);
}

std::vector<pid_t> Orphans::OwnChildren() const {
  std::string text;
  char part[4096];
  for (ssize_t n;
       (n = pread(own_children_, part, sizeof part, static_cast<off_t>(text.size()))) > 0;)
    text.append(part, static_cast<size_t>(n));
  std::vector<pid_t> children;
  const char* at = text.data();
  for (const char* const end = at + text.size(); at < end; ++at) {
    pid_t pid = 0;
    at = std::from_chars(at, end, pid).ptr;
    if (pid > 0) children.push_back(pid);
  }
  return children;
}

std::string Orphans::Mark(uint64_t id) const { return StrCat(kVariable, name_, id); }

std::set<uint64_t> Orphans::CommandsOf(pid_t pid, const std::set<uint64_t>& possible) const {
  const std::string mark = MarkOf(pid);
  if (mark.rfind(name_, 0) != 0) return possible.empty() ? kOfTheWorker : possible;
  uint64_t id = 0;
  std::from_chars(mark.data() + name_.size(), mark.data() + mark.size(), id);
  return {id};
}

void Orphans::Sweep(const std::set<uint64_t>& running, std::optional<uint64_t> ended,
                    const std::set<pid_t>& own) {
  std::set<uint64_t> possible = running;
  if (ended.has_value()) possible.insert(*ended);
  for (const pid_t pid : OwnChildren()) {
    if (own.contains(pid)) continue;
    auto known = suspects_.find(pid);
    if (known == suspects_.end()) known = suspects_.emplace(pid, CommandsOf(pid, possible)).first;
    const std::set<uint64_t>& of = known->second;
    const bool wanted = std::any_of(of.begin(), of.end(),
                                    [&](uint64_t id) { return id == 0 || running.contains(id); });
    if (!wanted) KillTree(pid);
  }
}

void Orphans::KillAll(const std::set<pid_t>& own) {
  for (const pid_t pid : OwnChildren()) {
    if (!own.contains(pid)) KillTree(pid);
  }
}

}  // namespace reeve
