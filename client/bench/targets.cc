#include "client/bench/targets.h"

namespace reeve {

const std::vector<Target>& Targets() {
  static const auto& targets = *new std::vector<Target>{
      {"P1", "array_rate", "array of no-op tasks, durable", 500e3, 3e6, true},
      {"P2", "stream_rate", "tasks with payloads, streamed both ways, durable", 300e3, 1.2e6, true},
      {"P3", "stream_rate_ephemeral", "the same, ephemeral", 400e3, 1.5e6, true},
      {"P4", "call_rate", "one job per task, 100 calls in flight, durable", 5e3, 15e3, true},
      {"P5", "ephemeral_p50", "one task in one call, ephemeral, p50", 0.6, 0.4, false},
      {"P5", "ephemeral_p99", "the same, p99", 3, 1.5, false},
      {"P6", "durable_p50", "one task in one call, durable, p50", 1.4, 0.9, false},
      {"P6", "durable_p99", "the same, p99", 6, 3, false},
      {"P7", "spawn_ratio", "/bin/true against xargs -P2", 0.8, 1.3, true},
      {"P8", "overhead_1ms", "10,000 sleeps of 1 ms on 16 threads, overhead", 50, 15, false},
      {"P8", "overhead_100ms", "1,000 sleeps of 100 ms, overhead", 3, 1, false},
      {"P9", "array_task_bytes", "memory per queued task of an array", 4, 1, false},
      {"P9", "payload_task_bytes", "the same with a payload, beyond it", 200, 48, false},
      {"P10", "depth_ratio", "rate beside 10 M queued tasks, against 10 k", 0.8, 0.95, true},
      {"P11", "restart_array", "kill -9 with an array of 1 M pending", 10, 2, false},
      {"P11", "restart_stream", "kill -9 with 1 M streamed payloads pending", 10, 2, false},
      {"P11", "restart_jobs", "kill -9 with 100,000 one-task jobs pending", 10, 2, false},
      {"P12", "idle_workers_cpu", "1,000 idle workers, CPU of the master", 10, 2, false},
      {"P13", "http_seconds", "10,000 `http` tasks of 1 s in one worker", 3, 1.5, false},
      {"P13", "http_mib", "memory of that worker", 1024, 300, false},
      {"P14", "payload_rate", "results of 1 MiB, durable, streamed", 200, 500, true},
      {"P15", "width_ratio", "rate with 1 to 8 workers, worst against best", 0.8, 0.9, true},
  };
  return targets;
}

const Target* FindTarget(std::string_view figure) {
  for (const Target& target : Targets()) {
    if (target.figure == figure) return &target;
  }
  return nullptr;
}

}  // namespace reeve
