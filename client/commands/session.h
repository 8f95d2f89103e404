// What every command works with: the terminal, the settings and the connection to the master.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_SESSION_H_
#define REEVE_CLIENT_COMMANDS_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/clusters.h"
#include "client/job_client.h"
#include "client/output/console.h"
#include "client/settings.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

// What `all` means to a command.
enum class AllJobs { kEvery, kActive, kEnded };

// Fetches the authority that the token pins, if none is known. Nothing but loopback is spoken to
// without one. Errors: as FetchAuthority; UNAUTHENTICATED BAD_TOKEN.
absl::Status CompleteAccess(const Address& address, ClusterAccess* access);

class Session {
 public:
  Console& console() { return console_; }
  Settings& settings() { return settings_; }

  absl::StatusOr<Address> MasterAddress() const;
  // `reeve`, with the flag that says which master where only the command line says so: for the
  // commands that messages name.
  std::string Command() const;
  void set_master_flag(std::string address) { master_flag_ = std::move(address); }
  // An error as a person can use it: says where a missing token was looked for.
  absl::Status Explain(const absl::Status& status) const;

  // The connection to the master; made once. Make an Interrupt first if the command wants one.
  // Errors: a usage error for a bad address or an unreadable token file.
  absl::StatusOr<JobClient*> Connect();

  // Ids that `selector` names; `last` and `all` are asked of the master, `-` reads ids from
  // standard input. Errors: a usage error; NOT_FOUND if there is no job at all for `last`.
  absl::StatusOr<std::vector<uint64_t>> SelectJobs(std::string_view selector, AllJobs all);
  absl::StatusOr<std::vector<uint64_t>> SelectJobs(const std::vector<std::string>& selectors,
                                                   AllJobs all);
  // Exactly one. Errors: a usage error if the selector names more.
  absl::StatusOr<uint64_t> SelectJob(std::string_view selector);

  // Prints a message: as JSON with --json, otherwise as `text`.
  void Print(const google::protobuf::Message& message, std::string_view text);

 private:
  absl::StatusOr<std::vector<uint64_t>> ListIds(AllJobs all);
  absl::StatusOr<uint64_t> NewestId();

  Console console_;
  Settings settings_;
  std::string master_flag_;
  std::string missing_token_file_;  // Where no token was; empty: there was one.
  std::unique_ptr<JobClient> client_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_SESSION_H_
