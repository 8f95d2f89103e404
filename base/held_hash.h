// One number for the set of runs a worker holds, computed alike by master and worker.
//
// XXH3-64 over (lease, first, count) as little-endian 64-bit words; runs maximal within a lease,
// sorted by lease, then first.

#ifndef REEVE_BASE_HELD_HASH_H_
#define REEVE_BASE_HELD_HASH_H_

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace reeve {

class HeldHash {
 public:
  // REQUIRES: ascending by lease, then first.
  void Add(LeaseSeq lease, Run run) {
    words_.push_back(lease.value);
    words_.push_back(run.first);
    words_.push_back(run.count);
  }
  uint64_t Finish() const;

 private:
  std::vector<uint64_t> words_;
};

}  // namespace reeve

#endif  // REEVE_BASE_HELD_HASH_H_
