// reeve-collector: a relay near many workers, between them and the master's collector.

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "CLI/CLI.hpp"
#include "base/accept_guard.h"
#include "base/descriptor_limit.h"
#include "base/log.h"
#include "base/memory_watch.h"
#include "base/strings.h"
#include "base/version.h"
#include "base/zmq_gate.h"
#include "base/zmq_socket.h"
#include "relay/relay.h"

namespace reeve {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitFault = 70;
constexpr int kExitConfig = 78;
constexpr uint64_t kLeastDescriptors = 512;
constexpr uint64_t kKeptFromConnections = 8;  // One of so many descriptors.
constexpr absl::Duration kGateAnswersWithin = absl::Seconds(5);

struct Flags {
  std::string master = "127.0.0.1:7522";
  std::string listen = "127.0.0.1";
  int port = 7530;
  uint64_t max_memory_mib = 1024;
};

int Fail(int code, std::string_view why) {
  std::fprintf(stderr, "reeve-collector: %s\n", std::string(why).c_str());
  return code;
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

bool IsHostAndPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  const int port = std::atoi(address.c_str() + colon + 1);
  return port >= 1 && port <= 65'535;
}

// At its limit of descriptors libzmq spins in accept; see base/accept_guard.h.
bool MakeRoomForConnections() {
  const uint64_t limit = RaiseDescriptorLimit();
  RefuseConnectionsFrom(
      static_cast<int>(std::min<uint64_t>(INT_MAX, limit - limit / kKeptFromConnections)));
  return limit >= kLeastDescriptors;
}

// Until a signal comes.
void LookAfter(ZmqGate& gate, const sigset_t& signals) {
  const timespec second{1, 0};
  for (;;) {
    const int signal = sigtimedwait(&signals, nullptr, &second);
    if (signal > 0) {
      REEVE_LOG_INFO("relay stops signal={}", signal);
      return;
    }
    if (gate.Answers(kGateAnswersWithin)) continue;
    REEVE_LOG_ERROR("the gate does not answer, ending");
    _exit(kExitFault);
  }
}

int Serve(const Flags& flags, const sigset_t& signals) {
  if (!MakeRoomForConnections())
    return Fail(kExitConfig,
                StrCat("at least ", kLeastDescriptors, " open files are needed (ulimit -n)"));
  WatchMemory(flags.max_memory_mib << 20, {static_cast<uint16_t>(flags.port)}, kExitFault);
  ZmqContext context(1);
  auto gate = ZmqGate::Start(context, [](const std::string&) { return false; });
  if (!gate.ok()) return Fail(kExitFault, ToStd(gate.status().message()));
  Relay relay(context, {.listen = StrCat("tcp://", flags.listen, ":", flags.port),
                        .master = StrCat("tcp://", flags.master)});
  if (absl::Status s = relay.Start(); !s.ok()) return Fail(kExitConfig, ToStd(s.message()));
  REEVE_LOG_INFO("relay serves endpoint={} master={}", relay.endpoint(), flags.master);
  LookAfter(**gate, signals);
  relay.Stop();
  return 0;
}

}  // namespace
}  // namespace reeve

int main(int argc, char** argv) {
  using namespace reeve;
  Flags flags;
  CLI::App app(
      "reeve-collector: a relay near many workers. It hands their results to the master in fewer, "
      "larger messages. Workers use it with --collector tcp://HOST:PORT.");
  app.add_option("--master", flags.master,
                 "HOST:PORT of the master's collector: by default the port of its API and two")
      ->capture_default_str();
  app.add_option("--listen", flags.listen, "Address to listen on")->capture_default_str();
  app.add_option("--port", flags.port, "Port to listen on")
      ->check(CLI::Range(1, 65'535))
      ->capture_default_str();
  app.add_option("--max-memory", flags.max_memory_mib,
                 "Resident memory in MiB above which it ends with 70; workers send again")
      ->check(CLI::Range(128, 1 << 24))
      ->capture_default_str();
  app.set_version_flag("--version", StrCat("reeve-collector ", kVersion));
  app.footer("Example: reeve-collector --master 127.0.0.1:7522 --port 7530");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (!IsHostAndPort(flags.master))
    return Fail(kExitConfig, StrCat("--master ", flags.master, ": HOST:PORT is wanted"));
  if (!IsLoopback(flags.listen))
    return Fail(kExitConfig,
                StrCat("--listen ", flags.listen,
                       ": only loopback addresses until the sockets can be encrypted"));
  // Blocked before any thread exists, so that sigtimedwait gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  InitLog("reeve-collector");
  return Serve(flags, signals);
}
