// Results of the jobs that a job depends on, as files for its commands: NAME/INDEX in a folder that
// the attempts of the job on this worker share. It is made for the first and removed with the last
// of those that hold it.
//
// Private to worker/lanes.
//
// Thread: one at a time; a folder may be let go by any.

#ifndef REEVE_WORKER_LANES_RESULTS_FOLDERS_H_
#define REEVE_WORKER_LANES_RESULTS_FOLDERS_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/lanes/lane.h"
#include "worker/lanes/scratch_folders.h"

namespace reeve {

class ResultsFolders {
 public:
  class Folder {
   public:
    Folder(std::shared_ptr<ScratchFolders> folders, ScratchFolders::Folder folder)
        : folders_(std::move(folders)), folder_(std::move(folder)) {}
    ~Folder() { folders_->GiveBack(std::move(folder_)); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::string& path() const { return folder_.path; }

   private:
    const std::shared_ptr<ScratchFolders> folders_;
    ScratchFolders::Folder folder_;
  };

  // Makes `root`, and removes whatever is in it.
  explicit ResultsFolders(const std::string& root)
      : folders_(std::make_shared<ScratchFolders>(root)) {}

  // Null if the job has no predecessors. Errors: INTERNAL, with the system's reason.
  absl::StatusOr<std::shared_ptr<const Folder>> Of(const JobContext& job);

 private:
  const std::shared_ptr<ScratchFolders> folders_;
  std::map<JobId, std::weak_ptr<const Folder>> held_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_RESULTS_FOLDERS_H_
