// Are two processes on the same machine, in the same boot?

#ifndef REEVE_BASE_HOST_KEY_H_
#define REEVE_BASE_HOST_KEY_H_

#include <string>

namespace reeve {

// A hash of machine id and boot id; empty if neither can be read.
std::string HostKey();
std::string HostName();

}  // namespace reeve

#endif  // REEVE_BASE_HOST_KEY_H_
