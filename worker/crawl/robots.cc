#include "worker/crawl/robots.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMostBytes = 500u << 10;
constexpr size_t kMostRules = 10'000;
constexpr absl::Duration kLongestDelay = absl::Minutes(1);

std::string_view Trimmed(std::string_view text) {
  return ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
}

// `*` stands for anything, `$` at the end for the end. In time linear in both, more or less: each
// part between stars is looked for once, from where the one before it ended.
bool Matches(std::string_view pattern, std::string_view path) {
  const bool to_the_end = !pattern.empty() && pattern.back() == '$';
  if (to_the_end) pattern.remove_suffix(1);
  size_t at = 0;
  for (bool first = true;; first = false) {
    const size_t star = pattern.find('*');
    const std::string_view part = pattern.substr(0, star);
    const bool last = star == std::string_view::npos;
    if (first) {
      if (path.substr(0, part.size()) != part) return false;
      at = part.size();
      if (last) return !to_the_end || at == path.size();
    } else if (last && to_the_end) {
      return path.size() >= at + part.size() && path.substr(path.size() - part.size()) == part;
    } else {
      const size_t found = path.find(part, at);
      if (found == std::string_view::npos) return false;
      at = found + part.size();
      if (last) return true;
    }
    pattern.remove_prefix(star + 1);
  }
}

}  // namespace

RobotsRules RobotsRules::DisallowAll() {
  RobotsRules rules;
  rules.rules_.push_back({false, "/"});
  return rules;
}

RobotsRules RobotsRules::Parse(std::string_view text, std::string_view agent) {
  text = text.substr(0, kMostBytes);
  RobotsRules own, others;
  bool is_named = false;                   // Some group is for `agent`.
  bool to_own = false, to_others = false;  // The group of the line is.
  bool in_agents = false;                  // The line before named one: the group goes on.
  while (!text.empty()) {
    const std::string_view whole = text.substr(0, text.find_first_of("\r\n"));
    text.remove_prefix(std::min(text.size(), whole.size() + 1));
    const std::string_view line = whole.substr(0, whole.find('#'));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string key = absl::AsciiStrToLower(ToAbsl(Trimmed(line.substr(0, colon))));
    const std::string_view value = Trimmed(line.substr(colon + 1));
    if (key == "user-agent") {
      if (!in_agents) to_own = to_others = false;
      in_agents = true;
      to_others = to_others || value == "*";
      to_own = to_own || absl::EqualsIgnoreCase(ToAbsl(value), ToAbsl(agent));
      is_named = is_named || to_own;
      continue;
    }
    const bool is_rule = key == "allow" || key == "disallow";
    if (!is_rule && key != "crawl-delay") continue;  // Sitemaps and the like belong to no group.
    in_agents = false;
    for (RobotsRules* rules : {to_own ? &own : nullptr, to_others ? &others : nullptr}) {
      if (rules == nullptr) continue;
      double seconds = 0;
      if (is_rule && !value.empty() && rules->rules_.size() < kMostRules) {
        rules->rules_.push_back({key == "allow", std::string(value)});
      } else if (key == "crawl-delay" && absl::SimpleAtod(ToAbsl(value), &seconds) && seconds > 0) {
        rules->crawl_delay_ = std::min(absl::Seconds(seconds), kLongestDelay);
      }
    }
  }
  return is_named ? own : others;
}

bool RobotsRules::Allows(std::string_view path) const {
  if (path == "/robots.txt") return true;
  const Rule* best = nullptr;
  for (const Rule& rule : rules_) {
    if (!Matches(rule.pattern, path)) continue;
    if (best == nullptr || rule.pattern.size() > best->pattern.size() ||
        (rule.pattern.size() == best->pattern.size() && rule.allows))
      best = &rule;
  }
  return best == nullptr || best->allows;
}

}  // namespace reeve
