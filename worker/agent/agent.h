// The agent: what a worker holds and owes. Pure, like the scheduler.
//
// It keeps every span until its results are acknowledged, says Hello and Heartbeat, answers Recall
// and Cancel with what the lanes truly cut, and knows when a drain is done. It runs nothing and
// sends nothing: effects name what the loop must do.
//
// A span has a key of the worker's own; leases are labels on its runs, because a master that
// restarts gives new ones.
//
// Thread: none; the worker loop's.

#ifndef REEVE_WORKER_AGENT_AGENT_H_
#define REEVE_WORKER_AGENT_AGENT_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/ids.h"
#include "base/interval_set.h"

namespace reeve {

struct AgentOptions {
  absl::Duration hello_repeat = absl::Seconds(1);
  // A batch not acknowledged for so long is sent again; the master tells repeated ones apart.
  absl::Duration results_repeat = absl::Seconds(10);
  // Unacknowledged results beyond this: nothing new is taken.
  uint64_t spool_bytes = 64u << 20;
  // Most bytes of results sent and not yet acknowledged; the rest waits here, not in the master's
  // sockets, whose queues count messages. One batch always goes.
  uint64_t window_bytes = 16u << 20;
  // A drain that takes longer stops what still runs.
  absl::Duration drain_grace = absl::Seconds(10);
  // Longest wait for a first Welcome.
  absl::Duration connect_timeout = absl::Seconds(30);
  // Exclusive tasks end so long after the last sign that the master hears this worker was sent:
  // less than a lease.
  absl::Duration exclusive_hold = absl::Seconds(12);
};

// ---- What comes in ----

namespace agent {

// A task that ran when the process before this one died.
struct Suspect {
  JobId job;
  Birth birth;
  TaskIndex index = 0;
};

struct Begin {
  std::vector<Suspect> suspects;
  bool culprit_named = false;  // The one suspect took the process down.
  std::string process_id;      // Of that process.
};

struct Welcomed {
  struct Run_ {
    JobId job;
    Run run;
    LeaseSeq lease;  // 0: drop.
  };
  uint64_t number = 0;
  Epoch epoch;
  std::string refused;
  absl::Duration heartbeat = absl::Seconds(1);
  absl::Duration orphan_timeout = absl::Minutes(40);
  absl::Duration hello_spread;
  std::vector<Run_> runs;
  LeaseSeq seen_seq;  // Assignments up to it are void.
};

struct AskedWho {};

// One span of an Assign. `payload`: where the loop keeps what the lane needs.
struct Assigned {
  JobId job;
  LeaseSeq lease;
  Run run;
  Birth birth;
  uint32_t attempt = 1;
  Lane lane = Lane::kThread;
  uint64_t payload = 0;
  bool exclusive = false;
};

struct RecallAsked {
  LeaseSeq lease;
  TaskIndex end = 0;
};
struct CancelAsked {
  LeaseSeq lease;
  Run run;
};
struct HeartbeatAcked {
  uint64_t number = 0;
  bool send_held = false;
};
struct ResultsAcked {
  std::vector<uint64_t> numbers;  // Recorded or superseded: settled either way.
};
// Anything at all from the master.
struct Heard {};

// What a lane cut of a span, as asked by a Cut or Cancel effect.
struct Cut {
  SpanKey span;
  std::vector<Run> runs;
  enum class Why : uint8_t { kRecall, kCancel, kDrain } why = Why::kRecall;
};

struct Failed {
  uint32_t position = 0;
  TaskState state = TaskState::kFailed;
  Reason reason = Reason::kNone;
  bool permanent = false;               // Trying again cannot help, says the handler.
  std::optional<absl::Duration> again;  // Or: try again after so long, and do not count it.
  std::string details;                  // For the next attempt.
};

// New inputs that an entry of a batch adds to its job.
struct Added {
  uint32_t position = 0;
  uint32_t count = 0;
};

// Results of a lane.
struct Reported {
  SpanKey span;
  std::vector<Run> runs;
  std::vector<Failed> failed;
  uint64_t details_bytes = 0;  // Of `failed`.
  absl::Duration run_time;
  Buffer body;  // The results and, behind them, the new inputs.
  std::vector<Added> added;
  uint32_t new_inputs_bytes = 0;  // Of `body`.
  std::vector<CountedEntry> counted;
};

// The socket took nothing (no connection, queue full): the batches must go again.
struct NotSent {
  std::vector<uint64_t> numbers;
};

struct Drain {};
struct Tick {};

}  // namespace agent

using AgentEvent = std::variant<agent::Begin, agent::Welcomed, agent::AskedWho, agent::Assigned,
                                agent::RecallAsked, agent::CancelAsked, agent::HeartbeatAcked,
                                agent::ResultsAcked, agent::Heard, agent::Cut, agent::Reported,
                                agent::NotSent, agent::Drain, agent::Tick>;

// ---- What must be done ----

struct AgentHeld {
  JobId job;
  Birth birth;
  LeaseId lease;
  Run run;
  bool finished = false;
};

struct AgentLeased {
  LeaseSeq lease;
  Run run;
};

struct AgentEffects {
  struct Hello {
    uint64_t number = 0;
    LeaseSeq seen_seq;
    Epoch highest_epoch;
    std::vector<AgentHeld> held;
    std::vector<agent::Suspect> suspects;
    bool culprit_named = false;
    std::string suspects_process;
  };
  struct Heartbeat {
    uint64_t number = 0;
    LeaseSeq seen_seq;
    uint64_t held_count = 0, held_hash = 0;
    std::optional<std::vector<AgentHeld>> held;
    bool draining = false, spool_full = false;
  };
  struct Start {
    SpanKey span;
    uint64_t payload = 0;
  };
  struct CutSpan {
    SpanKey span;
    TaskIndex from = 0;
    agent::Cut::Why why = agent::Cut::Why::kRecall;
  };
  struct CancelRun {
    SpanKey span;
    Run run;
  };
  struct Batch {
    uint64_t number = 0;
    JobId job;
    std::vector<AgentLeased> runs;
    std::vector<agent::Failed> failed;
    uint64_t details_bytes = 0;
    absl::Duration run_time;
    Buffer body;  // As in Reported.
    std::vector<agent::Added> added;
    uint32_t new_inputs_bytes = 0;
    std::vector<CountedEntry> counted;

