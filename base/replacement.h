// Replacement strings: what a command becomes for one input.
//
//   {}   the input            {.}   without its extension      {/}   base name
//   {//} folder               {/.}  base name, no extension    {#}   index + 1
//   {.a.b}  field of a JSON record (only for JSON inputs)
//
// The input is data: what it holds is never looked at for replacement strings, and no shell sees it
// (unless `shell`: then it is quoted).
//
// Thread: a Template is immutable.

#ifndef REEVE_BASE_REPLACEMENT_H_
#define REEVE_BASE_REPLACEMENT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace reeve {

class Template {
 public:
  struct Options {
    bool json = false;   // Inputs are JSON records.
    bool shell = false;  // One script for `sh -c`: what is put in is quoted.
  };
  Template(const std::vector<std::string>& argv, const Options& options);

  // The argv for an input.
  // Errors: INVALID_ARGUMENT  not a JSON record, or without the field; a NUL byte would land in an
  // argument; over 4 MiB in all.
  absl::StatusOr<std::vector<std::string>> Expand(std::string_view input, uint32_t index) const;

  // The template names the input somewhere.
  bool uses_input() const { return uses_input_; }

 private:
  enum class Kind : uint8_t {
    kText,
    kInput,
    kNoExtension,
    kBase,
    kFolder,
    kBaseNoExtension,
    kNumber,
    kField
  };
  struct Piece {
    Kind kind = Kind::kText;
    std::string text;  // kText, or the field's path `a.b`.
  };
  static std::vector<Piece> Parse(std::string_view argument, bool json);

  const Options options_;
  std::vector<std::vector<Piece>> arguments_;
  bool uses_input_ = false;
  bool uses_fields_ = false;
};

// `it's` → `'it'\''s'`.
std::string ShellQuote(std::string_view text);
// The arguments of an ARGV input: each followed by a NUL byte.
// Errors: INVALID_ARGUMENT  empty, or the last NUL is missing.
absl::StatusOr<std::vector<std::string>> SplitArgv(std::string_view input);

}  // namespace reeve

#endif  // REEVE_BASE_REPLACEMENT_H_
