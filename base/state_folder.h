// The state folder: who may use it, and the secrets in it.
//
//   reeve.db  LOCK  token  cluster_id
//
// Thread: main's, before anything else starts.

#ifndef REEVE_BASE_STATE_FOLDER_H_
#define REEVE_BASE_STATE_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace reeve {

class StateFolder {
 public:
  // Makes the folder (0700) if there is none and `create` is set, and takes its lock for as long as
  // the object lives; waits up to 10 s for a process that was killed to be gone.
  //
  // Errors: PERMISSION_DENIED    cannot be made or written.
  //         FAILED_PRECONDITION  another process holds the lock; names it.
  //         NOT_FOUND            no folder and `create` not set.
  static absl::StatusOr<std::unique_ptr<StateFolder>> Open(const std::string& path, bool create);
  ~StateFolder();

  const std::string& path() const { return path_; }
  std::string database() const { return path_ + "/reeve.db"; }

  // Content of a small file; made with `fresh` (0600) if it is not there.
  absl::StatusOr<std::string> ReadOrMake(const std::string& name, const std::string& fresh);

  // An empty file as a note to the next process; best effort.
  void Mark(const std::string& name);
  void Unmark(const std::string& name);
  bool HasMark(const std::string& name) const;

 private:
  StateFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  const std::string path_;
  const int lock_;
};

// A file's content without the newline at its end. Errors: NOT_FOUND, PERMISSION_DENIED, with the
// path.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);
// Writes a file for its owner alone (0600), whole or not at all.
absl::Status WriteSecretFile(const std::string& path, const std::string& content);

}  // namespace reeve

#endif  // REEVE_BASE_STATE_FOLDER_H_
