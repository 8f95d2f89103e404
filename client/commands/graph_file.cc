#include "client/commands/graph_file.h"

#include <yaml-cpp/yaml.h>

#include <exception>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/ids.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/command_line.h"
#include "client/input/job_rules.h"

namespace reeve {
namespace {

constexpr size_t kMaxFileBytes = 8 << 20, kMaxJobs = 1000, kMaxNameBytes = 200;

// The options of `submit`, as they are spelled here.
using Field = std::variant<std::string JobOptions::*, std::optional<std::string> JobOptions::*,
                           std::vector<std::string> JobOptions::*, bool JobOptions::*,
                           uint32_t JobOptions::*, std::optional<uint32_t> JobOptions::*>;

const std::map<std::string, Field>& Options() {
  static const auto* const options = new std::map<std::string, Field>{
      {"at_most_once", &JobOptions::at_most_once},
      {"close_when_idle", &JobOptions::close_when_idle},
      {"deadline", &JobOptions::deadline},
      {"delay", &JobOptions::delay},
      {"durability", &JobOptions::durability},
      {"env", &JobOptions::environment},
      {"exclusive", &JobOptions::exclusive},
      {"halt", &JobOptions::halt},
      {"handler", &JobOptions::handler},
      {"hold", &JobOptions::hold},
      {"if_exists", &JobOptions::if_exists},
      {"if_unmet", &JobOptions::if_unmet},
      {"label", &JobOptions::labels},
      {"labels", &JobOptions::labels},
      {"limit", &JobOptions::limits},
      {"max_in_flight", &JobOptions::max_in_flight},
      {"max_tasks", &JobOptions::max_tasks},
      {"on", &JobOptions::selectors},
      {"pack", &JobOptions::pack},
      {"param", &JobOptions::params},
      {"params", &JobOptions::params},
      {"priority", &JobOptions::priority},
      {"queue", &JobOptions::queue},
      {"rate", &JobOptions::rates},
      {"resource", &JobOptions::resources},
      {"resources", &JobOptions::resources},
      {"retries", &JobOptions::retries},
      {"retry_backoff", &JobOptions::retry_backoff},
      {"retry_on", &JobOptions::retry_on},
      {"secret", &JobOptions::secrets},
      {"soft_time_limit", &JobOptions::soft_time_limit},
      {"start_at", &JobOptions::start_at},
      {"time_limit", &JobOptions::time_limit},
      {"unique", &JobOptions::unique},
      {"workdir", &JobOptions::workdir},
      {"worker_selector", &JobOptions::selectors},
  };
  return *options;
}

// What is wrong at a node; caught in ParseGraph, as yaml-cpp's own errors are.
struct Wrong {
  int line;
  std::string message;
};

[[noreturn]] void Fail(const YAML::Node& node, std::string_view message) {
  throw Wrong{node.Mark().line + 1, std::string(message)};
}

std::string TextOf(const YAML::Node& node, std::string_view what) {
  if (!node.IsScalar()) Fail(node, StrCat(what, ": want one value"));
  return node.Scalar();
}

bool FlagOf(const YAML::Node& node, std::string_view what) {
  bool flag = false;
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, flag))
    Fail(node, StrCat(what, ": want true or false"));
  return flag;
}

uint32_t NumberOf(const YAML::Node& node, std::string_view what) {
  uint32_t number = 0;
  const std::string text = TextOf(node, what);
  if (text.find_first_not_of("0123456789") != std::string::npos ||
      !absl::SimpleAtoi(text, &number)) {
    Fail(node, StrCat(what, " '", text, "': want a number"));
  }
  return number;
}

// One value, a list of them, or names with values: `{team: blue}` is `team=blue`.
std::vector<std::string> ListOf(const YAML::Node& node, std::string_view what) {
  std::vector<std::string> list;
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) list.push_back(TextOf(item, what));
  } else if (node.IsMap()) {
    for (const auto& item : node)
      list.push_back(StrCat(TextOf(item.first, what), "=", TextOf(item.second, what)));
  } else {
    list.push_back(TextOf(node, what));
  }
  return list;
}

