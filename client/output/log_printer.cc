#include "client/output/log_printer.h"

#include <algorithm>

#include "base/strings.h"
#include "client/output/json.h"

namespace reeve {
namespace {

constexpr uint32_t kErrorStream = 2;
// A line without end is printed in pieces of this size.
constexpr size_t kLongestLine = 64 << 10;

}  // namespace

uint64_t LogPrinter::seen_bytes(uint32_t index, uint32_t attempt, uint32_t stream) const {
  const auto found = states_.find({index, attempt, stream});
  return found == states_.end() ? 0 : found->second.seen;
}

bool LogPrinter::Add(const v1::LogChunk& chunk) {
  const Key key{chunk.index(), chunk.attempt(), chunk.stream()};
  State& state = states_[key];
  const uint64_t end = chunk.offset() + chunk.content().size();
  if (end <= state.seen) return true;
  // A repeated stream begins again; a gap is what the master dropped.
  const uint64_t skip = state.seen > chunk.offset() ? state.seen - chunk.offset() : 0;
  const std::string_view fresh = std::string_view(chunk.content()).substr(skip);
  state.seen = end;
  if (console_->is_json()) return console_->Out(ToJson(chunk, false) + "\n");
  return Write(chunk.stream(), has_prefix_ ? WithPrefix(key, &state, fresh) : std::string(fresh));
}

std::string LogPrinter::WithPrefix(const Key& key, State* state, std::string_view bytes) const {
  const std::string prefix = StrCat("[", std::get<0>(key), "] ");
  std::string out;
  while (!bytes.empty()) {
    const size_t newline = bytes.find('\n');
    const size_t length = newline == std::string_view::npos ? bytes.size() : newline + 1;
    state->line.append(bytes.substr(0, length));
    bytes.remove_prefix(length);
    if (newline == std::string_view::npos && state->line.size() < kLongestLine) break;
    StrAppend(&out, prefix, state->line, newline == std::string_view::npos ? "\n" : "");
    state->line.clear();
  }
  return out;
}

void LogPrinter::Finish() {
  for (auto& [key, state] : states_) {
    if (state.line.empty()) continue;
    Write(std::get<2>(key), StrCat("[", std::get<0>(key), "] ", state.line, "\n"));
    state.line.clear();
  }
}

bool LogPrinter::Write(uint32_t stream, std::string_view bytes) {
  if (stream != kErrorStream) return console_->Out(bytes);
  console_->Err(bytes);
  return true;
}

}  // namespace reeve
