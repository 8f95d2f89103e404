// What every command gets, whoever starts it.
//
// Thread: any.

#ifndef REEVE_WORKER_SUPERVISOR_COMMAND_BASICS_H_
#define REEVE_WORKER_SUPERVISOR_COMMAND_BASICS_H_

#include <string>
#include <string_view>
#include <vector>

namespace reeve {

// The part of the worker's environment that commands see: PATH, HOME, LANG, LC_*, TZ, TERM.
std::vector<std::string> InheritedEnvironment();

// Content as a file to read from the beginning; -1 with errno if there is no room.
int OpenAsInput(std::string_view content);

}  // namespace reeve

#endif  // REEVE_WORKER_SUPERVISOR_COMMAND_BASICS_H_
