#include "master/dispatch/dispatcher.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/version.h"
#include "master/access/access.h"
#include "master/dispatch/link_messages.h"
#include "master/dispatch/session_registry.h"

namespace reeve {
namespace {

constexpr size_t kMaxRejected = 1000;
constexpr absl::Duration kKeepRejected = absl::Hours(1);
constexpr uint32_t kMaxHelloPages = 256;
constexpr size_t kMaxPartialHellos = 1024;

}  // namespace

struct Dispatcher::Impl {
  ZmqContext* context = nullptr;
  Options options;
  std::unique_ptr<ZmqSocket> socket;
  struct Connection {
    std::string route;
    std::string user;  // As the gate named it.
    std::string worker_id;
    absl::Duration last_seen;
  };
  std::map<SessionId, Connection> connections;
  std::map<std::string, SessionId> session_of;
  struct Partial {
    uint32_t next_page = 0;
    std::string user;
    link::v1::Hello hello;
  };
  std::map<SessionId, Partial> partial;
  std::deque<RejectedWorker> rejected;
  uint64_t malformed = 0;

  absl::Status SendTo(const std::string& route, SessionId session, FrameType type, std::string body,
                      Buffer blob = {}) {
    FrameHead head;
    head.type = type;
    head.epoch = options.epoch;
    head.session = session;
    return socket->Send(route, head, std::move(body), std::move(blob));
  }

  void Send(SessionId session, FrameType type, std::string body, Buffer blob,
            std::vector<Event>* events) {
    const auto it = connections.find(session);
    if (it == connections.end()) return;
    const absl::Status status =
        SendTo(it->second.route, session, type, std::move(body), std::move(blob));
    if (absl::IsNotFound(status)) events->push_back(ConnectionClosed{session});
  }

  void Reject(const std::string& route, SessionId session, uint64_t number, RejectedWorker worker) {
    REEVE_LOG_WARNING("worker refused worker_id={} host={} why={}", worker.worker_id,
                      worker.hostname, worker.reason);
    link::v1::Welcome welcome;
    welcome.set_number(number);
    welcome.set_refused(worker.reason);
    (void)SendTo(route, session, FrameType::kWelcome, welcome.SerializeAsString());
    worker.time = absl::Now();
    while (!rejected.empty() && (rejected.size() >= kMaxRejected ||
                                 worker.time - rejected.front().time > kKeepRejected)) {
      rejected.pop_front();
    }
    rejected.push_back(std::move(worker));
  }

  void OnSkew(const ReceiveResult& result);
  void OnMessage(LinkMessage& message, std::vector<Event>* events);
  void OnHello(LinkMessage& message, std::vector<Event>* events);
  void OnHeartbeat(LinkMessage& message, std::vector<Event>* events);
  std::string WelcomeBytes(const SendWelcome& welcome) const;

  template <typename Wire>
  bool Parse(const LinkMessage& message, Wire* wire) {
    if (wire->ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size())))
      return true;
    ++malformed;
    return false;
  }
  // Of a session that said Hello, on the connection it said it on, by one who may still speak.
  bool Known(const LinkMessage& message) {
    const auto it = connections.find(message.head.session);
    if (it == connections.end() || it->second.route != message.route ||
        it->second.user != message.user || !MaySpeak(message.user)) {
      return false;
    }
    it->second.last_seen = Monotonic();
    return true;
  }
  bool MaySpeak(const std::string& user) const {
    return user == kLocalUser || options.access->IsEnrolled(user);
  }
  absl::Status Bind();
  std::string WhyNot(const LinkMessage& message, const link::v1::Hello& hello) const;
  void Forget(std::map<SessionId, Connection>::iterator it);
  void EndRevoked(std::vector<Event>* events);
};

