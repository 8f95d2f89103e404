#include "worker/runtime/idle_links.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/doorbell.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "base/zmq_socket.h"

namespace reeve {
namespace {

constexpr int kExitConfig = 78;
// The connections are opened over so long.
constexpr absl::Duration kOpenWithin = absl::Seconds(1);
constexpr absl::Duration kLongestSleep = absl::Seconds(1);
constexpr absl::Duration kGoodbyeWithin = absl::Milliseconds(500);
constexpr int kEventsPerTurn = 256;
constexpr uint32_t kDoorbell = kMaxIdleLinks;  // Beyond the indexes of links.

// As a worker's, but without a slot.
std::vector<v1::LaneStatus> NoSlots() {
  std::vector<v1::LaneStatus> statuses(2);
  statuses[0].set_lane(v1::THREAD);
  statuses[1].set_lane(v1::PROCESS);
  return statuses;
}

}  // namespace

struct IdleLinks::Impl {
  struct Link {
    Link(uint32_t i, const AgentOptions& options, absl::Duration now)
        : index(i), agent(options, now) {}

    const uint32_t index;
    const SessionId session{RandomId()};
    WorkerIdentity identity;
    Agent agent;
    std::unique_ptr<ZmqSocket> socket;  // Null: the link has ended.
    // First heartbeat after the Welcome: the link's place in the interval.
    absl::Duration beats_from = -absl::InfiniteDuration();
    absl::Duration due;  // Its entry in `due`.
    bool attached = false;
  };

  explicit Impl(Options given) : options(std::move(given)) {}
  ~Impl() { close(poller); }

  int Run();
  void TakeDrains(absl::Duration now);
  void OpenDue(absl::Duration now);
  absl::Status Open(absl::Duration now);
  void TickDue(absl::Duration now);
  void Attend(Link& link, absl::Duration now);
  void OnMessage(Link& link, absl::Duration now, const LinkMessage& message);
  void OnWelcome(Link& link, absl::Duration now, const LinkMessage& message);
  void Carry(Link& link, absl::Duration now);
  void Send(Link& link, FrameType type, std::string body);
  void Schedule(Link& link);
  void End(Link& link, int code, const std::string& why);
  int SleepMs(absl::Duration now) const;
  absl::Duration next_opening() const {
    return began + kOpenWithin * static_cast<double>(links.size()) / options.count;
  }
  bool all_opened() const { return drained || links.size() == options.count; }

  const Options options;
  const std::vector<v1::LaneStatus> lanes = NoSlots();
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  const absl::Duration began = Monotonic();
  Doorbell doorbell;
  std::atomic<bool> drain{false};
  bool drained = false;
  ZmqContext context{1};
  std::vector<std::unique_ptr<Link>> links;
  std::set<std::pair<absl::Duration, uint32_t>> due;  // Next tick of each link that lives.
  uint32_t attached = 0, ended = 0;
  int exit = 0;
};

// ---- What comes in ----

void IdleLinks::Impl::OnWelcome(Link& link, absl::Duration now, const LinkMessage& message) {
  link::v1::Welcome wire;
  if (!wire.ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size())))
    return;
  auto welcome = FromWire(wire, message.head.epoch);
  if (!welcome.ok()) return;
  // The place depends on the index alone: links that were welcomed together do not beat together.
  const absl::Duration interval = welcome->heartbeat;
  const absl::Duration place = began + interval * static_cast<double>(link.index) / options.count;
  link.beats_from = place + absl::Ceil(now - place, interval);
  link.agent.Step(now, *std::move(welcome));
  if (!link.agent.welcomed() || std::exchange(link.attached, true)) return;
  if (++attached < options.count) return;
  std::printf("%u links are attached\n", attached);
  std::fflush(stdout);
}

void IdleLinks::Impl::OnMessage(Link& link, absl::Duration now, const LinkMessage& message) {
  if (!IsHeeded(message.head, link.session, link.agent.epoch())) return;
  link.agent.Step(now, agent::Heard{});
  switch (message.head.type) {
    case FrameType::kWelcome: return OnWelcome(link, now, message);
    case FrameType::kWhoAreYou: return link.agent.Step(now, agent::AskedWho{});
    case FrameType::kDrain: return link.agent.Step(now, agent::Drain{});
    case FrameType::kHeartbeatAck: {
      link::v1::HeartbeatAck wire;
      if (wire.ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size())))
        link.agent.Step(now, agent::HeartbeatAcked{wire.number(), wire.send_held()});
      return;
    }
    default: return;  // About work, which is never assigned without a handler or a slot.
  }
}

void IdleLinks::Impl::Attend(Link& link, absl::Duration now) {
  // Sending may take the signal of what came in meanwhile (zmq_socket.h): looked at again.
  do {
    while (link.socket != nullptr) {
      ReceiveResult result = link.socket->Receive();
      if (result.drained) break;
      if (result.message.has_value()) {
        OnMessage(link, now, *result.message);
      } else if (absl::IsUnimplemented(result.rejected)) {
        End(link, kExitConfig,
            StrCat("the master speaks link protocol ", result.protocol, ", these links ",
                   kLinkProtocol));
      }
    }
    Carry(link, now);
  } while (link.socket != nullptr && link.socket->HasInput());
  Schedule(link);
}

// ---- What goes out ----

void IdleLinks::Impl::Send(Link& link, FrameType type, std::string body) {
  FrameHead head;
  head.type = type;
  head.epoch = link.agent.epoch();
  head.session = link.session;
  (void)link.socket->Send({}, head, std::move(body));
}

