#include "client/bench/report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"
#include "client/bench/targets.h"
#include "client/output/table.h"

namespace reeve {
namespace {

std::vector<double> Rates(const Report& report) {
  std::vector<double> rates;
  for (const double seconds : report.seconds)
    rates.push_back(static_cast<double>(report.tasks) / seconds);
  return rates;
}

// Three significant digits, or all before the point.
std::string Short(double value) {
  char text[32];
  std::snprintf(text, sizeof text, std::fabs(value) >= 100 ? "%.0f" : "%.3g", value);
  return text;
}

std::string WithUnit(double value, const std::string& unit) {
  if (unit == "tasks/s") return HumanCount(value) + " tasks/s";
  return StrCat(Short(value), " ", unit);
}

void WriteRuns(const Report& report, JsonWriter* json) {
  const std::vector<double> rates = Rates(report);
  json->Key("runs").BeginArray();
  for (size_t i = 0; i < rates.size(); ++i) {
    json->BeginObject().Key("seconds").Number(report.seconds[i]);
    json->Key("tasks_per_second").Number(rates[i]).EndObject();
  }
  json->EndArray().Key("median_tasks_per_second").Number(Percentile(rates, 0.5));
}

void WriteProcesses(const Report& report, JsonWriter* json) {
  json->Key("processes").BeginArray();
  for (const ProcessUse& process : report.processes) {
    json->BeginObject().Key("name").String(process.name);
    json->Key("cpu_seconds").Number(process.cpu_seconds);
    json->Key("resident_bytes").Number(process.resident_bytes).EndObject();
  }
  json->EndArray();
}

void WriteFigures(const Report& report, JsonWriter* json) {
  json->Key("figures").BeginArray();
  for (const Figure& figure : report.figures) {
    json->BeginObject().Key("name").String(figure.name).Key("unit").String(figure.unit);
    json->Key("median").Number(Percentile(figure.values, 0.5)).Key("values").BeginArray();
    for (const double value : figure.values) json->Number(value);
    json->EndArray().EndObject();
  }
  json->EndArray();
}

std::string AsJson(const Report& report) {
  JsonWriter json;
  json.BeginObject().Key("benchmark").String(report.benchmark).Key("tasks").Number(report.tasks);
  json.Key("payload_bytes").Number(uint64_t{report.payload_bytes});
  json.Key("workers").Number(report.workers).Key("slots").Number(report.slots);
  json.Key("durability").String(report.durability).Key("batch").Number(uint64_t{report.batch});
  WriteRuns(report, &json);
  // Without samples: null.
  json.Key("p50_us").Number(Percentile(report.latencies_us, 0.5));
  json.Key("p99_us").Number(Percentile(report.latencies_us, 0.99));
  json.Key("results_verified").Number(report.verified);
  json.Key("master_resident_bytes").Number(report.master_resident_bytes);
  WriteProcesses(report, &json);
  WriteFigures(report, &json);
  return json.EndObject().text() + "\n";
}

// What all runs took of each process, and a task of them: where the time goes.
std::string ProcessLines(const Report& report) {
  std::string text;
  const double tasks = static_cast<double>(report.tasks * report.seconds.size());
  for (const ProcessUse& process : report.processes) {
    const size_t width = process.name.size();
    StrAppend(&text, process.name, std::string(width < 10 ? 11 - width : 1, ' '),
              Short(process.cpu_seconds), " s of CPU, ");
    if (tasks > 0) StrAppend(&text, Short(process.cpu_seconds * 1e6 / tasks), " us a task, ");
    StrAppend(&text, HumanBytes(process.resident_bytes), " resident\n");
  }
  return text;
}

std::string FigureLines(const Report& report) {
  std::string text;
  for (const Figure& figure : report.figures) {
    StrAppend(&text, figure.name, "  ", WithUnit(Percentile(figure.values, 0.5), figure.unit));
    if (figure.values.size() > 1) {
      StrAppend(&text, " (", Short(Percentile(figure.values, 0)), " to ",
                Short(Percentile(figure.values, 1)), ", ", figure.values.size(), " runs)");
    }
    if (const Target* target = FindTarget(figure.name); target != nullptr) {
      StrAppend(&text, "; ", target->id, ": bar ", WithUnit(target->bar, figure.unit), ", aim ",
                WithUnit(target->aim, figure.unit));
    }
    text += "\n";
  }
  return text;
}

std::string AsText(const Report& report) {
  const std::vector<double> rates = Rates(report);
  std::string text = StrCat(report.benchmark, ": ", report.tasks, " tasks, ", report.durability);
  if (report.workers > 0) {
    StrAppend(&text, ", ", report.workers, " workers with ", report.slots, " threads in all");
  }
  text += "\n";
  if (!rates.empty()) {
    StrAppend(&text, "rate       ", HumanCount(Percentile(rates, 0.5)), " tasks/s (",
              HumanCount(Percentile(rates, 0)), " to ", HumanCount(Percentile(rates, 1)), ", ",
              rates.size(), " runs)\n");
  }
  if (report.batch > 1) StrAppend(&text, "batch      ", report.batch, " tasks a message\n");
  if (!report.latencies_us.empty()) {
    StrAppend(&text, "latency    p50 ", static_cast<int64_t>(Percentile(report.latencies_us, 0.5)),
              " us, p99 ", static_cast<int64_t>(Percentile(report.latencies_us, 0.99)), " us\n");
  }
  StrAppend(&text, "verified   ", report.verified, " of ", report.tasks, " results\n");
  return text + ProcessLines(report) + FigureLines(report);
}

}  // namespace

void Report::Add(const std::string& name, const std::string& unit, double value) {
  for (Figure& figure : figures) {
    if (figure.name != name) continue;
    figure.values.push_back(value);
    return;
  }
  figures.push_back({name, unit, {value}});
}

void Report::AddRun(double run_seconds, uint64_t run_verified) {
  verified = seconds.empty() ? run_verified : std::min(verified, run_verified);
  seconds.push_back(run_seconds);
}

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

void Print(Console& console, const Report& report) {
  console.Out(console.is_json() ? AsJson(report) : AsText(report));
}

}  // namespace reeve
