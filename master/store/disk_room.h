// Room on the store's disk: told when it becomes little, and a reserve for when it is gone.
//
// Submissions are refused first, below the low-water mark; results come last: when the disk is full
// in spite of it, the reserve is given up so that what workers hand in is still recorded.
//
// Thread: is_low from any; the others from the store's.

#ifndef REEVE_MASTER_STORE_DISK_ROOM_H_
#define REEVE_MASTER_STORE_DISK_ROOM_H_

#include <cstdint>
#include <string>

namespace reeve {

class DiskRoom {
 public:
  // `folder`: the state folder. The low-water mark is 1 GiB or 5 % of the disk, whichever is more,
  // but at most 10 %; the reserve a quarter of that, at most 64 MiB.
  explicit DiskRoom(const std::string& folder);

  // Less than the mark is free, or will be once `waiting_bytes` more are written. Cost: a system
  // call.
  bool is_low(uint64_t waiting_bytes = 0) const;

  // Makes the reserve unless it is there or room is little. What cannot be made is not made.
  void KeepReserve();
  // Returns: false if there was none to give up.
  bool GiveUpReserve();

  uint64_t reserve_bytes() const { return reserve_bytes_; }

 private:
  const std::string folder_, file_;
  uint64_t low_bytes_ = 0, reserve_bytes_ = 0;
};

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_DISK_ROOM_H_