    // That count against the bounds.
    uint64_t bytes() const { return body.size() + details_bytes; }
  };

  std::optional<Hello> hello;
  bool suspects_told = false;  // A master has taken them in: forget them.
  std::optional<Heartbeat> heartbeat;
  std::vector<Start> starts;
  std::vector<CutSpan> cuts;       // Answer each with agent::Cut.
  std::vector<CancelRun> cancels;  // Answer each with agent::Cut.
  std::vector<AgentLeased> recalled;
  std::vector<AgentLeased> released;
  std::vector<Batch> results;
  // Exclusive tasks may run until then (monotonic), no longer.
  std::optional<absl::Duration> exclusive_until;
  std::vector<SpanKey> ended;  // Nothing of the span is in a lane any more.
  std::optional<std::string> goodbye;
  // The worker ends with this code, for this reason.
  std::optional<std::pair<int, std::string>> exit;
};

class Agent {
 public:
  Agent(const AgentOptions& options, absl::Duration now);

  // `now`: monotonic. Not earlier than in the call before.
  void Step(absl::Duration now, AgentEvent event);
  AgentEffects TakeEffects(absl::Duration now);
  // Monotonic time of the next Tick.
  absl::Duration NextDeadline() const;

  bool welcomed() const { return welcomed_; }
  Epoch epoch() const { return epoch_; }
  uint64_t held_count() const;