// When called again, a new socket takes the place of the old one. Sessions stay: a heartbeat by a
// new connection is asked who it is, and answered as after any cut.
absl::Status Dispatcher::Impl::Bind() {
  ZmqSocket::Options socket_options;
  socket_options.io_affinity = 1;
  socket_options.linger = absl::Milliseconds(200);
  socket_options.curve = options.curve;
  socket_options.require_user = true;
  return BindRouterAnew(*context, options.endpoints, socket_options, &socket);
}

// Why this worker may not join; empty: it may.
std::string Dispatcher::Impl::WhyNot(const LinkMessage& message,
                                     const link::v1::Hello& hello) const {
  if (message.user == kLocalUser) {
    const auto principal = options.access->Identify(hello.token(), absl::Now());
    if (principal.ok() && principal->has(kRoleWorker | kRoleAdmin)) return {};
    return "wrong token: give the worker the master's token file";
  }
  const auto enrolled = options.access->WorkerOf(message.user);
  if (!enrolled.ok()) return "its key is not enrolled, or was revoked; join again";
  if (enrolled->is_relay) return "its key was enrolled for a relay; a worker needs one of its own";
  if (enrolled->worker_id != hello.worker_id())
    return "its key was enrolled for another worker; join with the state folder's own key";
  const auto known = connections.find(message.head.session);
  if (known != connections.end() && known->second.user != message.user)
    return "the session is another worker's";
  return {};
}

void Dispatcher::Impl::Forget(std::map<SessionId, Connection>::iterator it) {
  const auto of_worker = session_of.find(it->second.worker_id);
  if (of_worker != session_of.end() && of_worker->second == it->first) session_of.erase(of_worker);
  if (options.sessions != nullptr) options.sessions->Remove(it->first);
  connections.erase(it);
}

void Dispatcher::Impl::EndRevoked(std::vector<Event>* events) {
  for (auto it = connections.begin(); it != connections.end();) {
    const auto next = std::next(it);
    if (!MaySpeak(it->second.user)) {
      RejectedWorker worker{it->second.worker_id, {}, "its key was revoked; join again", {}};
      const std::string route = it->second.route;
      const SessionId session = it->first;
      Forget(it);
      Reject(route, session, 0, std::move(worker));
      // Not as after a Goodbye: it may still run what it holds.
      events->push_back(ConnectionClosed{session});
    }
    it = next;
  }
}

void Dispatcher::Impl::OnSkew(const ReceiveResult& result) {
  RejectedWorker worker;
  worker.reason = StrCat("this master speaks link protocol ", kLinkProtocol, ", the worker speaks ",
                         result.protocol, "; use reeve-worker ", kVersion);
  Reject(result.route, {}, 0, std::move(worker));
}

void Dispatcher::Impl::OnHello(LinkMessage& message, std::vector<Event>* events) {
  link::v1::Hello wire;
  if (!Parse(message, &wire)) return;
  const SessionId session = message.head.session;
  RejectedWorker worker;
  worker.worker_id = wire.worker_id().substr(0, 64);
  worker.hostname = wire.hostname().substr(0, 256);
  worker.reason = WhyNot(message, wire);
  if (!worker.reason.empty())
    return Reject(message.route, session, wire.number(), std::move(worker));
  if (wire.min_protocol() > kLinkProtocol || wire.max_protocol() < kLinkProtocol) {
    worker.reason =
        StrCat("this master speaks link protocol ", kLinkProtocol, ", the worker ",
               wire.min_protocol(), " to ", wire.max_protocol(), "; use reeve-worker ", kVersion);
    return Reject(message.route, session, wire.number(), std::move(worker));
  }
  Partial& pages = partial[session];
  if (wire.page() == 0) {
    pages = {1, message.user, std::move(wire)};
  } else if (wire.page() == pages.next_page && message.user == pages.user &&
             wire.number() == pages.hello.number() && wire.page() < kMaxHelloPages) {
    ++pages.next_page;
    pages.hello.mutable_held()->MergeFrom(wire.held());
    pages.hello.set_last_page(wire.last_page());
  } else {
    partial.erase(session);
    return;
  }
  if (!pages.hello.last_page()) {
    if (partial.size() > kMaxPartialHellos) partial.clear();
    return;
  }
  auto hello = FromWire(pages.hello, message.head.epoch);
  const bool local = !options.host_key.empty() && pages.hello.host_key() == options.host_key;
  partial.erase(session);
  if (!hello.ok()) {
    worker.reason = std::string(ToStd(hello.status().message()));
    return Reject(message.route, session, 0, std::move(worker));
  }
  hello->session = session;
  hello->local_cluster = local;
  const auto before = session_of.find(hello->worker_id);
  if (before != session_of.end() && before->second != session) {
    if (const auto it = connections.find(before->second); it != connections.end()) Forget(it);
  }
  session_of[hello->worker_id] = session;
  connections[session] = {message.route, message.user, hello->worker_id, Monotonic()};
  if (options.sessions != nullptr) options.sessions->Add(session, message.user);
  events->push_back(std::move(*hello));
}

