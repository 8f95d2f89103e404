// The handlers that workers offer on the thread lane: `echo`, `sleep`, `digest`, `jq`.

#ifndef REEVE_WORKER_HANDLERS_BUILTIN_H_
#define REEVE_WORKER_HANDLERS_BUILTIN_H_

#include <functional>
#include <string_view>

#include "worker/sdk/handler_registry.h"

namespace reeve {

// echo    returns its input.
// sleep   sleeps for the seconds its input says (`0.25`), or for the option `seconds`; returns
//         nothing.
// digest  reads the file its input names; returns a JSON object with path, sha256, lines and bytes.
// jq      applies a program to JSON lines (jq.h).
//
// Adds those that `offered` names and that the registry does not have.
void AddBuiltinHandlers(const std::function<bool(std::string_view)>& offered,
                        HandlerRegistry* registry);

}  // namespace reeve

#endif  // REEVE_WORKER_HANDLERS_BUILTIN_H_
