#include "client/input/job_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

constexpr char kHeader[] =
    "position\ttask\tstate\treason\texit_code\tsignal\tattempt\tworker\tstart_time\tseconds\t"
    "output_bytes\n";
constexpr size_t kColumns = 11;

// Takes off a last line that was cut when its writer died, so that the next one stands alone.
void DropCutLine(int fd) {
  constexpr off_t kLongestLine = 64 << 10;
  const off_t size = lseek(fd, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - kLongestLine);
  std::string tail(static_cast<size_t>(std::max<off_t>(0, size - from)), '\0');
  if (tail.empty() ||
      pread(fd, tail.data(), tail.size(), from) != static_cast<ssize_t>(tail.size()))
    return;
  const size_t newline = tail.rfind('\n');
  const off_t keep = newline == std::string::npos ? from : from + static_cast<off_t>(newline) + 1;
  if (keep < size && ftruncate(fd, keep) != 0) return;  // The reader ignores it where it is last.
}

}  // namespace

void PositionSet::Add(uint64_t position) {
  const size_t word = position / 64;
  if (word >= words_.size()) words_.resize(std::max<size_t>(word + 1, words_.size() * 2));
  const uint64_t bit = uint64_t{1} << (position % 64);
  if ((words_[word] & bit) == 0) ++count_;
  words_[word] |= bit;
}

void PositionMap::Append(uint64_t position) {
  const bool goes_on =
      !pieces_.empty() && position - pieces_.back().position == count_ - pieces_.back().index;
  if (!goes_on) pieces_.push_back({count_, position});
  ++count_;
}

uint64_t PositionMap::At(uint64_t index) const {
  const auto after =
      std::upper_bound(pieces_.begin(), pieces_.end(), index,
                       [](uint64_t wanted, const Piece& piece) { return wanted < piece.index; });
  if (after == pieces_.begin()) return index;
  const Piece& piece = *(after - 1);
  return piece.position + (index - piece.index);
}

std::string JobLogLine(uint64_t position, JobId job, const ResultEntry& entry,
                       std::string_view worker) {
  const std::string_view reason = entry.reason == Reason::kNone ? "" : ToString(entry.reason);
  const std::string start = absl::FormatTime(
      "%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMicros(entry.start_us), absl::UTCTimeZone());
  return StrCat(position, "\t", TaskName(job, entry.index), "\t", ToString(entry.state), "\t",
                reason, "\t", entry.exit_code, "\t", entry.signal, "\t", entry.attempt, "\t",
                worker, "\t", start, "\t",
                absl::StrFormat("%d.%06d", entry.run_us / 1'000'000, entry.run_us % 1'000'000),
                "\t", entry.output.size(), "\n");
}

absl::StatusOr<PositionSet> ReadJobLog(const std::string& path) {
  PositionSet done;
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) {
    if (errno == ENOENT) return done;
    return UsageError(StrCat("cannot read ", path, ": ", strerror(errno)));
  }
  std::string line;
  for (uint64_t number = 1; std::getline(file, line); ++number) {
    const bool is_cut = file.eof();
    if (line == std::string_view(kHeader, sizeof(kHeader) - 2)) continue;
    const std::vector<absl::string_view> columns = absl::StrSplit(line, '\t');
    uint64_t position = 0;
    if (is_cut) break;
    if (columns.size() != kColumns || !absl::SimpleAtoi(columns[0], &position) ||
        position >= kMaxTasksPerJob) {
      return UsageError(StrCat(path, ":", number, ": not a line of a job log"));
    }
    if (columns[2] == "SUCCEEDED") done.Add(position);
  }
  return done;
}

absl::StatusOr<std::unique_ptr<JobLogWriter>> JobLogWriter::Open(const std::string& path,
                                                                 bool append) {
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (append ? 0 : O_TRUNC), 0666);
  if (fd < 0) return UsageError(StrCat("cannot write ", path, ": ", strerror(errno)));
  auto writer = std::unique_ptr<JobLogWriter>(new JobLogWriter(fd, path));
  DropCutLine(fd);
  if (lseek(fd, 0, SEEK_END) > 0) return writer;
  if (const absl::Status status = writer->Write(kHeader); !status.ok()) return status;
  return writer;
}

JobLogWriter::~JobLogWriter() { close(fd_); }

absl::Status JobLogWriter::Write(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t written = write(fd_, lines.data(), lines.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return UsageError(StrCat("cannot write ", path_, ": ", strerror(errno)));
    lines.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace reeve
