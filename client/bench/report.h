// What a benchmark found out, and how it is printed (ux.md, `reeve bench --json`).
//
// Thread: none.

#ifndef REEVE_CLIENT_BENCH_REPORT_H_
#define REEVE_CLIENT_BENCH_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/output/console.h"
#include "client/output/json.h"

namespace reeve {

// A number that was measured several times; `name` may be one of targets.h.
struct Figure {
  std::string name;
  std::string unit;  // `tasks/s`, `ms`, `x` (a ratio), `%`, `B`, `s`, `MB/s`.
  std::vector<double> values;
};

// A process of the cluster, or this one: its name (`master`, `w-1`, `client`), what it used in all
// runs together, and its memory at their end.
struct ProcessUse {
  std::string name;
  double cpu_seconds = 0;
  uint64_t resident_bytes = 0;
};

struct Report {
  std::string benchmark;
  uint64_t tasks = 0;
  uint32_t payload_bytes = 0;
  std::string durability;
  uint32_t batch = 0;
  std::vector<double> seconds;       // Of each run; empty where no rate is measured.
  std::vector<double> latencies_us;  // Samples of all runs.
  // Results that came back once each with the content expected, of the worst run.
  uint64_t verified = 0;
  uint64_t workers = 0, slots = 0, master_resident_bytes = 0;
  std::vector<ProcessUse> processes;
  std::vector<Figure> figures;

  // Another value of a figure.
  void Add(const std::string& name, const std::string& unit, double value);
  // Notes a run: its time, and what was verified.
  void AddRun(double run_seconds, uint64_t run_verified);
  bool is_right() const { return verified == tasks; }
};

// The value below which `share` of them lie; NaN if there are none.
double Percentile(std::vector<double> values, double share);

void Print(Console& console, const Report& report);

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_REPORT_H_
