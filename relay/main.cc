// reeve-collector: a relay near many workers, between them and the master's collector.

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "CLI/CLI.hpp"
#include "base/accept_guard.h"
#include "base/host_address.h"
#include "base/link_keys.h"
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
constexpr absl::Duration kGateAnswersWithin = absl::Seconds(5);

struct Flags {
  std::string master = "127.0.0.1:7522";
  std::string listen = "127.0.0.1";
  int port = 7530;
  std::string key_file;
  uint64_t max_memory_mib = 1024;
};

int Fail(int code, std::string_view why) {
  std::fprintf(stderr, "reeve-collector: %s\n", std::string(why).c_str());
  return code;
}

// Errors: INVALID_ARGUMENT; FAILED_PRECONDITION  beyond loopback without keys.
absl::StatusOr<LinkKeys> KeysFor(const Flags& flags) {
  const auto master = ParseHostPort(flags.master);
  if (!master.ok()) return master.status();
  if (!flags.key_file.empty()) return ReadLinkKeys(flags.key_file);
  for (const std::string& host : {flags.listen, master->host}) {
    if (IsLoopbackHost(host)) continue;
    return absl::FailedPreconditionError(
        StrCat(host,
               " is beyond this machine, and no key file was given; run `reeve worker join "
               "--relay MASTER:PORT --token-file FILE --state-dir DIR` once, which makes one"));
  }
  return LinkKeys();
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
  if (absl::Status s = MakeRoomForConnections(); !s.ok())
    return Fail(kExitConfig, ToStd(s.message()));
  WatchMemory(flags.max_memory_mib << 20, {static_cast<uint16_t>(flags.port)}, kExitFault);
  const auto keys = KeysFor(flags);
  if (!keys.ok()) return Fail(kExitConfig, ToStd(keys.status().message()));
  const bool has_keys = !keys->own.secret_key.empty();
  ZmqContext context(1);
  // Who a worker is, is for the master to decide, which gets its key with all that it says.
  auto gate = ZmqGate::Start(
      context, [has_keys](const std::string&) { return has_keys; },
      has_keys ? ZmqGate::Strangers::kNamed : ZmqGate::Strangers::kKeptOut);
  if (!gate.ok()) return Fail(kExitFault, ToStd(gate.status().message()));
  Relay relay(context, {.listen = StrCat("tcp://",
                                         WithPort(flags.listen, static_cast<uint32_t>(flags.port))),
                        .master = StrCat("tcp://", flags.master),
                        .curve = keys->own,
                        .server_key = keys->server_key,
                        .next_server_key = keys->next_server_key});
  if (absl::Status s = relay.Start(); !s.ok()) return Fail(kExitConfig, ToStd(s.message()));
  REEVE_LOG_INFO("relay serves endpoint={} master={} key={}", relay.endpoint(), flags.master,
                 has_keys ? keys->own.public_key : "none");
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
  app.add_option("--key-file", flags.key_file,
                 "The relay's keys for encrypted links, as `reeve worker join --relay` makes them; "
                 "needed beyond loopback");
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
