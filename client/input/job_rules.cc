#include "client/input/job_rules.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/duration.h"

namespace reeve {
namespace {

constexpr std::string_view kLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

absl::Status Wrong(std::string_view option, std::string_view text, std::string_view want) {
  return UsageError(StrCat(option, " '", text, "': ", want));
}

// Whether `text` has 1 to `limit` characters, each a letter, a digit or one of `more`.
bool IsWord(std::string_view text, size_t limit, std::string_view more) {
  if (text.empty() || text.size() > limit) return false;
  for (const char c : text) {
    if (kLetters.find(c) == std::string_view::npos && more.find(c) == std::string_view::npos)
      return false;
  }
  return true;
}

bool ParseCount(std::string_view text, uint32_t limit, uint32_t* count) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  return absl::SimpleAtoi(ToAbsl(text), count) && *count >= 1 && *count <= limit;
}

// Cuts `text` at the first `separator`. Returns: false if there is none.
bool Cut(std::string_view text, char separator, std::string_view* before, std::string_view* after) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return false;
  *before = text.substr(0, at);
  *after = text.substr(at + 1);
  return true;
}

// `key=.host:2` → `.host` and `2`; the path goes into `key`, where it may stand already.
absl::StatusOr<std::string_view> TakePath(std::string_view option, std::string_view text,
                                          std::string_view want, v1::TaskKey* key) {
  std::string_view path, value;
  if (!Cut(text.substr(4), ':', &path, &value) || path.empty() ||
      (path[0] != '.' && path != "@host") || !IsUtf8(path))
    return Wrong(option, text, want);
  if (!key->path().empty() && key->path() != path) {
    return Wrong(option, text,
                 StrCat("a job's tasks have one key, and another option says ", key->path()));
  }
  key->set_path(std::string(path));
  return value;
}

}  // namespace

