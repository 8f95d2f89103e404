// The secrets that a worker's owner keeps for tasks: a folder, one file each. A job names what it
// needs; a task gets the path, and reads it itself. So the content is in no argument, environment,
// log, message or database, and what the owner changes counts from the next task on.
//
// Whoever may run a command as the worker's user can read the whole folder: names keep a job to
// what it says it needs, they are no wall between jobs.
//
// Thread: any.

#ifndef REEVE_WORKER_LANES_SECRETS_FOLDER_H_
#define REEVE_WORKER_LANES_SECRETS_FOLDER_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reeve {

class SecretsFolder {
 public:
  // No folder: has nothing.
  SecretsFolder() = default;
  ~SecretsFolder();
  SecretsFolder(SecretsFolder&& other) noexcept;
  SecretsFolder& operator=(SecretsFolder&& other) noexcept;

  // Errors: FAILED_PRECONDITION  it is no folder, not the worker's own (or root's), or others may
  // do anything in it; says what to do.
  static absl::StatusOr<SecretsFolder> Open(const std::string& path);

  // The file's path. Errors: PERMISSION_DENIED  no such secret, or not kept as it must be: a
  // regular file, below the folder without a link, the worker's own or root's, closed to others.
  absl::StatusOr<std::string> PathOf(std::string_view name) const;

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_SECRETS_FOLDER_H_