 private:
  struct Portion {
    uint32_t count = 0;
    LeaseId lease;  // seq 0: dropped by the master.
  };
  struct Span {
    JobId job;
    Birth birth;
    IntervalSet unfinished;
    std::map<TaskIndex, Portion> portions;
  };
  struct Batch {
    AgentEffects::Batch content;
    Birth birth;
    Epoch epoch;           // Of its leases.
    IntervalSet unwanted;  // Dropped by a master; stays so.
    absl::Duration sent = -absl::InfiniteDuration();
    bool on_its_way = false;  // Sent on this connection, not acknowledged.
  };

  void On(absl::Duration now, agent::Begin& event);
  void On(absl::Duration now, agent::Welcomed& event);
  void On(absl::Duration now, agent::AskedWho&);
  void On(absl::Duration now, agent::Assigned& event);
  void On(absl::Duration now, agent::RecallAsked& event);
  void On(absl::Duration now, agent::CancelAsked& event);
  void On(absl::Duration now, agent::HeartbeatAcked& event);
  void On(absl::Duration now, agent::ResultsAcked& event);
  void On(absl::Duration now, agent::Heard&);
  void On(absl::Duration now, agent::Cut& event);
  void On(absl::Duration now, agent::Reported& event);
  void On(absl::Duration now, agent::NotSent& event);
  void On(absl::Duration now, agent::Drain&);
  void On(absl::Duration now, agent::Tick&);

  void SayHello(absl::Duration now);
  void Beat(absl::Duration now);
  void Answered(absl::Duration sent);
  void StopExclusive();
  absl::Duration exclusive_until() const { return answered_ + options_.exclusive_hold; }
  void Relabel(const agent::Welcomed::Run_& run);
  void Renumber();
  void DropOutdated();
  static bool Label(std::map<TaskIndex, Portion>* portions, Run run, LeaseId lease,
                    const LeaseId* only);
  static void Label(std::vector<AgentLeased>* runs, Run run, LeaseSeq lease, const LeaseSeq* only);
  std::vector<AgentLeased> LeasedParts(const Span& span, Run run) const;
  std::vector<AgentHeld> Held() const;
  void EndIfFinished(SpanKey key);
  bool MayGo(const Batch& batch) const;
  void SetOnItsWay(Batch* batch, bool on_its_way);
  void Forget(std::map<uint64_t, Batch>::iterator batch);
  bool spool_full() const { return unacknowledged_bytes_ >= options_.spool_bytes; }

  const AgentOptions options_;
  const absl::Duration born_;
  bool welcomed_ = false;
  bool ever_welcomed_ = false;
  bool greeting_ = false;  // Hello sent, no Welcome yet.
  Epoch epoch_;
  uint64_t hello_number_ = 0;
  absl::Duration hello_at_ = absl::InfiniteDuration();
  absl::Duration last_heard_;
  absl::Duration heartbeat_ = absl::Seconds(1);
  absl::Duration orphan_timeout_ = absl::Minutes(40);
  absl::Duration next_beat_ = absl::InfiniteDuration();
  uint64_t beat_number_ = 0;
  std::map<uint64_t, absl::Duration> beats_sent_;        // Not answered yet, the newest only.
  absl::Duration hello_sent_;                            // First, under its number.
  absl::Duration answered_ = -absl::InfiniteDuration();  // When what was answered was sent.
  std::set<SpanKey> exclusive_;                          // Spans of exclusive jobs, still wanted.
  agent::Begin before_;                                  // Told until a master knows it.
  LeaseSeq seen_seq_;
  uint64_t next_span_ = 1, next_batch_ = 1;
  std::map<SpanKey, Span> spans_;
  std::map<LeaseSeq, SpanKey> span_of_;
  std::map<uint64_t, Batch> batches_;
  std::set<uint64_t> to_send_;
  uint64_t unacknowledged_bytes_ = 0;
  uint64_t on_its_way_bytes_ = 0;  // Part of them.
  absl::Duration next_resend_ = absl::InfiniteDuration();
  bool draining_ = false, drain_forced_ = false, ended_ = false;
  absl::Duration drain_deadline_ = absl::InfiniteDuration();
  AgentEffects effects_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_AGENT_AGENT_H_
