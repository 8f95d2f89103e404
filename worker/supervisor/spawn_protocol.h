// The messages between worker proper and supervisor: length-prefixed records over a stream socket,
// descriptors beside them.
//
// Private to worker/supervisor. Both ends are the same program, so the form is whatever is
// simplest.

#ifndef REEVE_WORKER_SUPERVISOR_SPAWN_PROTOCOL_H_
#define REEVE_WORKER_SUPERVISOR_SPAWN_PROTOCOL_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "worker/supervisor/supervisor.h"

namespace reeve {

enum class SpawnMessage : uint8_t { kSpawn = 1, kKill = 2, kEvent = 3, kDeadline = 4 };

// Descriptors beside each kSpawn: always as many, so that those of one are never taken for those of
// the next.
inline constexpr int kSpawnDescriptors = 4;

// Larger than any command the API lets through.
inline constexpr uint32_t kMaxSpawnMessage = 8u << 20;

class RecordWriter {
 public:
  explicit RecordWriter(SpawnMessage type) : bytes_(sizeof(uint32_t), '\0') {
    bytes_.push_back(static_cast<char>(type));
  }
  void Number(uint64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void Text(std::string_view text) {
    Number(text.size());
    bytes_.append(text);
  }
  std::string Finish() {
    const auto size = static_cast<uint32_t>(bytes_.size() - sizeof(uint32_t));
    std::memcpy(bytes_.data(), &size, sizeof size);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
};

class RecordReader {
 public:
  explicit RecordReader(std::string_view bytes) : bytes_(bytes) {}
  uint64_t Number() {
    uint64_t value = 0;
    if (bytes_.size() < sizeof value) return Fail();
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string Text() {
    const uint64_t size = Number();
    if (size > bytes_.size()) {
      Fail();
      return {};
    }
    std::string text(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return text;
  }
  // Everything read so far was there.
  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  uint64_t Fail() {
    ok_ = false;
    bytes_ = {};
    return 0;
  }

  bool ok_ = true;
  std::string_view bytes_;
};

// Whole records, length and type included.
std::string EncodeSpawn(const SpawnRequest& request);
std::string EncodeKill(uint64_t id, int signal);
std::string EncodeDeadline(absl::Duration until);
std::string EncodeEvent(const SpawnEvent& event);
// Descriptors travel beside the record and are not set, but for whether there is one for progress.
// Returns: false if `body` is no such record:
// a worker that writes over its memory must not take the supervisor with it.
bool DecodeSpawn(std::string_view body, SpawnRequest* request);
bool DecodeKill(std::string_view body, uint64_t* id, int* signal);
bool DecodeDeadline(std::string_view body, absl::Duration* until);
bool DecodeEvent(std::string_view body, SpawnEvent* event);

// Takes one whole record off the front of `buffer`. Returns: false if there is none yet.
inline bool TakeRecord(std::string* buffer, SpawnMessage* type, std::string* body) {
  uint32_t size = 0;
  if (buffer->size() < sizeof size) return false;
  std::memcpy(&size, buffer->data(), sizeof size);
  if (size == 0 || buffer->size() < sizeof size + size) return false;
  *type = static_cast<SpawnMessage>((*buffer)[sizeof size]);
  body->assign(*buffer, sizeof size + 1, size - 1);
  buffer->erase(0, sizeof size + size);
  return true;
}

}  // namespace reeve

#endif  // REEVE_WORKER_SUPERVISOR_SPAWN_PROTOCOL_H_
