// Messages over a stream socket, their length before them.
//
// Private to worker/isolation.
//
// Thread: any, one at a time per descriptor and direction.

#ifndef REEVE_WORKER_ISOLATION_FRAMES_H_
#define REEVE_WORKER_ISOLATION_FRAMES_H_

#include <string>
#include <string_view>

namespace reeve {

// More than the largest payload with everything that may go with it.
inline constexpr uint32_t kMaxFrameBytes = 8u << 20;

// Waits until all of it is taken. Returns: false if the other side is gone.
bool SendFrame(int fd, std::string_view bytes);
// Waits for a whole frame. Returns: false if the other side is gone, or sends what is no frame.
bool ReceiveFrame(int fd, std::string* bytes);

}  // namespace reeve

#endif  // REEVE_WORKER_ISOLATION_FRAMES_H_
