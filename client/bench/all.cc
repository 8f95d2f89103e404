// `reeve bench all`, and how one benchmark is run.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "client/bench/bench.h"
#include "client/bench/targets.h"
#include "client/exit_code.h"
#include "client/interrupt.h"
#include "client/output/table.h"

namespace reeve {
namespace {

struct Step {
  std::string what;
  Benchmark benchmark;
  BenchOptions options;
};

std::vector<Step> Steps(const BenchOptions& options) {
  BenchOptions base = options;
  base.local = options.local == 0 ? 2 : options.local;
  BenchOptions array = base, ephemeral = base, calls = base;
  array.array = true;
  ephemeral.durability = "ephemeral";
  calls.in_flight = 100;
  return {
      {"array", MeasureThroughput, array},
      {"stream", MeasureThroughput, base},
      {"stream, ephemeral", MeasureThroughput, ephemeral},
      {"100 calls in flight", MeasureLatency, calls},
      {"latency, ephemeral", MeasureLatency, ephemeral},
      {"latency, durable", MeasureLatency, base},
      {"spawn", MeasureSpawn, base},
      {"sleep", MeasureSleep, base},
      {"http", MeasureHttp, base},
      {"memory", MeasureMemory, base},
      {"depth", MeasureDepth, base},
      {"restart", MeasureRestart, base},
      {"payload", MeasurePayload, base},
      {"workers", MeasureWorkers, base},
  };
}

// The targets beside what was measured, by the name of the figure.
using Measured = std::map<std::string, Figure, std::less<>>;

std::string Verdict(const Target& target, const Measured& measured) {
  const auto found = measured.find(target.figure);
  if (found == measured.end()) return "not measured";
  const double median = Percentile(found->second.values, 0.5);
  if (!target.Meets(median, target.bar)) return "BELOW BAR";
  return target.Meets(median, target.aim) ? "aim" : "bar";
}

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value >= 10'000 ? "%.0f" : "%.4g", value);
  return text;
}

std::string AsText(const Measured& measured) {
  Table table({"", "WHAT", "BAR", "AIM", "MEDIAN", "RANGE", "UNIT", ""});
  for (const Target& target : Targets()) {
    const auto found = measured.find(target.figure);
    std::string median = "-", range = "-", unit;
    if (found != measured.end()) {
      const Figure& figure = found->second;
      median = Number(Percentile(figure.values, 0.5));
      range = StrCat(Number(Percentile(figure.values, 0)), " to ",
                     Number(Percentile(figure.values, 1)));
      unit = figure.unit;
    }
    table.Add({std::string(target.id), std::string(target.what), Number(target.bar),
               Number(target.aim), median, range, unit, Verdict(target, measured)});
  }
  return table.ToString();
}

std::string AsJson(const Measured& measured) {
  JsonWriter json;
  json.BeginObject().Key("benchmark").String("all").Key("targets").BeginArray();
  for (const Target& target : Targets()) {
    json.BeginObject().Key("id").String(target.id).Key("figure").String(target.figure);
    json.Key("what").String(target.what).Key("bar").Number(target.bar);
    json.Key("aim").Number(target.aim).Key("more_is_better").Bool(target.more_is_better);
    const auto found = measured.find(target.figure);
    if (found != measured.end()) {
      json.Key("unit").String(found->second.unit);
      json.Key("median").Number(Percentile(found->second.values, 0.5));
      json.Key("values").BeginArray();
      for (const double value : found->second.values) json.Number(value);
      json.EndArray();
    }
    json.Key("verdict").String(Verdict(target, measured)).EndObject();
  }
  return json.EndArray().EndObject().text() + "\n";
}

int WorstOf(const Measured& measured) {
  for (const Target& target : Targets()) {
    if (Verdict(target, measured) == "BELOW BAR") return kExitTaskFailed;
  }
  return kExitOk;
}

}  // namespace

absl::StatusOr<int> RunBench(Session& session, const BenchOptions& options, Benchmark benchmark) {
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  const auto report = benchmark({session, canceller}, options);
  if (canceller.is_cancelled()) return kExitInterrupted;
  if (!report.ok()) return report.status();
  Print(session.console(), *report);
  return report->is_right() ? kExitOk : kExitTaskFailed;
}

absl::StatusOr<int> RunBenchAll(Session& session, const BenchOptions& options) {
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  Measured measured;
  int code = kExitOk;
  for (const Step& step : Steps(options)) {
    session.console().Note(StrCat("measuring: ", step.what));
    const auto report = step.benchmark({session, canceller}, step.options);
    if (canceller.is_cancelled()) return kExitInterrupted;
    if (!report.ok()) return report.status();
    if (!report->is_right()) {
      session.console().Err(StrCat("reeve: ", step.what, ": ", report->verified, " of ",
                                   report->tasks, " results were right\n"));
      code = kExitTaskFailed;
    }
    for (const Figure& figure : report->figures) measured.emplace(figure.name, figure);
  }
  session.console().Out(session.console().is_json() ? AsJson(measured) : AsText(measured));
  return std::max(code, WorstOf(measured));
}

}  // namespace reeve
