// What a worker says on the dispatch connection: whatever is accepted is within bounds. The first
// byte chooses the message.

#include "master/dispatch/link_messages.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

bool Sound(Run run) { return uint64_t{run.first} + run.count <= kMaxTasksPerJob; }

void CheckHeld(const std::vector<HeldRun>& held) {
  for (const HeldRun& run : held) {
    Require(Sound(run.run), "a held run lies within a job");
    Require(run.phase >= HeldPhase::kQueued && run.phase <= HeldPhase::kFinished,
            "a held run has a phase");
  }
}

void CheckRooms(const LaneRooms& rooms) {
  for (const LaneRoom& room : rooms) Require(room.slots <= 100'000, "slots are bounded");
}

void CheckHello(const link::v1::Hello& wire) {
  const auto hello = FromWire(wire, Epoch(3));
  if (!hello.ok()) return;
  CheckHeld(hello->held);
  CheckHeld(hello->suspects);
  CheckRooms(hello->lanes);
  Require(hello->held.size() == size_t(wire.held().lease_size()), "no held run is left out");
  Require(!hello->worker_id.empty() && hello->worker_id.size() <= 64, "worker_id is bounded");
  Require(hello->resources.size() <= 16, "resources are bounded");
  for (const auto& [name, amount] : hello->resources)
    Require(!name.empty() && name.size() <= 63 && amount > 0, "a resource is bounded");
  for (const HandlerOffer& offer : hello->handlers) {
    Require(offer.lane != Lane::kUnspecified && int(offer.lane) < kLaneCount,
            "a handler has a lane");
  }
}

void CheckHeartbeat(const link::v1::Heartbeat& wire) {
  const auto beat = FromWire(wire, Epoch(3));
  if (!beat.ok()) return;
  if (beat->held.has_value()) CheckHeld(*beat->held);
  CheckRooms(beat->lanes);
  Require(beat->running.size() <= 1024, "running tasks are bounded");
  for (const RunningTask& task : beat->running)
    Require(task.details.size() <= kMaxDetailsBytes, "details are bounded");
}

void CheckRuns(const absl::StatusOr<std::vector<LeasedRun>>& runs) {
  if (!runs.ok()) return;
  for (const LeasedRun& run : *runs) Require(Sound(run.run), "a leased run lies within a job");
}

}  // namespace

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  const std::string_view body = input.substr(1);
  link::v1::Hello hello;
  link::v1::Heartbeat heartbeat;
  link::v1::Recalled recalled;
  link::v1::Release release;
  switch (input[0]) {
    case 'h':
      if (ParseMessage(body, &hello)) CheckHello(hello);
      break;
    case 'b':
      if (ParseMessage(body, &heartbeat)) CheckHeartbeat(heartbeat);
      break;
    case 'c':
      if (ParseMessage(body, &recalled)) CheckRuns(FromWire(recalled));
      break;
    case 'r':
      if (ParseMessage(body, &release)) CheckRuns(FromWire(release));
      break;
    default: break;
  }
}

}  // namespace reeve::fuzz
