// What can happen to the scheduler. Plain values; payloads ride along as opaque handles that the
// core never opens.
//
// Thread: made by the edges (service, dispatcher, collector, store), handed over by value, consumed
// by Scheduler::Step.

#ifndef REEVE_MASTER_SCHEDULER_EVENTS_H_
#define REEVE_MASTER_SCHEDULER_EVENTS_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/ids.h"
#include "base/positions.h"
#include "base/time_histogram.h"

namespace reeve {

class InputBatch;  // Opaque here: base/input_batch.h.
using InputsRef = std::shared_ptr<const InputBatch>;

// The two clocks, read once per batch by the loop. Leases and time-outs live on the first, due
// times that must survive a restart and everything people see on the second.
struct Now {
  absl::Duration monotonic;  // Since an arbitrary point; never goes back.
  absl::Time wall;
};

// What the scheduler must know of a job's specification; validated by the service.
struct JobOptions {
  std::string handler;
  uint32_t max_attempts = 3;   // 1 to 1,000.
  uint32_t max_in_flight = 0;  // 0: no limit.
  int32_t priority = 0;        // -100 to 100; higher first.
  bool ephemeral = false;      // Lives in the memory store.
  bool at_most_once = false;
  bool exclusive = false;  // Never at two places at once: lost with the lease, never earlier.
  // Results may bring new inputs with keys; a known key is dropped, and so is what goes beyond
  // max_tasks (1 to kMaxTasksPerJob).
  bool accepts_inputs = false;
  uint32_t max_tasks = 0;
  std::string owner;  // Whose bounds the job counts against; empty: only those of all.
};

// ---- From the API ----

struct CreateJob {
  CallId call;
  std::string request_id;
  uint64_t content_hash = 0;  // Of the request without its id.
  JobOptions options;
  Buffer record;             // reeve.store.v1.JobRecord without the id; opaque.
  uint32_t array_count = 0;  // > 0: an array of so many tasks.
  InputsRef inputs;          // Inline tasks, or null.
  uint32_t input_count = 0;
  uint64_t input_bytes = 0;    // Payload bytes of `inputs`.
  std::vector<InputKey> keys;  // Of each input, or empty.
  bool open = false;
};

// First message of an AppendTasks stream. A reply comes when earlier messages of the appender are
// committed.
struct OpenAppender {
  CallId stream;
  JobId job;
  std::string appender;
};

struct AppendTasks {
  CallId stream;
  uint64_t offset = 0;
  InputsRef inputs;
  uint32_t count = 0;
  uint64_t bytes = 0;
  std::vector<InputKey> keys;  // Of each input, or empty.
};

// The stream is gone; nothing more will be answered on it.
struct CloseAppender {
  CallId stream;
};

struct CloseJob {
  CallId call;
  JobId job;
};

struct CancelJob {
  CallId call;
  JobId job;
};

// ---- From workers, by the dispatcher ----

enum class HeldPhase : uint8_t { kQueued = 1, kRunning = 2, kFinished = 3 };

// Part of what a worker says it holds.
struct HeldRun {
  JobId job;
  Birth birth;
  LeaseId lease;  // Under which it was got.
  Run run;
  HeldPhase phase = HeldPhase::kQueued;
};

struct LaneRoom {
  uint32_t slots = 0;
  uint32_t stuck = 0;
};
using LaneRooms = std::array<LaneRoom, kLaneCount>;

// See reeve.v1.PoolStatus.
struct PoolStatus {
  std::string name;
  uint32_t limit = 0, open = 0, busy = 0, waiting = 0;
  uint64_t connects = 0, failed_connects = 0, lost = 0;
  std::string last_error;
};

struct HandlerOffer {
  std::string name;
  Lane lane = Lane::kUnspecified;
};

// A whole Hello, pages put together, token and protocol version already checked by the dispatcher.
struct Hello {
  SessionId session;
  uint64_t number = 0;
  std::string worker_id;
  std::string process_id;
  std::string hostname;
  std::string name;                           // As its owner calls it.
  std::map<std::string, std::string> labels;  // What its owner says of it.
  std::string version;
  uint32_t pid = 0;
  std::vector<HandlerOffer> handlers;
  LaneRooms lanes{};
  LeaseSeq seen_seq;
  std::vector<HeldRun> held;
  // Named by the previous process's memory file or crash note.
  std::vector<HeldRun> suspects;
  bool culprit_named = false;
  // The process_id of that process; with no suspects: nothing ran when it ended. Empty: the parent
  // knows of none before.
  std::string suspects_process;
  bool local_cluster = false;
};

struct RunningTask {
  JobId job;
  TaskIndex index = 0;
  std::optional<uint32_t> permille;  // How far it is, if it says so.
  std::string note;
};

struct Heartbeat {
  SessionId session;
  uint64_t number = 0;
  LeaseSeq seen_seq;
  uint64_t held_count = 0;
  uint64_t held_hash = 0;
  std::optional<std::vector<HeldRun>> held;  // The full set, when asked for.
  std::vector<RunningTask> running;
  LaneRooms lanes{};
  bool draining = false;
  bool spool_full = false;
  std::vector<PoolStatus> pools;
};

struct LeasedRun {
  LeaseSeq lease;
  Run run;
};

struct Recalled {
  SessionId session;
  std::vector<LeasedRun> cut;  // count 0: nothing could be cut of this lease.
};

struct Released {
  SessionId session;
  std::vector<LeasedRun> runs;
};

struct Goodbye {
  SessionId session;
  std::string reason;
};

// The connection is gone (EHOSTUNREACH).
struct ConnectionClosed {
  SessionId session;
};

// ---- From the collector ----

// An entry that did not succeed.
struct FailedEntry {
  uint32_t position = 0;
  TaskState state = TaskState::kFailed;  // kFailed or kCancelled.
  Reason reason = Reason::kNone;
};

// New inputs that the results of a batch bring along.
struct NewInputs {
  struct Part {
    uint32_t position = 0;  // In the batch: the entry that adds them. It succeeded.
    uint32_t count = 0;     // Inputs; at least 1.
  };
  InputsRef inputs;            // Null: none.
  std::vector<InputKey> keys;  // Of each input.
  uint64_t bytes = 0;          // Of memory that `inputs` take.
  std::vector<Part> parts;     // Ascending; together all of `inputs`, in order.
};

struct ResultBatchArrived {
  uint64_t number = 0;  // Per session; acknowledged by it.
  JobId job;
  std::vector<LeasedRun> runs;  // Ascending; positions count on from 0.
  std::vector<FailedEntry> failed;
  absl::Duration run_time;  // Sum over the batch.
  Buffer body;              // Wire bytes of a reeve.v1.ResultBatch.
  NewInputs added;
  std::vector<CountedEntry> counted;  // Positions ascend.
  std::vector<TimeCount> run_times;   // Of all its attempts, for statistics.
};

struct ResultsArrived {
  SessionId session;
  Epoch epoch;
  std::vector<ResultBatchArrived> batches;
};

// ---- From the stores ----

enum class StoreKind : uint8_t { kDurable = 0, kMemory = 1 };
inline constexpr int kStoreCount = 2;

// Everything up to this commit of this store is committed.
struct Committed {
  StoreKind store = StoreKind::kDurable;
  uint64_t number = 0;
};

// Answer to Effects::loads.
struct InputsLoaded {
  JobId job;
  TaskIndex first = 0;
  InputsRef inputs;      // Null: could not be read now.
  bool damaged = false;  // They will never be readable: the tasks fail.
};

// The disk of the durable store is nearly full, or is no longer.
struct DiskLow {
  bool low = false;
};

// A result stream of an EPHEMERAL job opened, went on or closed.
struct CursorMoved {
  JobId job;
  CallId cursor;
  uint64_t passed = 0;  // It will not ask again for results through this seq.
  bool closed = false;
};

// ---- From the loop ----

// Time passed; nothing else. Sent when NextDeadline() is reached.
struct Tick {};

// Take nothing more, assign nothing more.
struct DrainMaster {};

using Event =
    std::variant<CreateJob, OpenAppender, AppendTasks, CloseAppender, CloseJob, CancelJob, Hello,
                 Heartbeat, Recalled, Released, Goodbye, ConnectionClosed, ResultsArrived,
                 Committed, InputsLoaded, DiskLow, CursorMoved, Tick, DrainMaster>;

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_EVENTS_H_
