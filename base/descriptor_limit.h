// How many files the process may have open.
//
// Thread: any.

#ifndef REEVE_BASE_DESCRIPTOR_LIMIT_H_
#define REEVE_BASE_DESCRIPTOR_LIMIT_H_

#include <sys/resource.h>

#include <cstdint>

namespace reeve {

// Raises the limit to what the process is allowed at most. Returns: the limit that holds now.
inline uint64_t RaiseDescriptorLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace reeve

#endif  // REEVE_BASE_DESCRIPTOR_LIMIT_H_