void SetField(const YAML::Node& node, const std::string& key, const Field& field,
              JobOptions* options) {
  if (const auto* text = std::get_if<std::string JobOptions::*>(&field)) {
    options->*(*text) = TextOf(node, key);
  } else if (const auto* maybe = std::get_if<std::optional<std::string> JobOptions::*>(&field)) {
    options->*(*maybe) = TextOf(node, key);
  } else if (const auto* list = std::get_if<std::vector<std::string> JobOptions::*>(&field)) {
    options->*(*list) = ListOf(node, key);
  } else if (const auto* flag = std::get_if<bool JobOptions::*>(&field)) {
    options->*(*flag) = FlagOf(node, key);
  } else if (const auto* number = std::get_if<uint32_t JobOptions::*>(&field)) {
    options->*(*number) = NumberOf(node, key);
  } else {
    options->*std::get<std::optional<uint32_t> JobOptions::*>(field) = NumberOf(node, key);
  }
}

// Calls `take` for each pair. Fails for what is no mapping, and for keys that come twice.
void ForEachKey(const YAML::Node& node, std::string_view what,
                const std::function<void(const std::string&, const YAML::Node&)>& take) {
  if (!node.IsMap()) Fail(node, StrCat(what, ": want `name: value` pairs"));
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string key = TextOf(entry.first, what);
    if (!seen.insert(key).second) Fail(entry.first, StrCat("'", key, "' is there twice"));
    if (entry.second.IsNull()) Fail(entry.first, StrCat("'", key, "' has no value"));
    take(key, entry.second);
  }
}

[[noreturn]] void FailKey(const YAML::Node& value, const std::string& key, std::string_view of,
                          const std::vector<std::string>& known) {
  const std::string meant = Suggest(key, known);
  Fail(value, StrCat("unknown key '", key, "' of ", of,
                     meant.empty() ? "" : StrCat("; did you mean '", meant, "'?")));
}

// A number as JSON writes them.
bool IsJsonNumber(const std::string& text) {
  const size_t digit = text[0] == '-' ? 1 : 0;
  if (text.size() == digit || !absl::ascii_isdigit(static_cast<unsigned char>(text[digit])))
    return false;
  if (text[digit] == '0' && text.size() > digit + 1 &&
      absl::ascii_isdigit(static_cast<unsigned char>(text[digit + 1])))
    return false;
  if (text.find_first_not_of("0123456789+-.eE") != std::string::npos || text.back() == '.')
    return false;
  double value = 0;
  return absl::SimpleAtod(text, &value);
}

void AppendScalar(const YAML::Node& node, std::string* out) {
  const std::string& text = node.Scalar();
  const bool is_plain = node.Tag() != "!";  // Quoted ones are text.
  if (is_plain && (text == "true" || text == "false" || (!text.empty() && IsJsonNumber(text)))) {
    *out += text;
  } else {
    AppendJson(text, out);
  }
}

// The node as JSON text. Aliases are written out, so it may be longer than the file.
void AppendNode(const YAML::Node& node, std::string* out) {
  if (out->size() > kMaxPayloadBytes) Fail(node, "an input is at most 3 MiB");
  const char* separator = "";
  if (node.IsMap()) {
    *out += "{";
    for (const auto& entry : node) {
      *out += separator;
      AppendJson(TextOf(entry.first, "the name of a field"), out);
      *out += ":";
      AppendNode(entry.second, out);
      separator = ",";
    }
    *out += "}";
  } else if (node.IsSequence()) {
    *out += "[";
    for (const YAML::Node& item : node) {
      *out += separator;
      AppendNode(item, out);
      separator = ",";
    }
    *out += "]";
  } else if (node.IsNull()) {
    *out += "null";
  } else {
    AppendScalar(node, out);
  }
}

// Texts, or records: all of one kind.
void SetInputs(const YAML::Node& node, MapOptions* options) {
  if (!node.IsSequence() || node.size() == 0) Fail(node, "inputs: want a list of one at least");
  options->arguments.emplace();
  options->arguments_are_records = !node[0].IsScalar();
  for (const YAML::Node& item : node) {
    if (item.IsScalar() == options->arguments_are_records)
      Fail(item, "inputs: want all of them to be texts, or all to be records");
    std::string input;
    if (item.IsScalar()) {
      input = item.Scalar();
    } else {
      AppendNode(item, &input);
    }
    options->arguments->push_back(std::move(input));
  }
}

