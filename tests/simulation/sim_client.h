// Clients: each carries out one job plan and never gives up. A call that is not answered is made
// again with the same request id; an appender that loses its stream goes on from the committed
// offset.

#ifndef REEVE_TESTS_SIMULATION_SIM_CLIENT_H_
#define REEVE_TESTS_SIMULATION_SIM_CLIENT_H_

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/sim_master.h"

namespace reeve::sim {

class SimClients final : public ReplySink {
 public:
  SimClients(World* world, SimStore* store, Checker* checker);

  void Use(SimMaster* master) { master_ = master; }
  // A reply leaves the master.
  void OnReply(const Reply& reply) override;
  // Events kReply, kApi, kClientTimer.
  void OnArrived(uint64_t reply);
  void OnCall(uint64_t call);
  void OnTimer(uint32_t client, uint64_t which, uint64_t token);
  void OnReadTimer(uint32_t client, uint64_t token);
  // Every job is created, filled, closed and where wanted cancelled.
  bool Done() const;

 private:
  enum class Verb : uint8_t {
    kCreate,
    kClose,
    kCancel,
    kAppend,
    kRead,
    kPause,
    kResume,
    kUpdate,
    kDelete
  };
  // One of the things a client waits for; at most one call of it is under way.
  struct Ask {
    bool wanted = false, done = false;
    CallId call;
    uint64_t token = 0;
  };
  struct Stream {
    CallId call;
    bool open = false;
    uint64_t sent = 0, committed = 0;
    uint64_t token = 0;
    bool done = false;
  };
  // Reads the results of an EPHEMERAL job, so that they need not be kept.
  struct Reader {
    CallId cursor;
    uint64_t passed = 0, token = 0;
  };
  struct Client {
    bool over = false;  // EPHEMERAL: its end was seen.
    Reader reader;
    uint64_t key = 0;
    std::string request;
    std::string row_request;  // As the row of its job has it.
    JobId job;
    Ask create, close, cancel, pause, resume, update, remove;
    std::vector<Stream> streams;
  };
  struct Call {
    uint32_t client = 0;
    Verb verb = Verb::kCreate;
    uint32_t appender = 0;
    JobId job;  // kDelete.
  };

  const JobPlan& PlanOf(uint32_t client) const { return world_->config.jobs[client]; }
  CallId NewCall(uint32_t client, Verb verb, uint32_t appender = 0);
  void Post(Event event);
  void Retry(uint32_t client, uint64_t which, uint64_t* token, int64_t after);
  void Create(uint32_t client);
  // Returns: nullopt if a job that it depends on is not known yet.
  std::optional<CreateJob> MakeCreate(uint32_t client, uint32_t leader);
  // What the service makes of RetryJob. Returns: nullopt if there is nothing to try again, or not
  // yet.
  std::optional<CreateJob> MakeRetry(uint32_t client);
  // Returns: false if that is not known yet.
  bool SetDependencies(uint32_t client, uint32_t leader, CreateJob* event);
  Ask& AskOf(Client& client, Verb verb);
  // Pauses, resumes or changes the job.
  void Change(uint32_t client, Verb verb, uint64_t which, const Ask* behind);
  void OnJobsReply(const Call& call, CallId id, const JobsReply& reply);
  void OnCreated(uint32_t client, JobId job);
  // The job is gone with its master: all over again, as another job.
  void StartAnew(uint32_t client);
  void Read(uint32_t client);
  void ReadLater(uint32_t client);
  void MoveCursor(uint32_t client, uint64_t passed, bool closed);
  void Close(uint32_t client);
  void Cancel(uint32_t client);
  void Delete(uint32_t client);
  void Open(uint32_t client, uint32_t appender);
  void Append(uint32_t client, uint32_t appender);
  void GiveUpStream(uint32_t client, uint32_t appender, int64_t reopen_after);
  void OnJobReply(const Call& call, CallId id, const JobReply& reply);
  void OnDeleteReply(const Call& call, CallId id, const absl::Status& status);
  void OnAppendReply(const Call& call, CallId id, const AppendReply& reply);
  InputsRef Inputs(uint64_t key, uint64_t appender, uint64_t offset, uint32_t count) const;
  bool Ended(JobId job) const;

  World* world_;
  SimStore* store_;
  Checker* checker_;
  SimMaster* master_ = nullptr;
  std::vector<Client> clients_;
  std::vector<Call> calls_;  // By CallId - 1.
  Pool<Event> posted_;
  Pool<Reply> replies_;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SIM_CLIENT_H_
