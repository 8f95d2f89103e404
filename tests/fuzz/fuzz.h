// What every fuzz target shares.
//
// A target is one file that defines Fuzz: it decodes `input`, which may be anything, and checks a
// property of what came out. entry.cc hands it to libFuzzer, replay.cc to a plain program that runs
// the corpus. Views of `input` end exactly where the memory ends, so reading beyond it is seen.

#ifndef REEVE_TESTS_FUZZ_FUZZ_H_
#define REEVE_TESTS_FUZZ_FUZZ_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/buffer.h"

namespace reeve::fuzz {

// Defined by the target.
void Fuzz(std::string_view input);

// Ends the program if `holds` is false; the fuzzer keeps the input.
inline void Require(bool holds, const char* claim) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: does not hold: %s\n", claim);
  std::abort();
}

// A buffer over `bytes` themselves. They must outlive it.
inline Buffer Borrow(std::string_view bytes) { return Buffer(nullptr, bytes); }

// An input of two parts: a little-endian u16 with the length of the first, then both. A length
// beyond the end takes all there is.
struct Parts {
  std::string_view first, second;
};
inline Parts Split(std::string_view input) {
  if (input.size() < 2) return {};
  const size_t size = static_cast<unsigned char>(input[0]) |
                      static_cast<size_t>(static_cast<unsigned char>(input[1])) << 8;
  input.remove_prefix(2);
  const size_t cut = size < input.size() ? size : input.size();
  return {input.substr(0, cut), input.substr(cut)};
}

// Reads `input` as a message. False: it is none.
template <typename Message>
bool ParseMessage(std::string_view input, Message* message) {
  return message->ParseFromArray(input.data(), static_cast<int>(input.size()));
}

}  // namespace reeve::fuzz

#endif  // REEVE_TESTS_FUZZ_FUZZ_H_
