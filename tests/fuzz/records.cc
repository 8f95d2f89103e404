// Records of a stream: lines, NUL-separated, JSON lines. Nothing is lost or made up. The first byte
// chooses the format.

#include <sys/mman.h>
#include <unistd.h>

#include "base/ids.h"
#include "client/input/input_source.h"
#include "simdjson.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

bool IsBlank(std::string_view record) {
  return record.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

void CheckJson(const std::vector<std::string>& records) {
  simdjson::dom::parser parser;
  for (const std::string& record : records) {
    Require(parser.parse(record).error() == simdjson::SUCCESS, "a record is a JSON document");
    Require(record.find('\n') == std::string::npos && !IsBlank(record), "a record is one line");
  }
}

void CheckLines(const std::vector<std::string>& records, char delimiter, std::string_view input) {
  std::string joined;
  for (const std::string& record : records) joined += record + delimiter;
  if (!input.empty() && input.back() != delimiter) joined.pop_back();
  Require(joined == input, "records and delimiters are the whole input");
}

}  // namespace

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  RecordFormat format;
  format.name = "input";
  format.is_json = input[0] == 'j';
  format.delimiter = input[0] == '0' ? '\0' : '\n';
  input.remove_prefix(1);
  const int fd = memfd_create("input", MFD_CLOEXEC);
  int wake[2];
  Require(fd >= 0 && pipe(wake) == 0, "the test has descriptors");
  Require(write(fd, input.data(), input.size()) == static_cast<ssize_t>(input.size()), "written");
  lseek(fd, 0, SEEK_SET);
  const auto source = MakeRecordSource(fd, wake[0], format);
  std::vector<std::string> records;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) {
    int room = 3;
    more = source->Fill([&](std::string_view record) {
      records.emplace_back(record);
      return --room > 0;
    });
  }
  for (const int one : {fd, wake[0], wake[1]}) close(one);
  if (format.is_json) return CheckJson(records);
  Require(more.ok(), "lines of any bytes are taken");
  CheckLines(records, format.delimiter, input);
}

}  // namespace reeve::fuzz
