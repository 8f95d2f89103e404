#include "worker/handlers/jq.h"

// jq.h needs what it does not include.
#include <cstdint>
#include <cstdio>
//
extern "C" {
#include <jq.h>
#include <jv.h>
}

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "base/ids.h"
#include "base/strings.h"

namespace reeve {
namespace {

// Programs a thread keeps; then all are compiled anew.
constexpr size_t kMostPrograms = 16;
// Bytes of a program that a message quotes.
constexpr size_t kQuotedBytes = 200;
// What must not be seen or done by a program is taken from it: the worker's environment and its
// standard error. Behind a pipe there can be no `import` either. libjq's own error of `input` is
// the word "break". On one line, so that the numbers of lines in messages are right.
constexpr std::string_view kPrelude =
    "def env: {}; def stderr: .; def input: error(\"there are no further inputs\"); {} as $ENV | ";

std::string TakeText(jv value) {
  if (jv_get_kind(value) != JV_KIND_STRING) value = jv_dump_string(value, 0);
  std::string text(jv_string_value(value),
                   static_cast<size_t>(jv_string_length_bytes(jv_copy(value))));
  jv_free(value);
  return text;
}

struct JqDeleter {
  void operator()(jq_state* state) const { jq_teardown(&state); }
};

class JqProgram {
 public:
  static absl::StatusOr<std::unique_ptr<JqProgram>> Compile(const std::string& text);

  // Appends what comes out for `record`.
  absl::Status Apply(TaskContext& task, std::string_view record, bool raw, std::string* out);

 private:
  JqProgram() : state_(jq_init()) {}
  absl::Status EndOf(jv last);

  std::unique_ptr<jq_state, JqDeleter> state_;
};

// libjq 1.6 reads ~/.jq, if that is a file, into every program, where it takes the place of
// built-in functions; it cannot be told not to. Better no result than one that depends on whose
// home the worker has.
absl::Status CheckHome() {
  const char* home = std::getenv("HOME");
  if (home == nullptr) return absl::OkStatus();
  const std::string path = StrCat(home, "/.jq");
  struct stat found;
  if (stat(path.c_str(), &found) != 0 || S_ISDIR(found.st_mode)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("jq: libjq would read ", path,
             " of the worker into every program; move it, or start the worker with another HOME"));
}

absl::Status DoesNotCompile(const std::string& text, const std::string& errors) {
  return absl::InvalidArgumentError(
      StrCat("jq: the program `", Beginning(text, kQuotedBytes),
             "` does not compile:", absl::StrReplaceAll(errors, {{ToAbsl(kPrelude), ""}})));
}

absl::StatusOr<std::unique_ptr<JqProgram>> JqProgram::Compile(const std::string& text) {
  if (text.find('\0') != std::string::npos) return DoesNotCompile(text, " it holds a zero byte");
  if (const absl::Status status = CheckHome(); !status.ok()) return status;
  std::unique_ptr<JqProgram> program(new JqProgram);
  if (program->state_ == nullptr) return absl::ResourceExhaustedError("jq: no memory");
  // Neither is set in a new state. A program has no further inputs, and nobody reads what it says.
  jq_set_input_cb(
      program->state_.get(), [](jq_state*, void*) { return jv_invalid(); }, nullptr);
  const auto drop = [](void*, jv message) { jv_free(message); };
  jq_set_debug_cb(program->state_.get(), drop, nullptr);
  std::string errors;
  const auto collect = [](void* data, jv message) {
    std::string line = TakeText(message);
    absl::StripTrailingAsciiWhitespace(&line);  // libjq pads.
    StrAppend(static_cast<std::string*>(data), " ", line);
  };
  jq_set_error_cb(program->state_.get(), collect, &errors);
  const bool compiles = jq_compile(program->state_.get(), StrCat(kPrelude, text).c_str()) != 0;
  jq_set_error_cb(program->state_.get(), drop, nullptr);
  if (compiles) return program;
  return DoesNotCompile(text, errors);
}

// After the last output: how the program ended.
absl::Status JqProgram::EndOf(jv last) {
  if (jq_halted(state_.get()) != 0) {
    jv_free(last);
    const jv message = jq_get_error_message(state_.get());
    const jv code = jq_get_exit_code(state_.get());
    const bool in_order = !jv_is_valid(code) || jv_number_value(code) == 0;
    jv_free(code);
    if (in_order) {
      jv_free(message);
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        StrCat("halted: ", jv_is_valid(message) ? TakeText(message) : "no message"));
  }
  if (jv_invalid_has_msg(jv_copy(last)) == 0) {
    jv_free(last);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(TakeText(jv_invalid_get_msg(last)));
}

absl::Status JqProgram::Apply(TaskContext& task, std::string_view record, bool raw,
                              std::string* out) {
  const jv value = jv_parse_sized(record.data(), static_cast<int>(record.size()));
  if (!jv_is_valid(value)) {
    const jv message = jv_invalid_get_msg(value);
    return absl::InvalidArgumentError(StrCat("not a JSON value: ", TakeText(message)));
  }
  jq_start(state_.get(), value, 0);
  jv result = jq_next(state_.get());
  for (; jv_is_valid(result); result = jq_next(state_.get())) {
    const bool plain = raw && jv_get_kind(result) == JV_KIND_STRING;
    StrAppend(out, TakeText(plain ? result : jv_dump_string(result, 0)), "\n");
    if (out->size() > kMaxPayloadBytes) return absl::OkStatus();  // The lane refuses it.
    if (task.cancelled()) return absl::CancelledError("cancelled");
  }
  return EndOf(result);
}

absl::StatusOr<JqProgram*> ProgramOfThread(const std::string& text) {
  thread_local std::map<std::string, std::unique_ptr<JqProgram>> programs;
  const auto known = programs.find(text);
  if (known != programs.end()) return known->second.get();
  auto compiled = JqProgram::Compile(text);
  if (!compiled.ok()) return compiled.status();
  if (programs.size() >= kMostPrograms) programs.clear();
  return (programs[text] = *std::move(compiled)).get();
}

absl::Status CheckParams(const TaskContext& task) {
  for (const auto& [name, value] : task.params()) {
    if (name == "program" || (name == "raw" && (value == "true" || value == "false"))) continue;
    return absl::InvalidArgumentError(name == "raw"
                                          ? "jq: `raw` is true or false"
                                          : StrCat("jq: there is no option `", name, "`"));
  }
  if (task.param("program").empty()) return absl::InvalidArgumentError("jq: needs a `program`");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> RunJq(TaskContext& task, std::string_view input) {
  if (absl::Status status = CheckParams(task); !status.ok()) return status;
  const absl::StatusOr<JqProgram*> program = ProgramOfThread(std::string(task.param("program")));
  if (!program.ok()) return program.status();
  const bool raw = task.param("raw") == "true";
  std::string out;
  for (size_t line = 1; !input.empty() && out.size() <= kMaxPayloadBytes; ++line) {
    const std::string_view record = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(input.size(), record.size() + 1));
    if (record.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const absl::Status status = (*program)->Apply(task, record, raw, &out);
    if (!status.ok())
      return absl::Status(status.code(), StrCat("jq: line ", line, ": ", ToStd(status.message())));
  }
  return out;
}

}  // namespace reeve
