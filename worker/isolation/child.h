// An isolated handler's process: runs one task after the other for the worker that started it.
//
// It ends with its worker, whatever ends that: the socket closes, and the kernel kills it.
//
// Thread: main; there are no others but those handlers make.

#ifndef REEVE_WORKER_ISOLATION_CHILD_H_
#define REEVE_WORKER_ISOLATION_CHILD_H_

#include "worker/sdk/handler_registry.h"

namespace reeve {

// Serves tasks from `fd` until the worker closes it. Returns: the process's exit code.
int ServeIsolated(const HandlerRegistry& handlers, int fd);

}  // namespace reeve

#endif  // REEVE_WORKER_ISOLATION_CHILD_H_
