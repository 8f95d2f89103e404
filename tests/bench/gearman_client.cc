// A gearman client for the comparison of peers.py: sends `echo` tasks of 16 bytes and checks every
// result.
//
//   gearman_client PORT throughput TASKS CLIENTS BATCH
//       foreground tasks from CLIENTS connections, each with a thread of its own, with BATCH tasks
//       sent before their results are awaited
//   gearman_client PORT latency CALLS
//       one foreground call at a time
//
// Prints {"tasks", "verified", "seconds"}, and for calls {"p50_us", "p99_us"} too, as JSON on one
// line; verified counts the results that came back once each with the content expected. Exit code
// 1: gearman reported an error, which is on stderr.
//
// Compiled by peers.py against Debian's libgearman-dev; not part of the Bazel build, which does not
// need that package.

#include <libgearman/gearman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kPayloadBytes = 16;
constexpr int kTimeoutMs = 60'000;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string Payload(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kPayloadBytes - std::min<size_t>(digits.size(), kPayloadBytes), '0') + digits;
}

[[noreturn]] void Fail(gearman_client_st* client, const char* what) {
  std::fprintf(stderr, "gearman_client: %s: %s\n", what, gearman_client_error(client));
  std::exit(1);
}

// A connection that sends the tasks numbered [first, end).
class Client {
 public:
  Client(in_port_t port, uint64_t first, uint64_t end)
      : first_(first), end_(end), is_seen_(end - first), client_(gearman_client_create(nullptr)) {
    gearman_client_add_server(client_, "127.0.0.1", port);
    gearman_client_set_timeout(client_, kTimeoutMs);
    gearman_client_set_complete_fn(client_, OnComplete);
  }
  ~Client() { gearman_client_free(client_); }

  void Send(uint64_t batch);
  void Call(std::vector<double>* latencies_us);
  uint64_t verified() const { return verified_; }

 private:
  static gearman_return_t OnComplete(gearman_task_st* task);
  void Verify(uint64_t number, const void* result, size_t bytes);

  const uint64_t first_, end_;
  std::vector<bool> is_seen_;
  uint64_t verified_ = 0;
  gearman_client_st* const client_;
};

void Client::Verify(uint64_t number, const void* result, size_t bytes) {
  if (bytes != kPayloadBytes || std::memcmp(result, Payload(number).data(), bytes) != 0 ||
      is_seen_[number - first_])
    return;
  is_seen_[number - first_] = true;
  ++verified_;
}

// What a task's context points at.
struct Sent {
  Client* client;
  uint64_t number;
  std::string payload;
};

gearman_return_t Client::OnComplete(gearman_task_st* task) {
  const auto* sent = static_cast<const Sent*>(gearman_task_context(task));
  sent->client->Verify(sent->number, gearman_task_data(task), gearman_task_data_size(task));
  return GEARMAN_SUCCESS;
}

void Client::Send(uint64_t batch) {
  std::vector<Sent> sent(batch);
  for (uint64_t at = first_; at < end_; at += batch) {
    const uint64_t count = std::min(batch, end_ - at);
    for (uint64_t i = 0; i < count; ++i) {
      sent[i] = {this, at + i, Payload(at + i)};
      gearman_return_t added;
      gearman_client_add_task(client_, nullptr, &sent[i], "echo", nullptr, sent[i].payload.data(),
                              kPayloadBytes, &added);
      if (gearman_failed(added)) Fail(client_, "add_task");
    }
    if (gearman_failed(gearman_client_run_tasks(client_))) Fail(client_, "run_tasks");
    gearman_client_task_free_all(client_);
  }
}

void Client::Call(std::vector<double>* latencies_us) {
  for (uint64_t number = first_; number < end_; ++number) {
    const std::string payload = Payload(number);
    const double began = Seconds();
    size_t bytes = 0;
    gearman_return_t outcome;
    void* result = gearman_client_do(client_, "echo", nullptr, payload.data(), payload.size(),
                                     &bytes, &outcome);
    if (gearman_failed(outcome)) Fail(client_, "do");
    latencies_us->push_back((Seconds() - began) * 1e6);
    Verify(number, result, bytes);
    std::free(result);
  }
}

// As `reeve bench` computes it.
double Percentile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

int RunThroughput(in_port_t port, uint64_t tasks, uint64_t clients, uint64_t batch) {
  std::vector<uint64_t> verified(clients);
  std::vector<std::thread> threads;
  const double began = Seconds();
  for (uint64_t i = 0; i < clients; ++i) {
    threads.emplace_back([=, &verified] {
      Client client(port, tasks * i / clients, tasks * (i + 1) / clients);
      client.Send(batch);
      verified[i] = client.verified();
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = Seconds() - began;
  uint64_t sum = 0;
  for (const uint64_t count : verified) sum += count;
  std::printf("{\"tasks\": %llu, \"verified\": %llu, \"seconds\": %.9f}\n",
              static_cast<unsigned long long>(tasks), static_cast<unsigned long long>(sum),
              seconds);
  return 0;
}

int RunLatency(in_port_t port, uint64_t calls) {
  Client client(port, 0, calls);
  std::vector<double> latencies_us;
  const double began = Seconds();
  client.Call(&latencies_us);
  const double seconds = Seconds() - began;
  std::sort(latencies_us.begin(), latencies_us.end());
  std::printf(
      "{\"tasks\": %llu, \"verified\": %llu, \"seconds\": %.9f, \"p50_us\": %.3f, \"p99_us\": "
      "%.3f}\n",
      static_cast<unsigned long long>(calls), static_cast<unsigned long long>(client.verified()),
      seconds, Percentile(latencies_us, 0.5), Percentile(latencies_us, 0.99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 3 ? argv[2] : "";
  const auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
  if (mode == "throughput" && argc == 6 && number(4) > 0 && number(5) > 0) {
    return RunThroughput(static_cast<in_port_t>(number(1)), number(3), number(4), number(5));
  }
  if (mode == "latency" && argc == 4 && number(3) > 0) {
    return RunLatency(static_cast<in_port_t>(number(1)), number(3));
  }
  std::fprintf(stderr,
               "usage: gearman_client PORT throughput TASKS CLIENTS BATCH | PORT latency CALLS\n");
  return 2;
}
