#include "client/bench/models.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/descriptor_limit.h"
#include "base/strings.h"
#include "client/bench/bench.h"
#include "client/bench/checked_tasks.h"
#include "client/bench/models_script.h"
#include "client/bench/slow_server.h"
#include "client/exit_code.h"
#include "client/interrupt.h"
#include "client/output/table.h"

namespace reeve {
namespace {

// Threads or processes at once, at most; what is more waits.
constexpr uint64_t kMostThreads = 1'000, kMostProcesses = 1'000, kMostPythonProcesses = 100;
// Requests of the sequential row: each takes as long as the server waits.
constexpr uint64_t kSequentialRequests = 5;
// Of the server's waiting, in all runs of a row.
constexpr uint64_t kMostTurns = 20;
// Sums at once, whoever does them.
constexpr uint64_t kSumsAtOnce = 4;

struct Row {
  std::string work, method;
  uint32_t workers = 0;  // Processes of workers; 0: none are Reeve's.
  uint64_t tasks = 0, at_once = 0;
  std::vector<double> seconds;
  uint64_t verified = 0;  // Of the worst run.
  std::string error;      // Why it failed.
};

// Where the time of a run, and how many results were right, come from.
struct Outcome {
  double seconds = 0;
  uint64_t right = 0;
};
using OneRun = std::function<absl::StatusOr<Outcome>()>;

// Where the tasks take turns for long, fewer runs must do.
uint32_t RunsOf(const Row& row, uint32_t wanted) {
  const uint64_t turns = (row.tasks + row.at_once - 1) / row.at_once;
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(kMostTurns / turns, 1, std::max<uint32_t>(1, wanted)));
}

void Measure(Row* row, uint32_t wanted_runs, const OneRun& run) {
  row->verified = row->tasks;
  const uint32_t runs = row->work == "sums" ? wanted_runs : RunsOf(*row, wanted_runs);
  for (uint32_t i = 0; i < runs; ++i) {
    const absl::StatusOr<Outcome> outcome = run();
    if (!outcome.ok()) {
      row->error = std::string(outcome.status().message());
      row->verified = 0;
      return;
    }
    row->seconds.push_back(outcome->seconds);
    row->verified = std::min(row->verified, outcome->right);
  }
  if (row->verified < row->tasks)
    row->error = StrCat("only ", row->verified, " of ", row->tasks, " results were right");
}

uint64_t SumOfSquares(uint64_t below) {
  return below == 0 ? 0 : (below - 1) * below / 2 * (2 * below - 1) / 3;
}

uint64_t NumberOf(uint64_t index) { return 100'000 * (1 + index % 5); }

class Models {
 public:
  Models(Session* session, Canceller* canceller, const ModelsOptions& options)
      : context_{*session, *canceller}, session_(*session), options_(options) {}

  absl::Status Run();
  const std::vector<Row>& rows() const { return rows_; }

 private:
  // A method of Reeve: how its workers are started, and the job.
  struct Method {
    std::string name, handler;
    std::vector<std::string> worker_flags;  // Beside slots.
    bool is_command = false;
  };

  void MeasureReeve(const std::string& work, const Method& method, uint32_t workers, uint64_t tasks,
                    uint64_t at_once);
  void MeasurePython(const std::string& work, const std::string& method, uint64_t tasks,
                     uint64_t at_once);
  void Requests(uint64_t count);
  void Sums();
  void Tell(const Row& row);

  const BenchContext context_;
  Session& session_;
  const ModelsOptions& options_;
  std::vector<std::string> plugin_flags_;
  std::unique_ptr<SlowServer> server_;
  bool has_python_ = false;
  std::vector<Row> rows_;
};

std::string FolderOfProgram() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  const std::string program(path, length > 0 ? static_cast<size_t>(length) : 0);
  return program.substr(0, program.rfind('/'));
}

// Beside `reeve`, or where Bazel puts them.
std::vector<std::string> PluginsBeside(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& [name, elsewhere] :
       {std::pair<const char*, const char*>{"libsums.so", "/../examples/sums/"},
        {"libblocking_get.so", "/bench/"}}) {
    for (const std::string& path : {StrCat(folder, "/", name), StrCat(folder, elsewhere, name)}) {
      if (access(path.c_str(), R_OK) != 0) continue;
      found.push_back(path);
      break;
    }
  }
  return found;
}

// What a program wrote, if it ended well.
absl::StatusOr<std::string> OutputOf(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return absl::InternalError("popen");
  std::string output;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    output.append(buffer.data(), n);
  const int status = pclose(pipe);
  if (status == 0) return output;
  return absl::InternalError(StrCat("it ended with status ", status, ": ", output.substr(0, 200)));
}

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

