// Prints results: outputs to standard output, error outputs and failures to standard error; or one
// JSON line each.
//
// Thread: one.

#ifndef REEVE_CLIENT_OUTPUT_RESULT_PRINTER_H_
#define REEVE_CLIENT_OUTPUT_RESULT_PRINTER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result_batch.h"
#include "client/output/console.h"

namespace reeve {

// How one result reads as a JSON line: the fields of reeve.v1.Task, and `output`, `error_output`
// and `result_file`; bytes that are not UTF-8 come as `output_base64` instead. Appends it with a
// newline.
void AppendResultJson(JobId job, const ResultEntry& entry, std::string_view worker,
                      std::string* out);

// `EXIT_NONZERO: exit code 3`.
std::string DescribeFailure(const ResultEntry& entry);

class ResultPrinter {
 public:
  struct Options {
    // Outputs are whole lines, or not meant to be, and are printed untouched; those of other
    // handlers get a newline where it is missing.
    bool has_own_lines = false;
    // Say which tasks failed, the first ten.
    bool names_failures = true;
  };
  ResultPrinter(Console* console, Options options) : console_(console), options_(options) {}

  void Add(JobId job, const ResultEntry& entry, std::string_view worker);
  // Writes what was added. Returns: false once nobody reads standard output any more.
  bool Flush();

  uint64_t count() const { return count_; }
  uint64_t failed_count() const { return failed_count_; }
  // Failures that were not named.
  uint64_t unnamed_failures() const;

 private:
  Console* const console_;
  const Options options_;
  uint64_t count_ = 0;
  uint64_t failed_count_ = 0;
  std::string out_, err_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_OUTPUT_RESULT_PRINTER_H_