void IdleLinks::Impl::Carry(Link& link, absl::Duration now) {
  if (link.socket == nullptr) return;
  const AgentEffects effects = link.agent.TakeEffects(now);
  if (effects.hello.has_value()) {
    for (std::string& page : ToWire(*effects.hello, link.identity, lanes))
      Send(link, FrameType::kHello, std::move(page));
  }
  if (effects.heartbeat.has_value())
    Send(link, FrameType::kHeartbeat, ToWire(*effects.heartbeat, lanes).SerializeAsString());
  if (effects.goodbye.has_value()) {
    link::v1::Goodbye wire;
    wire.set_reason(*effects.goodbye);
    Send(link, FrameType::kGoodbye, wire.SerializeAsString());
  }
  if (effects.exit.has_value()) End(link, effects.exit->first, effects.exit->second);
}

void IdleLinks::Impl::Schedule(Link& link) {
  due.erase({link.due, link.index});
  if (link.socket == nullptr) return;
  link.due = std::max(link.agent.NextDeadline(), link.beats_from);
  due.insert({link.due, link.index});
}

// One link that fails ends all: what is measured would not be what was asked for.
void IdleLinks::Impl::End(Link& link, int code, const std::string& why) {
  epoll_ctl(poller, EPOLL_CTL_DEL, link.socket->fd(), nullptr);
  link.socket.reset();
  ++ended;
  if (code == 0 || exit != 0) return;
  exit = code;
  std::fprintf(stderr, "reeve-worker: %s: %s\n", link.identity.worker_id.c_str(), why.c_str());
  drain.store(true);
}

// ---- The loop ----

absl::Status IdleLinks::Impl::Open(absl::Duration now) {
  const auto index = static_cast<uint32_t>(links.size());
  ZmqSocket::Options socket_options;
  socket_options.linger = kGoodbyeWithin;
  auto socket = ZmqSocket::ConnectDealer(context, options.dispatch_endpoint, socket_options);
  if (!socket.ok()) return socket.status();
  Link& link = *links.emplace_back(std::make_unique<Link>(index, options.agent, now));
  link.socket = *std::move(socket);
  link.identity = options.identity;
  link.identity.worker_id = StrCat("idle-", index + 1);
  link.identity.process_id = MakeUuid();
  link.identity.handlers.clear();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = index;
  if (epoll_ctl(poller, EPOLL_CTL_ADD, link.socket->fd(), &event) != 0)
    return absl::ResourceExhaustedError("cannot watch another connection");
  // Not sent before there is a connection, but repeated.
  link.agent.Step(now, agent::Begin{});
  Attend(link, now);
  return absl::OkStatus();
}

void IdleLinks::Impl::OpenDue(absl::Duration now) {
  while (!all_opened() && now >= next_opening()) {
    const absl::Status opened = Open(now);
    if (opened.ok()) continue;
    std::fprintf(stderr, "reeve-worker: %s\n", std::string(ToStd(opened.message())).c_str());
    exit = kExitConfig;
    drain.store(true);
    return;
  }
}

void IdleLinks::Impl::TakeDrains(absl::Duration now) {
  if (!drain.load() || std::exchange(drained, true)) return;
  for (const auto& link : links) {
    if (link->socket == nullptr) continue;
    link->agent.Step(now, agent::Drain{});
    Attend(*link, now);
  }
}

// A tick is told the time it was due, not the time it is: links that are late together would keep
// beating together.
void IdleLinks::Impl::TickDue(absl::Duration now) {
  while (!due.empty() && due.begin()->first <= now) {
    const auto [at, index] = *due.begin();
    links[index]->agent.Step(at, agent::Tick{});
    Attend(*links[index], at);
  }
}

int IdleLinks::Impl::SleepMs(absl::Duration now) const {
  if (drain.load() && !drained) return 0;
  absl::Duration next = now + kLongestSleep;
  if (!due.empty()) next = std::min(next, due.begin()->first);
  if (!all_opened()) next = std::min(next, next_opening());
  const absl::Duration sleep = std::max(next - now, absl::ZeroDuration());
  return static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(sleep, absl::Milliseconds(1))));
}

int IdleLinks::Impl::Run() {
  epoll_event ring{};
  ring.events = EPOLLIN;
  ring.data.u32 = kDoorbell;
  epoll_ctl(poller, EPOLL_CTL_ADD, doorbell.fd(), &ring);
  epoll_event events[kEventsPerTurn];
  while (!all_opened() || ended < links.size()) {
    const int count = epoll_wait(poller, events, kEventsPerTurn, SleepMs(Monotonic()));
    const absl::Duration now = Monotonic();
    // First of all, so that no agent hears of a later time before the time it is due.
    TickDue(now);
    for (int i = 0; i < count; ++i) {
      const uint32_t index = events[i].data.u32;
      if (index == kDoorbell) {
        doorbell.Answer();
      } else if (links[index]->socket != nullptr) {
        Attend(*links[index], now);
      }
    }
    OpenDue(now);
    TakeDrains(now);
  }
  REEVE_LOG_INFO("idle links end count={}", ended);
  return exit;
}

IdleLinks::IdleLinks(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
IdleLinks::~IdleLinks() = default;
int IdleLinks::Run() { return impl_->Run(); }
void IdleLinks::Drain() {
  impl_->drain.store(true);
  impl_->doorbell.Ring();
}

}  // namespace reeve
