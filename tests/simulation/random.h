// SplitMix64: the only source of chance in the simulation. Integers alone, so that a seed means the
// same history with every compiler and library.

#ifndef REEVE_TESTS_SIMULATION_RANDOM_H_
#define REEVE_TESTS_SIMULATION_RANDOM_H_

#include <cstdint>

namespace reeve::sim {

inline uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
inline uint64_t Mix(uint64_t a, uint64_t b) { return Mix(Mix(a) ^ b); }

class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed)) {}

  uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15ull); }
  // In [0, n). REQUIRES: n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // In [low, high].
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low + 1)));
  }
  // True `permille` times in a thousand.
  bool Chance(uint32_t permille) { return Below(1000) < permille; }

 private:
  uint64_t state_;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_RANDOM_H_
