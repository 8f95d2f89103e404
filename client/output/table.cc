#include "client/output/table.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/strings.h"

namespace reeve {
namespace {

// Columns of the terminal; continuation bytes of UTF-8 take none.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.-") == std::string_view::npos;
}

}  // namespace

std::string Table::ToString() const {
  const size_t columns = rows_[0].size();
  std::vector<size_t> widths(columns, 0);
  std::vector<bool> is_right(columns, rows_.size() > 1);
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (size_t column = 0; column < columns; ++column) {
      widths[column] = std::max(widths[column], Width(rows_[row][column]));
      if (row > 0 && !IsNumber(rows_[row][column])) is_right[column] = false;
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows_) {
    for (size_t column = 0; column < columns; ++column) {
      const std::string padding(widths[column] - Width(row[column]), ' ');
      const bool is_last = column + 1 == columns;
      if (is_right[column]) out += padding;
      out += row[column];
      if (!is_right[column] && !is_last) out += padding;
      if (!is_last) out += "  ";
    }
    out += '\n';
  }
  return out;
}

std::string Printable(std::string_view text, size_t limit) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= limit) {
      // Not in the middle of a character.
      while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80)
        out.pop_back();
      if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0) out.pop_back();
      return out + "…";
    }
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    out += is_control ? '?' : c;
  }
  return out;
}

std::string HumanDuration(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const int64_t whole = static_cast<int64_t>(seconds);
  if (seconds < 0) return "0 s";
  if (seconds < 0.1) return absl::StrFormat("%.1f ms", seconds * 1000);
  if (seconds < 60) return absl::StrFormat("%.1f s", seconds);
  if (whole < 3600) return absl::StrFormat("%dm%02ds", whole / 60, whole % 60);
  if (whole < 86400) return absl::StrFormat("%dh%02dm", whole / 3600, whole / 60 % 60);
  return absl::StrFormat("%dd%dh", whole / 86400, whole / 3600 % 24);
}

std::string HumanCount(double count) {
  if (count < 10'000) return absl::StrFormat("%.0f", count);
  if (count < 10'000'000) return absl::StrFormat("%.0fk", count / 1e3);
  return absl::StrFormat("%.1fM", count / 1e6);
}

std::string HumanBytes(uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes < 1024) return StrCat(bytes, " B");
  if (bytes < 1 << 20) return absl::StrFormat("%.1f KiB", value / 1024);
  if (bytes < 1 << 30) return absl::StrFormat("%.1f MiB", value / (1 << 20));
  return absl::StrFormat("%.1f GiB", value / (1 << 30));
}

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

std::string LocalTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(timestamp), absl::LocalTimeZone());
}

std::string Ago(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0) return "-";
  return HumanDuration(std::max(absl::Now() - ToTime(timestamp), absl::ZeroDuration())) + " ago";
}

}  // namespace reeve
