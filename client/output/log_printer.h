// Prints what tasks wrote, as it comes: whole lines, named by task where there are several; nothing
// twice when a stream is repeated.
//
// Thread: one.

#ifndef REEVE_CLIENT_OUTPUT_LOG_PRINTER_H_
#define REEVE_CLIENT_OUTPUT_LOG_PRINTER_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "client/output/console.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

class LogPrinter {
 public:
  // `has_prefix`: lines begin with `[17] `; otherwise bytes pass as they are.
  LogPrinter(Console* console, bool has_prefix) : console_(console), has_prefix_(has_prefix) {}

  // Returns: false once nobody reads standard output any more.
  bool Add(const v1::LogChunk& chunk);
  // Prints lines that were not ended.
  void Finish();

  // Bytes of a stream of an attempt that were seen.
  uint64_t seen_bytes(uint32_t index, uint32_t attempt, uint32_t stream) const;

 private:
  // (index, attempt, stream).
  using Key = std::tuple<uint32_t, uint32_t, uint32_t>;
  struct State {
    uint64_t seen = 0;
    std::string line;  // Begun and not ended.
  };
  bool Write(uint32_t stream, std::string_view bytes);
  std::string WithPrefix(const Key& key, State* state, std::string_view bytes) const;

  Console* const console_;
  const bool has_prefix_;
  std::map<Key, State> states_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_OUTPUT_LOG_PRINTER_H_
