// Threads that `top -H`, `perf` and debuggers show by name.
//
// Thread: any.

#ifndef REEVE_BASE_NAMED_THREAD_H_
#define REEVE_BASE_NAMED_THREAD_H_

#include <pthread.h>

#include <thread>
#include <utility>

namespace reeve {

// `name`: a literal of at most 15 characters, which is all that Linux keeps.
template <typename Function>
std::thread NamedThread(const char* name, Function function) {
  return std::thread([name, function = std::move(function)]() mutable {
    pthread_setname_np(pthread_self(), name);
    function();
  });
}

}  // namespace reeve

#endif  // REEVE_BASE_NAMED_THREAD_H_