absl::Status Models::Run() {
  RaiseDescriptorLimit();
  auto server = SlowServer::Start(absl::Seconds(options_.answer_after));
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  for (const std::string& plugin :
       options_.plugins.empty() ? PluginsBeside(FolderOfProgram()) : options_.plugins) {
    plugin_flags_.push_back("--plugin");
    plugin_flags_.push_back(plugin);
  }
  has_python_ = OutputOf(StrCat(Quoted(options_.python), " -c '' 2>&1")).ok();
  const Method one_by_one{"async lane, one at a time", "http", {"--async-slots", "1"}};
  MeasureReeve("requests", one_by_one, 1, kSequentialRequests, 1);
  MeasurePython("requests", "sequential", kSequentialRequests, 1);
  for (const uint64_t count : options_.requests) Requests(count);
  Sums();
  if (!has_python_) session_.console().Note("without Python's own ways: there is no Python here");
  return absl::OkStatus();
}

void Models::Requests(uint64_t count) {
  for (const uint32_t workers : options_.workers) {
    const std::string places = StrCat((count + workers - 1) / workers);
    MeasureReeve("requests",
                 {"async lane (http)",
                  "http",
                  {"--async-slots", places, "--http-connections", places,
                   "--http-connections-per-host", places}},
                 workers, count, count);
  }
  for (const uint32_t workers : options_.workers)
    MeasureReeve("requests", {"thread lane (blocking)", "blocking_get", plugin_flags_}, workers,
                 count, std::min(count, kMostThreads));
  for (const uint32_t workers : options_.workers) {
    const uint64_t at_once = std::min(count, kMostProcesses);
    MeasureReeve("requests",
                 {"process lane (bash)",
                  "exec",
                  {"--process-slots", StrCat((at_once + workers - 1) / workers)},
                  true},
                 workers, count, at_once);
  }
  MeasurePython("requests", "asyncio", count, count);
  MeasurePython("requests", "threads", count, std::min(count, kMostThreads));
  MeasurePython("requests", "processes", count, std::min(count, kMostPythonProcesses));
}

void Models::Sums() {
  MeasureReeve("sums", {"thread lane, one at a time", "sum_squares", plugin_flags_}, 1,
               options_.sums, 1);
  for (const uint32_t workers : options_.workers)
    MeasureReeve("sums", {"thread lane", "sum_squares", plugin_flags_}, workers, options_.sums,
                 std::max<uint64_t>(kSumsAtOnce, workers));
  std::vector<std::string> isolated = plugin_flags_;
  isolated.insert(isolated.end(), {"--isolate", "sum_squares"});
  for (const uint32_t workers : options_.workers)
    MeasureReeve("sums", {"thread lane, isolated", "sum_squares", isolated}, workers, options_.sums,
                 std::max<uint64_t>(kSumsAtOnce, workers));
  if (has_python_) {
    for (const uint32_t workers : options_.workers) {
      const uint64_t at_once = std::max<uint64_t>(kSumsAtOnce, workers);
      MeasureReeve("sums",
                   {"process lane (Python)",
                    "exec",
                    {"--process-slots", StrCat((at_once + workers - 1) / workers)},
                    true},
                   workers, options_.sums, at_once);
    }
  }
  MeasurePython("sums", "sequential", options_.sums, 1);
  MeasurePython("sums", "asyncio", options_.sums, kSumsAtOnce);
  MeasurePython("sums", "threads", options_.sums, kSumsAtOnce);
  MeasurePython("sums", "processes", options_.sums, kSumsAtOnce);
}

v1::Command CommandOf(std::initializer_list<std::string> words) {
  v1::Command command;
  for (const std::string& word : words) command.add_argv(word);
  return command;
}

// Its input is the number.
v1::Command SumCommand(const std::string& python) {
  return CommandOf({python, "-c",
                    "import sys; print(sum(k * k for k in range(int(sys.argv[1]))), end='')",
                    "{}"});
}

// A command that makes one request; its input is the URL.
v1::Command RequestCommand() {
  return CommandOf(
      {"bash", "-c",
       "url=${1#http://127.0.0.1:}; exec 3<>/dev/tcp/127.0.0.1/${url%%/*} || exit 1; "
       "printf 'GET /%s HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' \"${url#*/}\" >&3; n=0; "
       "while IFS= read -r line <&3; do line=${line%$'\\r'}; "
       "case $line in Content-Length:*) n=${line#*: };; '') break;; esac; done; "
       "IFS= read -r -N \"$n\" body <&3; printf %s \"$body\"",
       "request", "{}"});
}

void Models::MeasureReeve(const std::string& work, const Method& method, uint32_t workers,
                          uint64_t tasks, uint64_t at_once) {
  Row row{
      .work = work, .method = method.name, .workers = workers, .tasks = tasks, .at_once = at_once};
  BenchOptions options;
  options.slots = static_cast<uint32_t>((at_once + workers - 1) / workers);
  options.worker_flags = method.worker_flags;
  v1::JobSpec spec;
  spec.set_name("models");
  spec.set_handler(method.handler);
  if (method.is_command)
    *spec.mutable_command() = work == "sums" ? SumCommand(options_.python) : RequestCommand();
  std::vector<std::string> inputs;
  for (uint64_t i = 0; i < tasks; ++i)
    inputs.push_back(work == "sums" ? StrCat(NumberOf(i))
                                    : StrCat("http://127.0.0.1:", server_->port(), "/", i));
  const auto is_right = [&](const ResultEntry& entry, uint64_t index) {
    if (entry.state != TaskState::kSucceeded) return false;
    if (work == "sums") return entry.output == StrCat(SumOfSquares(NumberOf(index)));
    const std::string path = StrCat("/", index);
    return method.handler == "http"
               ? entry.output.find(StrCat("\"body\":\"", path, "\"")) != std::string_view::npos
               : entry.output == path;
  };
  auto bench = BenchCluster::Start(context_, workers, options);
  Measure(&row, options_.runs, [&]() -> absl::StatusOr<Outcome> {
    if (!bench.ok()) return bench.status();
    const double began = SteadySeconds();
    const auto right = RunChecked(bench->get(), spec, inputs, is_right);
    if (!right.ok()) return right.status();
    return Outcome{SteadySeconds() - began, *right};
  });
  rows_.push_back(row);
  Tell(row);
}

