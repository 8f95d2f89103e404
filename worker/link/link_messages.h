// Between the messages of reeve/link/v1 and the agent's events and effects. The one place for these
// conversions at the worker.
//
// Thread: none.

#ifndef REEVE_WORKER_LINK_LINK_MESSAGES_H_
#define REEVE_WORKER_LINK_LINK_MESSAGES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/frame.h"
#include "reeve/link/v1/link.pb.h"
#include "worker/agent/agent.h"
#include "worker/lanes/lane.h"

namespace reeve {

// What a worker says of itself in Hello.
struct WorkerIdentity {
  std::string token, worker_id, process_id, hostname, version, host_key, name;
  std::map<std::string, std::string> labels;
  std::map<std::string, int64_t> resources;  // In thousandths.
  uint32_t pid = 0;
  std::vector<std::pair<std::string, Lane>> handlers;
};

// Whether a worker heeds a frame: it is for its session (only the refusal of a protocol names
// nobody), and not from an older master than `epoch`, which it obeys; a newer one must greet first.
bool IsHeeded(const FrameHead& head, SessionId session, Epoch epoch);

// A span of an Assign, ready for a lane (its key still missing).
struct AssignedWork {
  agent::Assigned event;  // Lane and payload still missing.
  LaneSpan span;
};

// Errors, of both: INVALID_ARGUMENT  columns that do not fit each other or the blob; runs out of
// range.
absl::StatusOr<agent::Welcomed> FromWire(const link::v1::Welcome& wire, Epoch epoch);
absl::StatusOr<std::vector<AssignedWork>> FromWire(const link::v1::Assign& wire, const Buffer& blob,
                                                   bool local_cluster);
std::shared_ptr<const JobContext> ParseJob(const std::string& brief, bool local_cluster);

// Pages of a Hello, each below the frame limit.
std::vector<std::string> ToWire(const AgentEffects::Hello& hello, const WorkerIdentity& identity,
                                const std::vector<v1::LaneStatus>& lanes);
// Without running attempts.
link::v1::Heartbeat ToWire(const AgentEffects::Heartbeat& beat,
                           const std::vector<v1::LaneStatus>& lanes);
void AddRunning(const RunningAttempt& attempt, link::v1::Heartbeat* wire);
// All of a batch but its length in the blob.
void ToWire(const AgentEffects::Batch& batch, link::v1::Results::Batch* wire);
void ToWire(const std::vector<AgentHeld>& held, link::v1::HeldRuns* wire);

}  // namespace reeve

#endif  // REEVE_WORKER_LINK_LINK_MESSAGES_H_
