#include "client/commands/completion.h"

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

constexpr char kBashBody[] = R"(
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -F _reeve reeve
)";

// One case for each verb: what may follow it.
void AppendCases(const CommandTree& node, const std::string& path, const std::string& common,
                 std::string* out) {
  std::vector<std::string> words;
  for (const CommandTree& verb : node.verbs) words.push_back(verb.name);
  words.insert(words.end(), node.options.begin(), node.options.end());
  StrAppend(out, "    '", path, "') words='", absl::StrJoin(words, " "), " ", common, "' ;;\n");
  for (const CommandTree& verb : node.verbs) {
    AppendCases(verb, path.empty() ? verb.name : StrCat(path, " ", verb.name), common, out);
  }
}

std::string BashScript(const CommandTree& root) {
  std::string verbs;
  for (const CommandTree& verb : root.verbs) {
    for (const CommandTree& second : verb.verbs)
      StrAppend(&verbs, "'", verb.name, " ", second.name, "'|");
    StrAppend(&verbs, verb.name, "|");
  }
  verbs.pop_back();
  std::string out = StrCat(
      "_reeve() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} path= words= word i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=${COMP_WORDS[i]}\n"
      "    [ \"$word\" != -- ] || { COMPREPLY=($(compgen -c -f -- \"$cur\")); return; }\n"
      "    case \"${path:+$path }$word\" in\n"
      "      ",
      verbs, ") path=\"${path:+$path }$word\" ;;\n    esac\n  done\n  case \"$path\" in\n");
  AppendCases(root, "", absl::StrJoin(root.options, " "), &out);
  return out + (kBashBody + 1);
}

std::string FishQuoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

void AppendFishOptions(const CommandTree& node, const std::string& condition, std::string* out) {
  for (const std::string& option : node.options) {
    const bool is_long = option.rfind("--", 0) == 0;
    StrAppend(out, "complete -c reeve", condition, is_long ? " -l " : " -s ",
              option.substr(is_long ? 2 : 1), "\n");
  }
}

std::string FishScript(const CommandTree& root) {
  std::string out = "complete -c reeve -f\n";
  AppendFishOptions(root, "", &out);
  for (const CommandTree& verb : root.verbs) {
    StrAppend(&out, "complete -c reeve -n __fish_use_subcommand -a ", verb.name, " -d ",
              FishQuoted(verb.description), "\n");
    const std::string seen = StrCat(" -n '__fish_seen_subcommand_from ", verb.name, "'");
    AppendFishOptions(verb, seen, &out);
    for (const CommandTree& second : verb.verbs) {
      StrAppend(&out, "complete -c reeve", seen, " -a ", second.name, " -d ",
                FishQuoted(second.description), "\n");
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CommandTree& root, std::string_view shell) {
  if (shell == "bash") return BashScript(root);
  if (shell == "zsh") {
    return StrCat("#compdef reeve\nautoload -U +X bashcompinit && bashcompinit\n",
                  BashScript(root));
  }
  if (shell == "fish") return FishScript(root);
  return UsageError(StrCat("completion '", shell, "': bash, zsh or fish"));
}

}  // namespace reeve
