// Between the messages of reeve/link/v1 and the scheduler's events and effects. The one place for
// these conversions at the master.
//
// Decoders check every bound of what comes from outside. Errors: INVALID_ARGUMENT, with what is
// wrong. Thread: none.

#ifndef REEVE_MASTER_DISPATCH_LINK_MESSAGES_H_
#define REEVE_MASTER_DISPATCH_LINK_MESSAGES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"
#include "master/store/store.h"
#include "reeve/link/v1/link.pb.h"

namespace reeve {

absl::Status FromWire(const link::v1::HeldRuns& wire, Epoch epoch, std::vector<HeldRun>* held);
absl::StatusOr<Hello> FromWire(const link::v1::Hello& wire, Epoch epoch);
absl::StatusOr<Heartbeat> FromWire(const link::v1::Heartbeat& wire, Epoch epoch);
absl::StatusOr<std::vector<LeasedRun>> FromWire(const link::v1::Recalled& wire);
absl::StatusOr<std::vector<LeasedRun>> FromWire(const link::v1::Release& wire);
// Slices of `blob`: it is not copied.
absl::StatusOr<ResultsArrived> FromWire(const link::v1::Results& wire, const Buffer& blob);
absl::StatusOr<std::map<JobId, std::vector<StoredLog>>> FromWire(const link::v1::Output& wire,
                                                                 const Buffer& blob);

std::string ToWire(const SendHeartbeatAck& ack);
std::string ToWire(const SendRecall& recall);
std::string ToWire(const SendCancel& cancel);
std::string ToWire(const AckResults& ack);

// Frames of an assignment: as few as fit into the frame limit.
struct AssignFrame {
  std::string body;
  Buffer blob;
};
std::vector<AssignFrame> ToWire(const Assignment& assignment);

}  // namespace reeve

#endif  // REEVE_MASTER_DISPATCH_LINK_MESSAGES_H_
