// Ends connections that send without end and complete no message.
//
// libzmq keeps the frames of a message until its last one has come, however many there are: its
// bounds are for the size of a frame and the count of whole messages. So somebody has to compare
// what a connection has brought with the messages that came out of it, and cut it. Who is cut by
// mistake (nobody took its messages for a long time) connects again and sends again.
//
// Thread: NoteMessageFrom any; a watch one.

#ifndef REEVE_BASE_CONNECTION_WATCH_H_
#define REEVE_BASE_CONNECTION_WATCH_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace reeve {

// A whole message came by the connection with this descriptor. Cost: one atomic increment.
void NoteMessageFrom(int fd);

class ConnectionWatch {
 public:
  // Looks at connections to these local TCP ports.
  //
  //   most_bytes  that one may bring without a message; well above the largest message and what
  //               may wait to be received.
  ConnectionWatch(std::vector<uint16_t> ports, uint64_t most_bytes);

  // Shuts down every connection that has brought more since the last look that found a message of
  // it, or since the first look at it. Returns: how many.
  // Cost: three system calls a connection.
  size_t EndEndless();

 private:
  struct Connection {
    ino_t inode = 0;  // Descriptors are used again, inodes of sockets hardly.
    uint32_t messages = 0;
    uint64_t bytes = 0;
  };

  bool IsWatched(int fd) const;
  bool IsEndless(int fd);

  const std::vector<uint16_t> ports_;
  const uint64_t most_bytes_;
  std::unordered_map<int, Connection> connections_;
};

}  // namespace reeve

#endif  // REEVE_BASE_CONNECTION_WATCH_H_