void SetDuration(absl::Duration from, google::protobuf::Duration* to) {
  absl::Duration rest;
  to->set_seconds(absl::IDivDuration(from, absl::Seconds(1), &rest));
  to->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

absl::Status CheckName(std::string_view option, std::string_view name) {
  if (IsWord(name, 64, "._-")) return absl::OkStatus();
  return Wrong(option, name, "1 to 64 of a-z A-Z 0-9 . _ -");
}

absl::Status SetBackoff(std::string_view text, v1::RetryPolicy* retry) {
  constexpr std::string_view kOption = "--retry-backoff";
  std::string_view first = text, most;
  const bool has_most = Cut(text, ',', &first, &most);
  const auto first_wait = ParseDurationOption(kOption, first);
  if (!first_wait.ok()) return first_wait.status();
  SetDuration(*first_wait, retry->mutable_first_backoff());
  if (!has_most) return absl::OkStatus();
  const auto most_wait = ParseDurationOption(kOption, most);
  if (!most_wait.ok()) return most_wait.status();
  if (*most_wait < *first_wait) {
    return Wrong(kOption, text, "the longest wait is shorter than the first; want e.g. 1s,5m");
  }
  SetDuration(*most_wait, retry->mutable_max_backoff());
  return absl::OkStatus();
}

absl::StatusOr<v1::Task::Reason> ParseReason(std::string_view option, std::string_view text) {
  const std::string name = absl::StrReplaceAll(absl::AsciiStrToUpper(ToAbsl(text)), {{"-", "_"}});
  v1::Task::Reason reason;
  if (v1::Task::Reason_Parse(name, &reason) && reason != v1::Task::REASON_UNSPECIFIED)
    return reason;
  std::string names;
  for (int i = v1::Task::Reason_MIN + 1; i <= v1::Task::Reason_MAX; ++i) {
    if (!v1::Task::Reason_IsValid(i)) continue;
    StrAppend(&names, names.empty() ? "" : ", ",
              v1::Task::Reason_Name(static_cast<v1::Task::Reason>(i)));
  }
  return Wrong(option, text, StrCat("no reason; want one of ", names));
}

absl::StatusOr<uint32_t> ParseExitCode(std::string_view option, std::string_view text) {
  uint32_t code = 0;
  if (ParseCount(text, 255, &code)) return code;
  return Wrong(option, text, "an exit code is 1 to 255");
}

absl::Status AddRetryOn(std::string_view text, v1::RetryPolicy* retry) {
  constexpr std::string_view kOption = "--retry-on";
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    if (!part.empty() && absl::ascii_isdigit(static_cast<unsigned char>(part[0]))) {
      const auto code = ParseExitCode(kOption, ToStd(part));
      if (!code.ok()) return code.status();
      retry->add_exit_codes(*code);
      continue;
    }
    const auto reason = ParseReason(kOption, ToStd(part));
    if (!reason.ok()) {
      return UsageError(StrCat(reason.status().message(), ", or an exit code from 1 to 255"));
    }
    retry->add_reasons(*reason);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Rate> ParseRate(std::string_view option, std::string_view text) {
  constexpr std::string_view kWant = "want COUNT/TIME[:BURST], e.g. 5/s, 100/1m, 5/s:10";
  std::string_view count, rest, burst;
  v1::Rate rate;
  uint32_t number = 0;
  if (!Cut(text, '/', &count, &rest) || !ParseCount(count, 1'000'000, &number))
    return Wrong(option, text, kWant);
  rate.set_count(number);
  std::string_view per = rest;
  if (Cut(rest, ':', &per, &burst)) {
    if (!ParseCount(burst, 1'000'000, &number)) return Wrong(option, text, kWant);
    rate.set_burst(number);
  }
  absl::Duration duration;
  const bool is_unit = per == "ms" || per == "s" || per == "m" || per == "h";
  if (per == "d") {
    duration = absl::Hours(24);
  } else if (!absl::ParseDuration(StrCat(is_unit ? "1" : "", per), &duration)) {
    return Wrong(option, text, kWant);
  }
  if (duration < absl::Milliseconds(1) || duration > absl::Hours(24))
    return Wrong(option, text, "the time is 1 ms to 1 day");
  SetDuration(duration, rate.mutable_per());
  return rate;
}

bool IsKeyRule(std::string_view text) { return text.substr(0, 4) == "key="; }

absl::Status AddKeyLimit(std::string_view text, v1::TaskKey* key) {
  constexpr std::string_view kOption = "--limit";
  constexpr std::string_view kWant = "want key=PATH:COUNT, e.g. key=.host:2";
  const auto value = TakePath(kOption, text, kWant, key);
  if (!value.ok()) return value.status();
  uint32_t count = 0;
  if (!ParseCount(*value, UINT32_MAX, &count)) return Wrong(kOption, text, kWant);
  key->set_max_in_flight(count);
  return absl::OkStatus();
}

absl::Status AddKeyRate(std::string_view text, v1::TaskKey* key) {
  constexpr std::string_view kOption = "--rate";
  constexpr std::string_view kWant = "want key=PATH:COUNT/TIME[:BURST], e.g. key=.host:5/s";
  if (!IsKeyRule(text)) return Wrong(kOption, text, kWant);
  const auto value = TakePath(kOption, text, kWant, key);
  if (!value.ok()) return value.status();
  const auto rate = ParseRate(StrCat(kOption, " '", text, "':"), *value);
  if (!rate.ok()) return rate.status();
  *key->mutable_rate() = *rate;
  return absl::OkStatus();
}

absl::Status AddLabel(std::string_view text, v1::JobSpec* spec) {
  std::string_view name, value;
  if (!Cut(text, '=', &name, &value) || !IsWord(name, 63, "._-/") || value.size() > 63 ||
      !IsUtf8(value)) {
    return Wrong("--label", text,
                 "want NAME=VALUE; the name 1 to 63 of a-z A-Z 0-9 . _ - /, the value at most 63 "
                 "bytes");
  }
  (*spec->mutable_labels())[std::string(name)] = std::string(value);
  return absl::OkStatus();
}

absl::Status CheckLabelTerm(std::string_view option, std::string_view text) {
  std::string_view name = text, value;
  if (Cut(text, '=', &name, &value)) {
    if (!name.empty() && name.back() == '!') name.remove_suffix(1);
  } else if (!name.empty() && name.front() == '!') {
    name.remove_prefix(1);
  }
  if (IsWord(name, 63, "._-/") && value.size() <= 63 && IsUtf8(value)) return absl::OkStatus();
  return Wrong(option, text, "want NAME=VALUE, NAME!=VALUE, NAME or !NAME of a label");
}

absl::Status AddResource(std::string_view text, v1::JobSpec* spec) {
  constexpr std::string_view kWant =
      "want NAME=AMOUNT, e.g. cpus=2, gpu=0.5, memory=512M; the name 1 to 63 of a-z 0-9 . _ -, the "
      "amount from 0.001 on";
  constexpr std::string_view kSuffixes = "KMGT";
  constexpr double kLeast = 0.001, kMost = 1e15;
  std::string_view name, value;
  if (!Cut(text, '=', &name, &value) || !IsWord(name, 63, "._-") ||
      name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string_view::npos || value.empty())
    return Wrong("--resource", text, kWant);
  double factor = 1;
  if (const size_t power = kSuffixes.find(value.back()); power != std::string_view::npos) {
    factor = std::pow(1024.0, static_cast<double>(power + 1));
    value.remove_suffix(1);
  }
  double amount = 0;
  if (!absl::SimpleAtod(ToAbsl(value), &amount) || !(amount * factor >= kLeast) ||
      amount * factor > kMost)
    return Wrong("--resource", text, kWant);
  (*spec->mutable_resources())[std::string(name)] = amount * factor;
  return absl::OkStatus();
}

absl::Status AddStopRules(std::string_view text, v1::StopRule* stop) {
  constexpr std::string_view kWant =
      "want COUNT failures, PERCENT% of them, or success, and ,soft to let running ones end: 3, "
      "10%,soft, success";
  bool has_rule = false;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    const std::string_view rule = ToStd(part);
    uint32_t number = 0;
    if (rule == "soft") {
      stop->set_let_running_end(true);
      continue;
    }
    has_rule = true;
    if (rule == "success") {
      stop->set_first_success(true);
    } else if (!rule.empty() && rule.back() == '%') {
      if (!ParseCount(rule.substr(0, rule.size() - 1), 99, &number))
        return Wrong("--halt", text, "a percentage is 1% to 99%");
      stop->set_max_failure_percent(number);
    } else if (ParseCount(rule, UINT32_MAX, &number)) {
      stop->set_max_failures(number);
    } else {
      return Wrong("--halt", text, kWant);
    }
  }
  return has_rule ? absl::OkStatus() : Wrong("--halt", text, kWant);
}

absl::StatusOr<v1::Dependency::Condition> ParseCondition(std::string_view option,
                                                         std::string_view text) {
  if (text == "success") return v1::Dependency::ON_SUCCESS;
  if (text == "failure") return v1::Dependency::ON_FAILURE;
  if (text == "end") return v1::Dependency::ON_END;
  return Wrong(option, text, "success, failure or end");
}

absl::StatusOr<std::vector<NamedDependency>> ParseDependencies(std::string_view text) {
  std::vector<NamedDependency> dependencies;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    std::string_view job = ToStd(part), condition;
    NamedDependency dependency;
    if (Cut(ToStd(part), ':', &job, &condition)) {
      const auto parsed = ParseCondition(StrCat("--after '", text, "':"), condition);
      if (!parsed.ok()) return parsed.status();
      dependency.condition = *parsed;
    }
    if (job.empty()) return Wrong("--after", text, "want JOB[:success|failure|end],…");
    dependency.job = std::string(job);
    dependencies.push_back(std::move(dependency));
  }
  return dependencies;
}

absl::Status CheckFolderName(std::string_view option, std::string_view name) {
  if (IsWord(name, 64, "_-")) return absl::OkStatus();
  return Wrong(option, name, "the name of a folder of results is 1 to 64 of A-Z a-z 0-9 _ -");
}

}  // namespace reeve
