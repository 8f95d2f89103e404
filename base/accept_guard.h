// Keeps descriptors back from whoever connects.
//
// When a process has no descriptor left, libzmq's I/O thread spins in accept, gRPC gives its
// listener up, and SQLite cannot open its log. None of them lets us say how many connections it may
// take, so this file defines accept4 for the whole program: a connection whose descriptor lies at
// or above a bound is closed at once, which the other side sees as refused. Connections that are
// open stay.
//
// Thread: any.

#ifndef REEVE_BASE_ACCEPT_GUARD_H_
#define REEVE_BASE_ACCEPT_GUARD_H_

#include <cstdint>

#include "absl/status/status.h"

namespace reeve {

// From now on. `most`: above what the process needs for files of its own.
void RefuseConnectionsFrom(int most);

// For a server of ZeroMQ or gRPC, at its start: raises the limit of descriptors as far as it may
// go, and keeps an eighth of it from connections. Errors: FAILED_PRECONDITION  it is too low to
// serve.
absl::Status MakeRoomForConnections();

// So far.
uint64_t refused_connections();

}  // namespace reeve

#endif  // REEVE_BASE_ACCEPT_GUARD_H_
