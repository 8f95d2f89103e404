// Wakes a thread that blocks in poll: an eventfd that rings until it is answered.
//
// Thread: Ring from any; Answer by the owner.

#ifndef REEVE_BASE_DOORBELL_H_
#define REEVE_BASE_DOORBELL_H_

namespace reeve {

class Doorbell {
 public:
  // Dies with a message if the process has no descriptor left: nothing works without it.
  Doorbell();
  ~Doorbell();
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // Readable while it rings.
  int fd() const { return fd_; }
  void Ring();
  void Answer();

 private:
  const int fd_;
};

}  // namespace reeve

#endif  // REEVE_BASE_DOORBELL_H_
