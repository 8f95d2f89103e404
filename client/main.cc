// reeve: the command line.

#include <cstdlib>

#include "client/commands/registration.h"

int main(int argc, char** argv) {
  // Between calls only gRPC's backup poller drives a connection that is being made; at its default
  // of 5 s, a `reeve up` or a stream that comes back waits so long for a master that is there.
  setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "100", 0);
  // What gRPC says to itself, e.g. of a timer that is gone at the end, is nothing for people.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  return reeve::RunReeve(argc, argv);
}
