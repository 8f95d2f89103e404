// The tree of verbs: which flags there are, and which function a verb calls. The only place that
// knows CLI11.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_REGISTRATION_H_
#define REEVE_CLIENT_COMMANDS_REGISTRATION_H_

namespace reeve {

// Runs a command line. Returns: the exit code of the process.
int RunReeve(int argc, char** argv);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_REGISTRATION_H_
