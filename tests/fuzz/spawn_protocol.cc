// Records between worker and supervisor: taking them apart ends, and what is accepted encodes to
// itself.

#include "worker/supervisor/spawn_protocol.h"

#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  std::string buffer(input);
  SpawnMessage type;
  std::string body;
  size_t taken = 0;
  while (TakeRecord(&buffer, &type, &body)) {
    taken += sizeof(uint32_t) + 1 + body.size();
    SpawnRequest request;
    SpawnEvent event;
    if (DecodeSpawn(body, &request)) {
      Require(!request.argv.empty(), "a request names a program");
      const std::string again = EncodeSpawn(request);
      Require(again.substr(sizeof(uint32_t) + 1) == body, "a request encodes to itself");
    }
    if (DecodeEvent(body, &event)) {
      Require(event.kind >= SpawnEvent::Kind::kFailed && event.kind <= SpawnEvent::Kind::kExited,
              "an event has a kind");
    }
  }
  Require(taken + buffer.size() == input.size(), "no byte is lost");
}

}  // namespace reeve::fuzz