void Models::MeasurePython(const std::string& work, const std::string& method, uint64_t tasks,
                           uint64_t at_once) {
  Row row{.work = work, .method = StrCat("Python, ", method), .tasks = tasks, .at_once = at_once};
  const std::string command = StrCat(Quoted(options_.python), " -c ", Quoted(kModelsScript), " ",
                                     method, " ", work == "sums" ? "cpu" : "io", " ",
                                     server_->port(), " ", tasks, " ", at_once, " 2>&1");
  if (!has_python_ || context_.canceller.is_cancelled()) return;
  Measure(&row, options_.runs, [&]() -> absl::StatusOr<Outcome> {
    const auto output = OutputOf(command);
    if (!output.ok()) return output.status();
    Outcome outcome;
    unsigned long long right = 0;
    if (std::sscanf(output->c_str(), "{\"seconds\": %lf, \"right\": %llu}", &outcome.seconds,
                    &right) != 2)
      return absl::InternalError(output->substr(0, 200));
    outcome.right = right;
    return outcome;
  });
  rows_.push_back(row);
  Tell(row);
}

std::string Seconds(double seconds) { return absl::StrFormat("%.3f", seconds); }

void Models::Tell(const Row& row) {
  const std::string who = StrCat(row.work, ", ", row.method,
                                 row.workers > 0 ? StrCat(", ", row.workers, " workers") : "");
  session_.console().Note(StrCat(who, ": ",
                                 row.error.empty()
                                     ? StrCat(Seconds(Percentile(row.seconds, 0.5)), " s")
                                     : Printable(row.error, 200)));
}

std::string AsText(const std::vector<Row>& rows) {
  Table table(
      {"WORK", "METHOD", "WORKERS", "TASKS", "AT ONCE", "RUNS", "SECONDS", "RANGE", "TASKS/S", ""});
  for (const Row& row : rows) {
    const bool is_timed = !row.seconds.empty();
    const double median = is_timed ? Percentile(row.seconds, 0.5) : 0;
    table.Add(
        {row.work, row.method, row.workers == 0 ? "-" : StrCat(row.workers), StrCat(row.tasks),
         StrCat(row.at_once), StrCat(row.seconds.size()), is_timed ? Seconds(median) : "-",
         is_timed ? StrCat(Seconds(Percentile(row.seconds, 0)), " to ",
                           Seconds(Percentile(row.seconds, 1)))
                  : "-",
         is_timed ? StrCat(static_cast<uint64_t>(static_cast<double>(row.tasks) / median)) : "-",
         row.error.empty() ? "" : StrCat("FAILED: ", Printable(row.error, 200))});
  }
  return table.ToString();
}

std::string AsJson(const std::vector<Row>& rows) {
  JsonWriter json;
  json.BeginObject().Key("benchmark").String("models").Key("rows").BeginArray();
  for (const Row& row : rows) {
    json.BeginObject().Key("work").String(row.work).Key("method").String(row.method);
    json.Key("workers").Number(uint64_t{row.workers}).Key("tasks").Number(row.tasks);
    json.Key("at_once").Number(row.at_once).Key("verified").Number(row.verified);
    json.Key("seconds").BeginArray();
    for (const double seconds : row.seconds) json.Number(seconds);
    json.EndArray();
    if (!row.seconds.empty()) json.Key("median").Number(Percentile(row.seconds, 0.5));
    if (!row.error.empty()) json.Key("error").String(row.error);
    json.EndObject();
  }
  return json.EndArray().EndObject().text() + "\n";
}

}  // namespace

absl::StatusOr<int> RunBenchModels(Session& session, const ModelsOptions& options) {
  Canceller canceller;
  Interrupt interrupt([&canceller] { canceller.Cancel(); });
  Models models(&session, &canceller, options);
  if (absl::Status s = models.Run(); !s.ok()) return s;
  if (canceller.is_cancelled()) return kExitInterrupted;
  session.console().Out(session.console().is_json() ? AsJson(models.rows())
                                                    : AsText(models.rows()));
  const bool all_right = std::all_of(models.rows().begin(), models.rows().end(),
                                     [](const Row& row) { return row.error.empty(); });
  return all_right ? kExitOk : kExitTaskFailed;
}

}  // namespace reeve
