#include "base/private_memory.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace reeve {

void KeepMemoryPrivate() {
  rlimit core{};
  if (getrlimit(RLIMIT_CORE, &core) == 0) {
    core.rlim_cur = 0;
    setrlimit(RLIMIT_CORE, &core);
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  prctl(PR_SET_DUMPABLE, 0);
#endif
}

}  // namespace reeve
