// Identities and small value types that every part of Reeve shares.
//
// No I/O, no threads, no clock: the pure core stands on this file. Numeric values of the enums are
// those of reeve/v1 (checked in base/types_proto_test.cc), because they go over the wire as they
// are.

#ifndef REEVE_BASE_IDS_H_
#define REEVE_BASE_IDS_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace reeve {

// A number with a meaning: ids of different kinds do not mix. 0 means "none".
template <typename Tag>
struct Id {
  uint64_t value = 0;

  constexpr Id() = default;
  constexpr explicit Id(uint64_t v) : value(v) {}
  constexpr explicit operator bool() const { return value != 0; }
  constexpr auto operator<=>(const Id&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, Id id) {
    return H::combine(std::move(h), id.value);
  }
};

using JobId = Id<struct JobTag>;
// One connection life of a worker; chosen at random by the worker, so it cannot be guessed.
using SessionId = Id<struct SessionTag>;
// Sequence part of a lease: ascending over all sessions within an epoch; also the order of sending
// (`assign_seq`).
using LeaseSeq = Id<struct LeaseTag>;
using Epoch = Id<struct EpochTag>;
// A call or stream at the API's edge that waits for a reply.
using CallId = Id<struct CallTag>;
// `w-3`: stays with a worker's state folder for the life of the roster entry.
using WorkerNumber = Id<struct WorkerTag>;

// A worker's own number for a span: what its agent and lanes know it by.
using SpanKey = Id<struct SpanTag>;

using TaskIndex = uint32_t;

// Most tasks of one job.
inline constexpr uint32_t kMaxTasksPerJob = 100'000'000;
// Most tasks of one input batch.
inline constexpr uint32_t kMaxTasksPerBatch = 65'536;
// Largest input and largest result of one task, in bytes.
inline constexpr uint32_t kMaxPayloadBytes = 3u << 20;
// Longest message about a failure, in bytes; what is longer is cut.
inline constexpr uint32_t kMaxFailureBytes = 64u << 10;
// Largest gRPC message and ZeroMQ frame, in bytes.
inline constexpr uint32_t kMaxMessageBytes = 4u << 20;

// Consecutive indexes of one job: [first, first + count).
struct Run {
  TaskIndex first = 0;
  uint32_t count = 0;

  constexpr TaskIndex end() const { return first + count; }
  constexpr bool operator==(const Run&) const = default;
};

// Proves that two sides mean the same work: which life of the master took an input chunk in, and
// the how-manieth it was.
struct Birth {
  Epoch epoch;
  uint64_t counter = 0;

  constexpr auto operator<=>(const Birth&) const = default;
};

// What makes an input of a job the same as another: 128 bits that whoever adds it chooses, mostly a
// hash (base/input_key.h). Here as the words in which its 16 bytes lie in memory.
struct InputKey {
  uint64_t words[2] = {0, 0};

  constexpr auto operator<=>(const InputKey&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const InputKey& key) {
    return H::combine(std::move(h), key.words[0], key.words[1]);
  }
};
inline constexpr size_t kInputKeyBytes = 16;

// An attempt may add so many new inputs. Its output and they have kMaxPayloadBytes together, and
// each counts so much more than its bytes: its key and its length.
inline constexpr uint32_t kMaxNewInputs = 32'768;
inline constexpr size_t kNewInputCost = 24;

// Counters of a job. What is counted under a name beyond that is not, which kCountersDropped
// counts.
inline constexpr size_t kMaxCounters = 64;
inline constexpr std::string_view kCountersDropped = "reeve:dropped";
// [A-Za-z0-9_.-]{1,64}
bool IsCounterName(std::string_view name);
// Counters stay at the ends of their range.
int64_t SaturatingAdd(int64_t a, int64_t b);

// Of what an attempt says of its progress.
inline constexpr size_t kMaxProgressNoteBytes = 200;
// Of what an attempt leaves for the next one.
inline constexpr size_t kMaxDetailsBytes = 1024;

inline constexpr int32_t kDefaultPriority = 4;
inline constexpr int32_t kHighestPriority = 9;

// What an entry of a batch of results, one that succeeded, adds to a counter of its job.
struct CountedEntry {
  uint32_t position = 0;
  std::string counter;
  int64_t by = 0;
};

// A lease as it is told across epochs.
struct LeaseId {
  Epoch epoch;
  LeaseSeq seq;

  constexpr auto operator<=>(const LeaseId&) const = default;
};

enum class Lane : uint8_t { kUnspecified = 0, kThread = 1, kProcess = 2, kAsync = 3 };
inline constexpr int kLaneCount = 4;  // Arrays indexed by Lane; entry 0 unused.

// reeve.v1.Job.State.
enum class JobState : uint8_t {
  kUnspecified = 0,
  kOpen = 1,
  kActive = 2,
  kCancelling = 3,
  kSucceeded = 4,
  kFailed = 5,
  kCancelled = 6,
  kExpired = 7,
  kPaused = 8,  // What people see of a paused job that is open or active.
};
constexpr bool IsTerminal(JobState state) {
  return state >= JobState::kSucceeded && state <= JobState::kExpired;
}

// reeve.v1.Job.Cause.
enum class Cause : uint8_t {
  kNone = 0,
  kCancelledByUser = 1,
  kDeadline = 2,
  kDependency = 3,
  kSkipped = 4,
  kStopRule = 5,
  kReplaced = 6,
  kAbandoned = 7,
};

// reeve.v1.Task.State.
enum class TaskState : uint8_t {
  kUnspecified = 0,
  kScheduled = 1,
  kReady = 2,
  kAssigned = 3,
  kRunning = 4,
  kSucceeded = 5,
  kFailed = 6,
  kCancelled = 7,
  kExpired = 8,
  kBlocked = 9,
};
constexpr bool IsTerminal(TaskState state) {
  return state >= TaskState::kSucceeded && state <= TaskState::kExpired;
}

// reeve.v1.Task.Reason.
enum class Reason : uint8_t {
  kNone = 0,
  kExitNonzero = 1,
  kSignalled = 2,
  kTimeout = 3,
  kHandlerError = 4,
  kWorkerLost = 5,
  kPoisoned = 6,
  kResultTooLarge = 7,
  kNoSuchHandler = 8,
  kCommandNotFound = 9,
  kCommandNotExecutable = 10,
  kBadInput = 11,
  kResources = 12,
  kDataLoss = 13,
  kNotAllowed = 14,
};

// Name as published: `EXIT_NONZERO`, `SUCCEEDED`, …; `UNKNOWN` for a value that is none.
std::string_view ToString(Reason reason);
std::string_view ToString(TaskState state);
std::string_view ToString(JobState state);
std::string_view ToString(Lane lane);

// `w-3`.
std::string WorkerName(WorkerNumber number);
// `42/17`.
std::string TaskName(JobId job, TaskIndex index);

}  // namespace reeve

#endif  // REEVE_BASE_IDS_H_
