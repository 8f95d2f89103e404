// Loads plug-ins (worker/sdk/plugin.h): their handlers become handlers of the thread lane.
//
// Thread: one; before the handlers are used.

#ifndef REEVE_WORKER_PLUGIN_PLUGIN_LOADER_H_
#define REEVE_WORKER_PLUGIN_PLUGIN_LOADER_H_

#include <string>

#include "absl/status/status.h"
#include "worker/sdk/handler_registry.h"

namespace reeve {

// Loads the shared library at `path` for the life of the process and adds its handlers.
//
// Errors: INVALID_ARGUMENT  it cannot be loaded, is no plug-in, or is one of another version; its
//         registration says no, or names a handler that no handler may have. The path is named.
absl::Status LoadPlugin(const std::string& path, HandlerRegistry* registry);

}  // namespace reeve

#endif  // REEVE_WORKER_PLUGIN_PLUGIN_LOADER_H_
