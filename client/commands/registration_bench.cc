#include "base/ids.h"
#include "client/commands/program.h"

namespace reeve {
namespace {

// Options that every benchmark has.
void AddBenchOptions(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--runs", bench->runs, "How many times")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  verb->add_option("--slots", bench->slots, "Threads of each worker that is started");
}

// Those of benchmarks that run on any cluster.
void AddLoadOptions(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--durability", bench->durability, "durable or ephemeral")
      ->capture_default_str();
  verb->add_option("--local", bench->local, "Start a cluster of so many workers for the run");
}

void AddTasksOption(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--tasks", bench->tasks, "How many tasks")
      ->check(CLI::Range(uint64_t{1}, uint64_t{kMaxTasksPerJob}));
}

void AddPayloadOption(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--payload-bytes", bench->payload_bytes, "Input and result of a task")
      ->capture_default_str();
}

void AddBatchOption(CLI::App* verb, BenchOptions* bench) {
  verb->add_option("--batch", bench->batch, "Tasks per message")->capture_default_str();
}

}  // namespace

void AddBenchVerbs(CLI::App* app, Program* p) {
  CLI::App* bench = AddVerb(app, "bench", "Measure the cluster, checking every result",
                            "reeve bench throughput --local 2 --json");
  bench->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& what, const std::string& example,
                       Benchmark benchmark) {
    CLI::App* verb = AddVerb(bench, name, what, example);
    AddBenchOptions(verb, &p->bench);
    verb->callback([p, benchmark] {
      p->action = [p, benchmark] { return RunBench(p->session, p->bench, benchmark); };
    });
    return verb;
  };
  CLI::App* throughput = add("throughput", "A million no-op tasks with payloads appended by stream",
                             "reeve bench throughput --tasks 1000000 --json", MeasureThroughput);
  throughput->add_flag("--array", p->bench.array, "One array instead of streamed payloads");
  throughput
      ->add_option("--streams", p->bench.streams, "Jobs that are fed and read at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  throughput->add_flag("--acknowledge-only", p->bench.acknowledge_only,
                       "Workers acknowledge without executing, to see the master alone");
  CLI::App* latency = add("latency", "One task per job and call",
                          "reeve bench latency --durability ephemeral", MeasureLatency);
  latency->add_option("--in-flight", p->bench.in_flight, "Calls at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 200));
  CLI::App* spawn =
      add("spawn", "Commands, beside xargs -P2", "reeve bench spawn --tasks 2000", MeasureSpawn);
  CLI::App* sleep = add("sleep", "Sleeps of 1 and 100 ms on 16 threads: what they cost beyond",
                        "reeve bench sleep", MeasureSleep);
  CLI::App* payload =
      add("payload", "Results of 1 MiB", "reeve bench payload --tasks 1000", MeasurePayload);
  CLI::App* http = add("http", "Requests to a server that answers after a second, all at once",
                       "reeve bench http --tasks 100", MeasureHttp);
  CLI::App* memory = add("memory", "Memory of the master for each task that waits",
                         "reeve bench memory", MeasureMemory);
  CLI::App* depth = add("depth", "The rate beside 10 M queued tasks, finished ones, 100,000 jobs",
                        "reeve bench depth --runs 5", MeasureDepth);
  CLI::App* restart = add("restart", "From kill -9 of the master until it assigns again",
                          "reeve bench restart --runs 5", MeasureRestart);
  CLI::App* workers = add("workers", "The rate with 1 to 8 workers; what 1,000 idle ones cost",
                          "reeve bench workers", MeasureWorkers);
  CLI::App* encryption = add("encryption", "The rate with TLS and CURVE against the rate without",
                             "reeve bench encryption --runs 5", MeasureEncryption);
  for (CLI::App* verb : {throughput, latency, spawn, payload, sleep})
    AddLoadOptions(verb, &p->bench);
  for (CLI::App* verb :
       {throughput, latency, spawn, payload, http, memory, depth, restart, workers, encryption})
    AddTasksOption(verb, &p->bench);
  for (CLI::App* verb : {throughput, latency, memory, depth, restart, workers, encryption})
    AddPayloadOption(verb, &p->bench);
  for (CLI::App* verb : {throughput, depth, workers, encryption}) AddBatchOption(verb, &p->bench);

  CLI::App* models =
      AddVerb(bench, "models", "The same work on each lane, and in Python's own ways",
              "reeve bench models --requests 100 --runs 5");
  models->add_option("--runs", p->models.runs, "How many times")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  models
      ->add_option("--requests", p->models.requests,
                   "How many requests to a server that waits; several numbers are several rows")
      ->check(CLI::Range(1, 10'000));
  models->add_option("--sums", p->models.sums, "How many sums of squares up to 500,000")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  models->add_option("--answer-after", p->models.answer_after, "Seconds that the server waits")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 60.0));
  models
      ->add_option("--workers", p->models.workers,
                   "Worker processes; several numbers are several rows")
      ->check(CLI::Range(1, 64));
  models->add_option("--plugin", p->models.plugins,
                     "A plug-in with sum_squares or blocking_get, instead of those beside reeve");
  models->add_option("--python", p->models.python, "The Python to compare with")
      ->capture_default_str();
  models->callback([p] { p->action = [p] { return RunBenchModels(p->session, p->models); }; });

  CLI::App* all = AddVerb(bench, "all", "Every target: bar, aim, and what is measured here",
                          "reeve bench all --json");
  AddBenchOptions(all, &p->bench);
  all->add_option("--local", p->bench.local, "Workers of the clusters that are started; default 2");
  // The callback of the verb knows whether the flag was given; five runs make a median.
  all->callback([p, all] {
    if (all->count("--runs") == 0) p->bench.runs = 5;
    p->action = [p] { return RunBenchAll(p->session, p->bench); };
  });
}

}  // namespace reeve
