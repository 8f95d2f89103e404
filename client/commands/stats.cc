#include <map>
#include <string>

#include "absl/strings/str_format.h"
#include "base/strings.h"
#include "client/commands/inspect.h"
#include "client/exit_code.h"
#include "client/output/table.h"

namespace reeve {
namespace {

absl::Duration Of(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

double SecondsOf(const google::protobuf::Duration& duration) {
  return absl::ToDoubleSeconds(Of(duration));
}

std::map<std::string, uint64_t> Reasons(const v1::HandlerStatistics& handler) {
  return {handler.failed_by_reason().begin(), handler.failed_by_reason().end()};
}

std::string AsTable(const v1::Statistics& statistics) {
  Table table(
      {"HANDLER", "CALLS", "FAILED", "TOTAL", "MEAN", "P50", "P90", "P95", "P99", "LONGEST"});
  std::string failures;
  for (const v1::HandlerStatistics& handler : statistics.handlers()) {
    const auto time = [](const google::protobuf::Duration& duration) {
      return HumanDuration(Of(duration));
    };
    table.Add({Printable(handler.handler(), 64),
               StrCat(handler.succeeded_count() + handler.failed_count()),
               StrCat(handler.failed_count()), time(handler.run_time()), time(handler.mean()),
               time(handler.p50()), time(handler.p90()), time(handler.p95()), time(handler.p99()),
               time(handler.longest())});
    for (const auto& [reason, count] : Reasons(handler))
      StrAppend(&failures, Printable(handler.handler(), 64), ": ", count, " ", reason, "\n");
  }
  return StrCat("since ", Ago(statistics.since_time()), "\n", table.ToString(), failures);
}

// https://prometheus.io/docs/instrumenting/exposition_formats/
std::string Label(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\n') {
      escaped += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return StrCat("\"", escaped, "\"");
}

std::string AsPrometheus(const v1::Statistics& statistics) {
  std::string calls =
      "# HELP reeve_handler_calls_total Attempts that ended, by outcome.\n"
      "# TYPE reeve_handler_calls_total counter\n";
  std::string times =
      "# HELP reeve_handler_run_seconds How long attempts ran.\n"
      "# TYPE reeve_handler_run_seconds summary\n";
  for (const v1::HandlerStatistics& handler : statistics.handlers()) {
    const std::string label = StrCat("handler=", Label(handler.handler()));
    const auto call = [&](std::string_view outcome, uint64_t count) {
      StrAppend(&calls, "reeve_handler_calls_total{", label, ",outcome=", Label(outcome), "} ",
                count, "\n");
    };
    call("SUCCEEDED", handler.succeeded_count());
    for (const auto& [reason, count] : Reasons(handler)) call(reason, count);
    const std::pair<const char*, const google::protobuf::Duration&> shares[] = {
        {"0.5", handler.p50()},
        {"0.9", handler.p90()},
        {"0.95", handler.p95()},
        {"0.99", handler.p99()},
        {"1", handler.longest()}};
    for (const auto& [share, duration] : shares)
      StrAppend(&times, "reeve_handler_run_seconds{", label, ",quantile=\"", share, "\"} ",
                absl::StrFormat("%.9g", SecondsOf(duration)), "\n");
    StrAppend(&times, "reeve_handler_run_seconds_sum{", label, "} ",
              absl::StrFormat("%.9g", SecondsOf(handler.run_time())), "\n",
              "reeve_handler_run_seconds_count{", label, "} ", handler.timed_count(), "\n");
  }
  const double since = static_cast<double>(statistics.since_time().seconds()) +
                       statistics.since_time().nanos() / 1e9;
  return StrCat(calls, times,
                "# HELP reeve_statistics_since_seconds When these counts began, since 1970.\n"
                "# TYPE reeve_statistics_since_seconds gauge\n"
                "reeve_statistics_since_seconds ",
                absl::StrFormat("%.3f", since), "\n");
}

}  // namespace

absl::StatusOr<int> RunStats(Session& session, const StatsOptions& options) {
  if (options.prometheus && session.console().is_json())
    return UsageError("--prometheus and --json exclude each other");
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto statistics = (*client)->GetStatistics(options.reset);
  if (!statistics.ok()) return statistics.status();
  if (options.prometheus) {
    session.console().Out(AsPrometheus(*statistics));
  } else {
    session.Print(*statistics, AsTable(*statistics));
  }
  return kExitOk;
}

}  // namespace reeve
