#include "client/programs.h"

#include <unistd.h>

#include <climits>

#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

// The folder of this program.
std::string ProgramFolder() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return ".";
  std::string folder(path, static_cast<size_t>(length));
  return folder.substr(0, folder.rfind('/'));
}

}  // namespace

absl::StatusOr<std::string> FindProgram(const std::string& name, const std::string& bazel_folder) {
  const std::string folder = ProgramFolder();
  for (const std::string& path :
       {StrCat(folder, "/", name), StrCat(folder, "/../", bazel_folder, "/", name)}) {
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "LOCAL",
                   StrCat("the program ", name, " is not beside reeve in ", folder));
}

}  // namespace reeve