void Dispatcher::Impl::OnHeartbeat(LinkMessage& message, std::vector<Event>* events) {
  if (!Known(message) || message.head.epoch != options.epoch) {
    (void)SendTo(message.route, message.head.session, FrameType::kWhoAreYou, {});
    return;
  }
  link::v1::Heartbeat wire;
  if (!Parse(message, &wire)) return;
  auto beat = FromWire(wire, message.head.epoch);
  if (!beat.ok()) {
    ++malformed;
    return;
  }
  beat->session = message.head.session;
  events->push_back(std::move(*beat));
}

void Dispatcher::Impl::OnMessage(LinkMessage& message, std::vector<Event>* events) {
  const SessionId session = message.head.session;
  if (message.head.type == FrameType::kHello) return OnHello(message, events);
  if (message.head.type == FrameType::kHeartbeat) return OnHeartbeat(message, events);
  if (!Known(message) || message.head.epoch != options.epoch) return;
  switch (message.head.type) {
    case FrameType::kRecalled: {
      link::v1::Recalled wire;
      if (!Parse(message, &wire)) return;
      auto runs = FromWire(wire);
      if (runs.ok()) events->push_back(Recalled{session, std::move(*runs)});
      return;
    }
    case FrameType::kRelease: {
      link::v1::Release wire;
      if (!Parse(message, &wire)) return;
      auto runs = FromWire(wire);
      if (runs.ok()) events->push_back(Released{session, std::move(*runs)});
      return;
    }
    case FrameType::kGoodbye: {
      link::v1::Goodbye wire;
      if (!Parse(message, &wire)) return;
      events->push_back(Goodbye{session, wire.reason()});
      Forget(connections.find(session));
      return;
    }
    default: ++malformed;
  }
}

std::string Dispatcher::Impl::WelcomeBytes(const SendWelcome& welcome) const {
  link::v1::Welcome wire;
  wire.set_number(welcome.number);
  wire.set_refused(welcome.refused);
  wire.set_worker(WorkerName(welcome.worker));
  wire.set_collector_endpoint(options.collector_endpoint);
  wire.set_heartbeat_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(options.heartbeat)));
  wire.set_lease_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(options.lease)));
  wire.set_orphan_timeout_ms(
      static_cast<uint32_t>(absl::ToInt64Milliseconds(options.orphan_timeout)));
  wire.set_hello_spread_ms(static_cast<uint32_t>(std::min<size_t>(2000, connections.size() * 2)));
  for (const WelcomeRun& run : welcome.runs) {
    wire.add_job_id(run.job.value);
    wire.add_first(run.run.first);
    wire.add_count(run.run.count);
    wire.add_lease(run.lease.value);
  }
  wire.set_local_cluster(welcome.local_cluster);
  wire.set_seen_seq(welcome.seen_seq.value);
  wire.set_server_key(options.curve.public_key);
  wire.set_next_server_key(options.next_server_key);
  return wire.SerializeAsString();
}

