#include "master/collector/collector.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/doorbell.h"
#include "base/failpoint.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/named_thread.h"
#include "master/dispatch/key_paths.h"
#include "master/dispatch/link_messages.h"
#include "master/dispatch/session_registry.h"
#include "master/service/task_keys.h"
#include "relay/relayed.h"

namespace reeve {
namespace {
constexpr int kFramesPerTurn = 64;
constexpr int kPollMs = 1000;
constexpr int kExitFault = 70;
// A frame of acknowledgements to a relay takes no more once it holds so much.
constexpr size_t kFullBytes = 1u << 20, kFullCount = 256;
}  // namespace

struct Collector::Impl {
  ZmqContext* context;
  Options options;
  Sinks sinks;
  Doorbell doorbell;
  Inbox<AckResults> acks{{.count = SIZE_MAX, .bytes = SIZE_MAX}, &doorbell};
  std::atomic<bool> stopping{false};
  std::thread thread;
  std::unique_ptr<ZmqSocket> socket;
  // By which connection a session last spoke; through a relay, that of the relay, and the relay's
  // word for the worker's own.
  struct Route {
    std::string connection;
    std::string beyond_relay;
  };
  absl::flat_hash_map<SessionId, Route> routes;
  uint64_t dropped = 0;

  Mutex keys_mu;
  std::optional<CurveKeys> new_keys ABSL_GUARDED_BY(keys_mu);

  absl::Status Bind();
  void BindAgain();
  void TakeKeys();
  void Run(std::promise<absl::Status>* started);
  bool ReceiveSome();
  void OnMessage(LinkMessage& message);
  void OnRelayed(const LinkMessage& message);
  void OnWorker(LinkMessage& message, std::string beyond_relay);
  void OnOutput(const LinkMessage& message);
  void MakeTaskKeys(JobId job, NewInputs* added) const;
  void SendAcks();
  void SendRelayed(const std::string& relay, std::vector<RelayedPart> acks);
};

void Collector::Impl::SendAcks() {
  std::vector<AckResults> taken = acks.Pop(SIZE_MAX);
  // One frame per session however many batches became durable together.
  std::map<SessionId, AckResults> merged;
  for (AckResults& ack : taken) {
    AckResults& into = merged[ack.session];
    into.recorded.insert(into.recorded.end(), ack.recorded.begin(), ack.recorded.end());
    into.superseded.insert(into.superseded.end(), ack.superseded.begin(), ack.superseded.end());
  }
  std::map<std::string, std::vector<RelayedPart>> of_relays;
  for (const auto& [session, ack] : merged) {
    const auto found = routes.find(session);
    if (found == routes.end()) continue;
    const Route& route = found->second;
    FrameHead head;
    head.type = FrameType::kResultAck;
    head.epoch = options.epoch;
    head.session = session;
    if (!route.beyond_relay.empty()) {
      of_relays[route.connection].push_back(
          {head, route.beyond_relay, "", Buffer(ToWire(ack)), Buffer()});
      continue;
    }
    // A lost one is asked for again: the worker sends its batch once more.
    (void)socket->Send(route.connection, head, ToWire(ack));
  }
  for (auto& [relay, parts] : of_relays) SendRelayed(relay, std::move(parts));
}

void Collector::Impl::SendRelayed(const std::string& relay, std::vector<RelayedPart> acks) {
  FrameHead head;
  head.type = FrameType::kRelayedAck;
  head.epoch = options.epoch;
  std::vector<RelayedPart> some;
  size_t bytes = 0;
  for (size_t i = 0; i < acks.size(); ++i) {
    bytes += acks[i].bytes();
    some.push_back(std::move(acks[i]));
    const bool last = i + 1 == acks.size();
    if (!last && some.size() < kFullCount && bytes + acks[i + 1].bytes() <= kFullBytes) continue;
    RelayedFrame frame = EncodeRelayed(some);
    (void)socket->Send(relay, head, std::move(frame.body), std::move(frame.blob));
    some.clear();
    bytes = 0;
  }
}

void Collector::Impl::OnOutput(const LinkMessage& message) {
  link::v1::Output wire;
  if (!wire.ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size())))
    return;
  auto logs = FromWire(wire, message.blob);
  if (!logs.ok()) {
    ++dropped;
    return;
  }
  sinks.output({message.head.session, *std::move(logs)}, message.blob.size());
}

void Collector::Impl::OnMessage(LinkMessage& message) {
  if (message.head.type == FrameType::kRelayed) return OnRelayed(message);
  OnWorker(message, "");
}

