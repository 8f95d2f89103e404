// Scratch folders: an empty folder of its own for every command, and for every handler that asks
// for one, removed with what is in it.
//
// Most commands leave theirs as it was, and making and removing a folder costs more than all else a
// lane does for a command. A folder that nothing has touched is therefore handed to the next one.
//
// A task may put anything in the place of its folder, a symbolic link too. The root is opened once,
// and all else is done beneath it without following links, so nothing elsewhere is read, written or
// removed.
//
// Thread: any.

#ifndef REEVE_WORKER_LANES_SCRATCH_FOLDERS_H_
#define REEVE_WORKER_LANES_SCRATCH_FOLDERS_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace reeve {

class ScratchFolders {
 public:
  struct Folder {
    std::string name, path;
    struct stat made {};  // As it was when it was handed out.
  };

  // Makes `root`, and removes whatever is in it: it was left by a process that died.
  explicit ScratchFolders(const std::string& root);
  // Removes the folders that are kept.
  ~ScratchFolders();
  ScratchFolders(const ScratchFolders&) = delete;
  ScratchFolders& operator=(const ScratchFolders&) = delete;

  // An empty folder, readable by the owner alone. Errors: INTERNAL, with the system's reason.
  absl::StatusOr<Folder> Take();
  // The attempt has ended, and nobody is in the folder any more.
  void GiveBack(Folder folder);
  // A file in it, for reading, without waiting for a writer. Returns: -1 with errno.
  int OpenFile(const Folder& folder, std::string_view file) const;

 private:
  bool IsUntouched(const Folder& folder) const;
  void Remove(const Folder& folder) const;

  const std::string root_;
  int root_fd_ = -1;
  Mutex mu_;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 1;
  std::vector<Folder> unused_ ABSL_GUARDED_BY(mu_);  // At most as many as were out at once.
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_SCRATCH_FOLDERS_H_
