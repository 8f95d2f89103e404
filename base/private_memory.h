// Keeps what a process holds in memory, such as tokens and keys, from core dumps and from other
// processes of the same user.
//
// Thread: any; call it before the first secret is read.

#ifndef REEVE_BASE_PRIVATE_MEMORY_H_
#define REEVE_BASE_PRIVATE_MEMORY_H_

namespace reeve {

// No core dump of the calling process and its forks, no debugger but root's. Programs that are
// started get an address space of their own, which is as usual; they inherit a core limit of 0,
// which they may raise again. Builds with a sanitizer keep the debugger: the leak check is one.
void KeepMemoryPrivate();

}  // namespace reeve

#endif  // REEVE_BASE_PRIVATE_MEMORY_H_
