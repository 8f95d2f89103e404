// Columns of text, aligned; and how times and counts are written for people.
//
// Thread: none.

#ifndef REEVE_CLIENT_OUTPUT_TABLE_H_
#define REEVE_CLIENT_OUTPUT_TABLE_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace reeve {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}

  // REQUIRES: as many cells as the header has.
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  // Lines with a newline each. Columns of numbers stand to the right.
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Control characters, which could drive the terminal, become `?`; at most `limit` bytes, then `…`.
std::string Printable(std::string_view text, size_t limit);
// `3.2 s`, `4m10s`, `2h05m`, `3d4h`.
std::string HumanDuration(absl::Duration duration);
// `1.2M`, `48k`, `950`.
std::string HumanCount(double count);
// `1.5 GiB`.
std::string HumanBytes(uint64_t bytes);
absl::Time ToTime(const google::protobuf::Timestamp& timestamp);
// `2026-11-30 18:00:05`, in the local time zone.
std::string LocalTime(const google::protobuf::Timestamp& timestamp);
// `2 min ago`-like: `4m10s ago`; `-` for an unset time.
std::string Ago(const google::protobuf::Timestamp& timestamp);

}  // namespace reeve

#endif  // REEVE_CLIENT_OUTPUT_TABLE_H_
