#include "client/input/input_source.h"

#include <poll.h>
#include <simdjson.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

constexpr size_t kReadBytes = 256 << 10;

class ArgumentSource : public InputSource {
 public:
  explicit ArgumentSource(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {}

  absl::StatusOr<bool> Fill(const Taker& take) override {
    while (next_ < arguments_.size()) {
      const std::string& argument = arguments_[next_++];
      if (argument.size() > kMaxPayloadBytes) {
        return UsageError(StrCat("argument ", next_, " is over the limit of 3 MiB"));
      }
      if (!take(argument)) return true;
    }
    return false;
  }

 private:
  const std::vector<std::string> arguments_;
  size_t next_ = 0;
};

class ArraySource : public InputSource {
 public:
  explicit ArraySource(const ArrayExpression& array) : array_(array) {}

  absl::StatusOr<bool> Fill(const Taker& take) override {
    while (next_ < array_.count) {
      if (!take(std::to_string(array_.start + array_.step * int64_t{next_++}))) return true;
    }
    return false;
  }

 private:
  const ArrayExpression array_;
  uint32_t next_ = 0;
};

class RecordSource : public InputSource {
 public:
  RecordSource(int fd, int wake_fd, RecordFormat format)
      : fd_(fd), wake_fd_(wake_fd), format_(std::move(format)) {}

  absl::StatusOr<bool> Fill(const Taker& take) override {
    bool has_taken = false;
    for (;;) {
      // What is buffered first: nobody waits for input while work is at hand.
      std::string_view record;
      while (NextRecord(&record)) {
        ++line_;
        if (const absl::Status status = Check(record); !status.ok()) {
          if (!block_.empty()) take(std::exchange(block_, {}));
          return status;
        }
        if (format_.is_json && IsBlank(record)) continue;
        if (format_.block_bytes == 0) {
          has_taken = true;
          if (!take(record)) return true;
          continue;
        }
        const std::string full = Gather(record);
        if (full.empty()) continue;
        has_taken = true;
        if (!take(full)) return true;
      }
      const bool pauses = is_at_end_ || !HasMore();
      if (pauses && !block_.empty()) {
        has_taken = true;
        if (!take(std::exchange(block_, {}))) return true;
      }
      if (is_at_end_) return false;
      if (has_taken && pauses) return true;
      if (const absl::Status status = ReadSome(); !status.ok()) return status;
    }
  }

 private:
  static bool IsBlank(std::string_view record) {
    return record.find_first_not_of(" \t\r\n") == std::string_view::npos;
  }

  std::string Where() const { return StrCat(format_.name, ":", line_); }

  absl::Status Check(std::string_view record) {
    if (record.size() > kMaxPayloadBytes) {
      return MakeError(absl::StatusCode::kInvalidArgument, "USAGE",
                       StrCat(Where(), ": the record is over the limit of 3 MiB"));
    }
    if (!format_.is_json || IsBlank(record)) return absl::OkStatus();
    const simdjson::error_code error = parser_.parse(record.data(), record.size()).error();
    if (error == simdjson::SUCCESS) return absl::OkStatus();
    return UsageError(StrCat(Where(), ": not a JSON document: ", simdjson::error_message(error)));
  }

  // Returns: the block that had no more room for `record`; empty if it had.
  std::string Gather(std::string_view record) {
    std::string full;
    if (!block_.empty() && block_.size() + record.size() + 1 > format_.block_bytes)
      full = std::exchange(block_, {});
    block_ += record;
    // Not beyond the limit of an input, which the record alone keeps to.
    if (block_.size() < kMaxPayloadBytes) block_ += format_.delimiter;
    return full;
  }

  // The next whole record in the buffer; at the end of the stream also an unterminated last one.
  bool NextRecord(std::string_view* record) {
    const std::string_view rest = std::string_view(buffer_).substr(begin_);
    // Bytes before `scanned_` hold no delimiter: they are not looked at again.
    const size_t end = rest.find(format_.delimiter, scanned_);
    if (end != std::string_view::npos) {
      *record = rest.substr(0, end);
      begin_ += end + 1;
      scanned_ = 0;
      return true;
    }
    scanned_ = rest.size();
    // A record that has outgrown the limit is handed on as it is, to be refused.
    if (rest.empty() || !(is_at_end_ || rest.size() > kMaxPayloadBytes)) return false;
    *record = rest;
    begin_ = buffer_.size();
    scanned_ = 0;
    return true;
  }

  // Bytes can be read without waiting.
  bool HasMore() const {
    pollfd ready{fd_, POLLIN, 0};
    return poll(&ready, 1, 0) == 1;
  }

  absl::Status ReadSome() {
    pollfd ready[2] = {{fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    while (poll(ready, 2, -1) < 0) {
      if (errno != EINTR) return absl::InternalError(StrCat("poll: ", strerror(errno)));
    }
    if (ready[1].revents != 0) return absl::CancelledError("interrupted");
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t size = buffer_.size();
    buffer_.resize(size + kReadBytes);
    ssize_t count;
    do {
      count = read(fd_, buffer_.data() + size, kReadBytes);
    } while (count < 0 && errno == EINTR);
    buffer_.resize(size + static_cast<size_t>(count > 0 ? count : 0));
    if (count < 0) {
      return UsageError(StrCat("cannot read ", format_.name, ": ", strerror(errno)));
    }
    is_at_end_ = count == 0;
    return absl::OkStatus();
  }

  const int fd_;
  const int wake_fd_;
  const RecordFormat format_;
  simdjson::dom::parser parser_;
  std::string buffer_;
  size_t begin_ = 0;    // What was handed on ends here.
  size_t scanned_ = 0;  // Counted from begin_.
  std::string block_;   // Records gathered.
  uint64_t line_ = 0;
  bool is_at_end_ = false;
};

}  // namespace

std::unique_ptr<InputSource> MakeArgumentSource(std::vector<std::string> arguments) {
  return std::make_unique<ArgumentSource>(std::move(arguments));
}

std::unique_ptr<InputSource> MakeArraySource(const ArrayExpression& array) {
  return std::make_unique<ArraySource>(array);
}

std::unique_ptr<InputSource> MakeRecordSource(int fd, int wake_fd, RecordFormat format) {
  return std::make_unique<RecordSource>(fd, wake_fd, std::move(format));
}

}  // namespace reeve