Dispatcher::Dispatcher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dispatcher::~Dispatcher() = default;

absl::StatusOr<std::unique_ptr<Dispatcher>> Dispatcher::Create(ZmqContext& context,
                                                               const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->context = &context;
  impl->options = options;
  if (absl::Status s = impl->Bind(); !s.ok()) return s;
  return std::unique_ptr<Dispatcher>(new Dispatcher(std::move(impl)));
}

absl::Status Dispatcher::ChangeKeys(const CurveKeys& current, const std::string& next_public_key) {
  link::v1::HeartbeatAck word;
  word.set_change_key(true);
  // Who does not get it finds out by the silence.
  for (const auto& [session, connection] : impl_->connections) {
    (void)impl_->SendTo(connection.route, session, FrameType::kHeartbeatAck,
                        word.SerializeAsString());
  }
  impl_->options.curve = current;
  impl_->options.next_server_key = next_public_key;
  return impl_->Bind();
}

int Dispatcher::fd() const { return impl_->socket->fd(); }
const std::string& Dispatcher::endpoint() const { return impl_->socket->endpoint(); }

bool Dispatcher::Receive(size_t max, std::vector<Event>* events) {
  for (size_t i = 0; i < max; ++i) {
    ReceiveResult result = impl_->socket->Receive();
    if (result.drained) return false;
    if (result.message.has_value()) {
      impl_->OnMessage(*result.message, events);
    } else if (absl::IsUnimplemented(result.rejected)) {
      impl_->OnSkew(result);
    } else {
      ++impl_->malformed;
    }
  }
  return true;
}

void Dispatcher::Send(const Assignment& assignment, std::vector<Event>* events) {
  for (AssignFrame& frame : ToWire(assignment)) {
    impl_->Send(assignment.session, FrameType::kAssign, std::move(frame.body),
                std::move(frame.blob), events);
  }
}

void Dispatcher::Send(const LinkSend& send, std::vector<Event>* events) {
  const auto to = [&](FrameType type, std::string body) {
    impl_->Send(send.session, type, std::move(body), {}, events);
  };
  if (std::holds_alternative<SendWhoAreYou>(send.message)) {
    to(FrameType::kWhoAreYou, {});
  } else if (const auto* welcome = std::get_if<SendWelcome>(&send.message)) {
    to(FrameType::kWelcome, impl_->WelcomeBytes(*welcome));
  } else if (const auto* ack = std::get_if<SendHeartbeatAck>(&send.message)) {
    to(FrameType::kHeartbeatAck, ToWire(*ack));
  } else if (const auto* recall = std::get_if<SendRecall>(&send.message)) {
    to(FrameType::kRecall, ToWire(*recall));
  } else {
    to(FrameType::kCancel, ToWire(std::get<SendCancel>(send.message)));
  }
}

void Dispatcher::Probe(absl::Duration now, std::vector<Event>* events) {
  impl_->EndRevoked(events);
  std::vector<SessionId> silent;
  for (const auto& [session, connection] : impl_->connections) {
    if (now - connection.last_seen > impl_->options.probe_after) silent.push_back(session);
  }
  for (const SessionId session : silent) {
    impl_->Send(session, FrameType::kHeartbeatAck, ToWire(SendHeartbeatAck{}), {}, events);
  }
}

bool Dispatcher::Drain(const std::string& worker_id) {
  const auto it = impl_->session_of.find(worker_id);
  if (it == impl_->session_of.end()) return false;
  std::vector<Event> closed;  // Found out again by the next send.
  impl_->Send(it->second, FrameType::kDrain, {}, {}, &closed);
  return closed.empty();
}

std::vector<RejectedWorker> Dispatcher::rejected() const {
  return {impl_->rejected.begin(), impl_->rejected.end()};
}

}  // namespace reeve
