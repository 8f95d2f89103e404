// A cluster on this machine: one master and some worker processes, on a state folder.
//
//   STATE/reeve.db LOCK token   the master's
//   STATE/worker-1 …            state folders of the workers
//   STATE/run/master.pid …      who runs; run/address: where
//   STATE/log/master.log …      what they say
//
// Thread: one.

#ifndef REEVE_CLIENT_LOCAL_CLUSTER_H_
#define REEVE_CLIENT_LOCAL_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/canceller.h"
#include "client/clusters.h"
#include "client/job_client.h"
#include "client/process.h"

namespace reeve {

struct LocalClusterOptions {
  std::string state_folder;
  std::string host = "127.0.0.1";
  // Further addresses of this machine: the master listens there, too, and everything is encrypted,
  // also if they are loopback. Empty: as it ran last.
  std::vector<std::string> listen;
  uint16_t port = 0;  // 0: where it ran last, otherwise 7520.
  uint32_t workers = 2;
  uint32_t slots = 0;  // Threads of each worker; 0: the worker's default.
  uint32_t process_slots = 0;
  uint32_t async_slots = 0;
  std::vector<std::string> worker_flags;  // Further ones, for all of them.
  bool is_detached = false;
};

class LocalCluster {
 public:
  // Starts what does not run yet, and waits until the master serves and the workers are there. On
  // an error it stops what it started.
  //
  // Errors: FAILED_PRECONDITION (LOCAL)  the state folder cannot be used, a program is missing, or
  // a daemon ended: with the last lines
  //                                      of its log. DEADLINE_EXCEEDED: not ready after 30 s.
  //                                      CANCELLED.
  static absl::StatusOr<std::unique_ptr<LocalCluster>> Start(const LocalClusterOptions& options,
                                                             Canceller& canceller);

  const Address& address() const { return address_; }
  const ClusterAccess& access() const { return access_; }
  // Addresses beyond loopback, as given.
  const std::vector<std::string>& listen() const { return listen_; }
  // With `listen`: the file with a token for `reeve worker join`.
  std::string join_token_file() const { return options_.state_folder + "/join_token"; }
  // Names of what Start started; empty: all ran already.
  const std::vector<std::string>& started() const { return started_names_; }

  // Looks after what was started here until cancelled: what dies is started again, with a pause
  // that grows. `tell` gets a sentence each.
  void Supervise(Canceller& canceller, const std::function<void(std::string_view)>& tell);

  // Starts another worker process, with these flags; does not wait for it.
  absl::Status AddWorker(const std::string& name, const std::vector<std::string>& flags);

  // kill -9 of a member that was started here, and a new start at once, which is not waited for.
  absl::Status KillAndStart(std::string_view name);

  // Drains and stops what was started here: workers first, so that they hand in what they finish.
  // Returns: false if something had to be killed.
  bool Stop(absl::Duration grace);

  // Stops all that runs on a state folder. Returns: the names of what was stopped.
  static std::vector<std::string> StopAll(const std::string& state_folder, absl::Duration grace);

 private:
  struct Member {
    ProcessSpec spec;
    ProcessId process;
    absl::Duration pause;
    absl::Time start;
  };

  explicit LocalCluster(LocalClusterOptions options) : options_(std::move(options)) {}
  absl::Status PrepareFolder();
  absl::Status ChooseAddress();
  absl::Status ChooseListen();
  absl::Status PublishAccess() const;
  absl::Status StartMaster();
  absl::Status StartWorkers();
  // With `listen`: the key file of a worker of ours, enrolled if it is not yet.
  absl::StatusOr<std::string> EnrolledKeyFile(const std::string& worker_folder);
  absl::Status StartMember(ProcessSpec spec);
  absl::Status WaitFor(Canceller& canceller, const std::function<absl::Status(JobClient&)>& ready);
  absl::Status CheckMaster(JobClient& client) const;
  absl::Status CheckReady(JobClient& client) const;
  // The member that ended, with the end of its log; OK if all run.
  absl::Status CheckMembers();
  ProcessSpec Spec(const std::string& name, const std::string& program) const;

  const LocalClusterOptions options_;
  Address address_;
  ClusterAccess access_;
  std::vector<std::string> listen_;
  bool must_init_ = false;
  std::vector<Member> members_;
  std::vector<std::string> started_names_;
};

// A port P such that P to P + 3 are free now.
absl::StatusOr<uint16_t> FindFreePorts();

}  // namespace reeve

#endif  // REEVE_CLIENT_LOCAL_CLUSTER_H_