GraphDependency ParseDependency(const YAML::Node& node) {
  GraphDependency dependency;
  dependency.line = node.Mark().line + 1;
  if (node.IsScalar()) {
    dependency.job = node.Scalar();
    return dependency;
  }
  ForEachKey(node, "after", [&](const std::string& key, const YAML::Node& value) {
    if (key == "job") {
      dependency.job = TextOf(value, key);
    } else if (key == "on") {
      const auto condition = ParseCondition("on", TextOf(value, key));
      if (!condition.ok()) Fail(value, ToStd(condition.status().message()));
      dependency.condition = *condition;
    } else if (key == "results") {
      dependency.results = FlagOf(value, key);
    } else if (key == "as") {
      dependency.folder = TextOf(value, key);
      const absl::Status status = CheckFolderName("as", dependency.folder);
      if (!status.ok()) Fail(value, ToStd(status.message()));
    } else {
      FailKey(value, key, "what a job is after", {"job", "on", "results", "as"});
    }
  });
  if (dependency.job.empty()) Fail(node, "after: the key 'job' is missing");
  return dependency;
}

std::vector<GraphDependency> ParseAfter(const YAML::Node& node) {
  std::vector<GraphDependency> after;
  if (!node.IsSequence()) return {ParseDependency(node)};
  for (const YAML::Node& item : node) after.push_back(ParseDependency(item));
  return after;
}

// What a job has besides options. Returns: false if the key is none of it.
bool SetOwn(const std::string& key, const YAML::Node& value, GraphJob* job) {
  MapOptions& options = job->options;
  if (key == "name") {
    options.job.name = TextOf(value, key);
    if (options.job.name.empty() || options.job.name.size() > kMaxNameBytes)
      Fail(value, "name: 1 to 200 bytes");
  } else if (key == "command") {
    if (!value.IsSequence()) Fail(value, "command: want a list of words; or use shell");
    options.job.command = ListOf(value, key);
  } else if (key == "shell") {
    options.job.shell = TextOf(value, key);
  } else if (key == "after") {
    job->after = ParseAfter(value);
  } else if (key == "input") {
    options.input = TextOf(value, key);
  } else if (key == "inputs") {
    SetInputs(value, &options);
  } else if (key == "array") {
    options.array = TextOf(value, key);
  } else if (key == "lines") {
    options.lines = TextOf(value, key);
  } else if (key == "jsonl") {
    options.jsonl = TextOf(value, key);
  } else if (key == "count") {
    options.count = NumberOf(value, key);
  } else if (key == "stdin") {
    options.record_on_stdin = FlagOf(value, key);
  } else if (key == "open") {
    options.open = FlagOf(value, key);
  } else {
    return false;
  }
  return true;
}

std::vector<std::string> KnownKeys(bool of_job) {
  std::vector<std::string> known;
  if (of_job) {
    known = {"name",  "command", "shell", "after", "input", "inputs",
             "array", "lines",   "jsonl", "count", "stdin", "open"};
  }
  for (const auto& [key, field] : Options()) known.push_back(key);
  return known;
}

GraphJob ParseJob(const YAML::Node& node, const JobOptions& defaults) {
  GraphJob job;
  job.line = node.Mark().line + 1;
  job.options.job = defaults;
  ForEachKey(node, "a job", [&](const std::string& key, const YAML::Node& value) {
    if (SetOwn(key, value, &job)) return;
    const auto option = Options().find(key);
    if (option == Options().end()) FailKey(value, key, "a job", KnownKeys(true));
    SetField(value, key, option->second, &job.options.job);
  });
  if (job.options.job.name.empty()) Fail(node, "the job has no name");
  job.options.open = job.options.open || !job.options.job.close_when_idle.empty();
  return job;
}

Graph ParseDocument(const YAML::Node& root) {
  Graph graph;
  JobOptions defaults;
  YAML::Node jobs;
  ForEachKey(root, "the file", [&](const std::string& key, const YAML::Node& value) {
    if (key == "jobs") {
      jobs.reset(value);
    } else if (key == "defaults") {
      ForEachKey(value, key, [&](const std::string& name, const YAML::Node& set) {
        const auto option = Options().find(name);
        if (option == Options().end()) FailKey(set, name, "defaults", KnownKeys(false));
        SetField(set, name, option->second, &defaults);
      });
    } else {
      FailKey(value, key, "the file", {"jobs", "defaults"});
    }
  });
  if (!jobs.IsSequence() || jobs.size() == 0) Fail(root, "jobs: want a list of one job at least");
  if (jobs.size() > kMaxJobs) Fail(jobs, StrCat("jobs: at most ", kMaxJobs));
  std::set<std::string> names;
  for (const YAML::Node& node : jobs) {
    GraphJob job = ParseJob(node, defaults);
    if (!names.insert(job.options.job.name).second)
      Fail(node, StrCat("another job has the name '", job.options.job.name, "'"));
    graph.jobs.push_back(std::move(job));
  }
  return graph;
}