void Collector::Impl::OnRelayed(const LinkMessage& message) {
  // What a relay says of the workers' keys is believed, so not everybody may be one.
  const bool believed =
      message.user == kLocalUser || (options.is_relay && options.is_relay(message.user));
  auto parts = believed ? DecodeRelayed(message.body, message.blob)
                        : absl::PermissionDeniedError("not of an enrolled relay");
  if (!parts.ok()) {
    ++dropped;
    REEVE_LOG_WARNING("a relay's message was refused why={}", parts.status().ToString());
    return;
  }
  for (RelayedPart& part : *parts) {
    LinkMessage of_worker{message.route, part.user.empty() ? kLocalUser : std::move(part.user),
                          part.head, std::move(part.body), std::move(part.blob)};
    OnWorker(of_worker, std::move(part.connection));
  }
}

void Collector::Impl::OnWorker(LinkMessage& message, std::string beyond_relay) {
  const SessionId session = message.head.session;
  if (message.head.epoch != options.epoch || !options.sessions->Contains(session, message.user)) {
    ++dropped;
    return;
  }
  routes[session] = {message.route, std::move(beyond_relay)};
  if (message.head.type == FrameType::kOutput) return OnOutput(message);
  link::v1::Results wire;
  if (message.head.type != FrameType::kResults ||
      !wire.ParseFromArray(message.body.view().data(), static_cast<int>(message.body.size()))) {
    ++dropped;
    return;
  }
  auto arrived = FromWire(wire, message.blob);
  if (!arrived.ok()) {
    ++dropped;
    REEVE_LOG_WARNING("results were not understood session={} why={}", session.value,
                      arrived.status().ToString());
    return;
  }
  for (ResultBatchArrived& batch : arrived->batches) MakeTaskKeys(batch.job, &batch.added);
  arrived->session = session;
  arrived->epoch = message.head.epoch;
  Failpoint("collector.decoded");
  sinks.results(std::move(*arrived), message.blob.size());
}

void Collector::Impl::MakeTaskKeys(JobId job, NewInputs* added) const {
  if (added->inputs == nullptr) return;
  const std::string path = options.key_paths->Of(job);
  if (!path.empty()) added->task_keys = TaskKeysOf(*added->inputs, path);
}

bool Collector::Impl::ReceiveSome() {
  for (int i = 0; i < kFramesPerTurn; ++i) {
    ReceiveResult result = socket->Receive();
    if (result.drained) return false;
    if (!result.message.has_value()) {
      ++dropped;
      continue;
    }
    if (Failpoint("collector.frame")) {
      BindAgain();
      return true;
    }
    OnMessage(*result.message);
  }
  return true;
}

void Collector::Impl::BindAgain() {
  if (absl::Status status = Bind(); !status.ok()) {
    REEVE_LOG_ERROR("collector lost its port, ending why={}", status.ToString());
    _exit(kExitFault);
  }
}

void Collector::Impl::TakeKeys() {
  {
    MutexLock lock(&keys_mu);
    if (!new_keys.has_value()) return;
    options.curve = *std::exchange(new_keys, std::nullopt);
  }
  BindAgain();
}

// Binds; when called again, a new socket takes the old one's place, and every connection with what
// it held is gone.
absl::Status Collector::Impl::Bind() {
  ZmqSocket::Options socket_options;
  socket_options.io_affinity = 2;
  socket_options.linger = absl::Milliseconds(200);
  socket_options.curve = options.curve;
  socket_options.require_user = true;
  routes.clear();
  return BindRouterAnew(*context, options.endpoints, socket_options, &socket);
}

void Collector::Impl::Run(std::promise<absl::Status>* started) {
  absl::Status bound = Bind();
  const bool ready = bound.ok();
  started->set_value(std::move(bound));
  while (ready && !stopping.load()) {
    TakeKeys();
    const bool more = ReceiveSome();
    SendAcks();
    if (more || socket->HasInput()) continue;
    pollfd fds[2] = {{doorbell.fd(), POLLIN, 0}, {socket->fd(), POLLIN, 0}};
    poll(fds, 2, kPollMs);
    doorbell.Answer();
  }
  if (ready) SendAcks();
  socket.reset();
}

Collector::Collector(ZmqContext& context, Options options, Sinks sinks)
    : impl_(std::make_unique<Impl>()) {
  impl_->context = &context;
  impl_->options = std::move(options);
  impl_->sinks = std::move(sinks);
}

Collector::~Collector() { Stop(); }

absl::Status Collector::Start() {
  std::promise<absl::Status> started;
  impl_->thread = NamedThread("collector", [this, &started] { impl_->Run(&started); });
  return started.get_future().get();
}

void Collector::Stop() {
  impl_->stopping.store(true);
  impl_->doorbell.Ring();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void Collector::ChangeKeys(const CurveKeys& keys) {
  {
    MutexLock lock(&impl_->keys_mu);
    impl_->new_keys = keys;
  }
  impl_->doorbell.Ring();
}

void Collector::Acknowledge(AckResults ack) { impl_->acks.TryPush(std::move(ack)); }

}  // namespace reeve