// What stands for a number of a job that exists, unless a job of the file has that name.
void FindExisting(Graph* graph) {
  std::set<std::string> names;
  for (const GraphJob& job : graph->jobs) names.insert(job.options.job.name);
  for (GraphJob& job : graph->jobs) {
    for (GraphDependency& dependency : job.after) {
      const bool is_number = dependency.job.find_first_not_of("0123456789") == std::string::npos;
      if (names.contains(dependency.job) || !is_number) continue;
      if (absl::SimpleAtoi(dependency.job, &dependency.job_id)) dependency.job.clear();
    }
  }
}

}  // namespace

absl::Status GraphError(const Graph& graph, int line, std::string_view message) {
  return UsageError(StrCat(graph.file, ":", line, ": ", message));
}

absl::StatusOr<Graph> ParseGraph(const std::string& text, const std::string& file) {
  Graph graph;
  graph.file = file;
  if (text.size() > kMaxFileBytes) return GraphError(graph, 1, "the file is over 8 MiB");
  if (!IsUtf8(text)) return GraphError(graph, 1, "the file is not UTF-8");
  // yaml-cpp reports by exceptions; none leaves this function.
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() != 1) return GraphError(graph, 1, "want one document");
    graph.jobs = ParseDocument(documents[0]).jobs;
  } catch (const Wrong& wrong) {
    return GraphError(graph, wrong.line, wrong.message);
  } catch (const YAML::Exception& error) {
    return GraphError(graph, error.mark.line + 1, error.msg);
  } catch (const std::exception& error) {
    return GraphError(graph, 1, error.what());
  }
  FindExisting(&graph);
  return graph;
}

absl::StatusOr<std::vector<size_t>> OrderOf(const Graph& graph) {
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < graph.jobs.size(); ++i) places[graph.jobs[i].options.job.name] = i;
  std::vector<std::set<size_t>> waits(graph.jobs.size());
  for (size_t i = 0; i < graph.jobs.size(); ++i) {
    for (const GraphDependency& dependency : graph.jobs[i].after) {
      if (dependency.job.empty()) continue;
      const auto place = places.find(dependency.job);
      if (place == places.end())
        return GraphError(graph, dependency.line,
                          StrCat("no job has the name '", dependency.job, "'"));
      if (!waits[i].insert(place->second).second)
        return GraphError(graph, dependency.line, StrCat("'", dependency.job, "' is named twice"));
    }
  }
  std::vector<size_t> order;
  std::vector<bool> is_done(graph.jobs.size());
  const auto is_ready = [&](size_t job) {
    for (const size_t other : waits[job]) {
      if (!is_done[other]) return false;
    }
    return !is_done[job];
  };
  while (order.size() < graph.jobs.size()) {
    size_t next = 0;
    while (next < graph.jobs.size() && !is_ready(next)) ++next;
    if (next == graph.jobs.size()) break;
    is_done[next] = true;
    order.push_back(next);
  }
  if (order.size() == graph.jobs.size()) return order;
  // Whoever waits for what is not done comes, step by step, to the circle.
  size_t at = 0;
  while (is_done[at]) ++at;
  std::vector<size_t> path;
  std::set<size_t> seen;
  while (seen.insert(at).second) {
    path.push_back(at);
    for (const size_t other : waits[at]) {
      if (!is_done[other]) {
        at = other;
        break;
      }
    }
  }
  std::string circle = graph.jobs[at].options.job.name;
  size_t i = 0;
  while (path[i] != at) ++i;
  for (++i; i < path.size(); ++i)
    StrAppend(&circle, " after ", graph.jobs[path[i]].options.job.name);
  return GraphError(
      graph, graph.jobs[at].line,
      StrCat("jobs wait for one another: ", circle, " after ", graph.jobs[at].options.job.name));
}

}  // namespace reeve
