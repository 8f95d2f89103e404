#include "relay/relay.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/doorbell.h"
#include "base/log.h"
#include "base/named_thread.h"
#include "relay/relayed.h"

namespace reeve {
namespace {

constexpr int kFramesPerTurn = 64;
constexpr uint64_t kLogEach = 1'000;  // Of what was dropped: anybody may send nonsense.
constexpr absl::Duration kLongestSleep = absl::Seconds(1);
// libzmq says when a queue has room again, but not when there is a connection.
constexpr absl::Duration kTryAgain = absl::Milliseconds(10);
constexpr absl::Duration kTryOtherKeyAfter = absl::Seconds(4);
// Messages waiting of each worker, and frames to the master: of about a MiB, seldom 4.
constexpr int kWorkerQueue = 64, kMasterQueue = 16;

bool IsRelayed(FrameType type) { return type == FrameType::kResults || type == FrameType::kOutput; }

}  // namespace

struct Relay::Impl {
  Impl(ZmqContext* context, Options given)
      : context(context), options(std::move(given)), merger(options.merge) {
    server_keys = {options.server_key};
    if (!options.next_server_key.empty()) server_keys.push_back(options.next_server_key);
  }

  ZmqContext* const context;
  const Options options;
  Doorbell doorbell;
  std::atomic<bool> stopping{false};
  std::thread thread;
  std::string endpoint;
  std::unique_ptr<ZmqSocket> workers, master;
  Merger merger;
  std::optional<RelayedPart> next;     // For the frame after the one that is full.
  std::optional<RelayedFrame> unsent;  // The master did not take it.
  uint64_t dropped = 0, relayed = 0, frames = 0;

  // Of the master: the one in use, then the other that is known, if any.
  std::vector<std::string> server_keys;
  absl::Duration unsent_since;  // Or since the other key was tried.

  absl::Status Open();
  absl::Status ConnectMaster();
  void TryOtherKey(absl::Duration now);
  void Run(std::promise<absl::Status>* started);
  bool wants_input() const { return !unsent.has_value() && !merger.is_full(); }
  bool TakeFromWorkers();
  void OnMessage(LinkMessage& message);
  bool SendToMaster(absl::Duration now);
  bool TakeFromMaster();
  void PassBack(const LinkMessage& message);
  void Sleep();
};

absl::Status Relay::Impl::ConnectMaster() {
  ZmqSocket::Options socket_options;
  socket_options.linger = absl::Milliseconds(200);
  socket_options.curve = options.curve;
  socket_options.server_key = server_keys.front();
  socket_options.high_water_mark = kMasterQueue;
  auto connected = ZmqSocket::ConnectDealer(*context, options.master, socket_options);
  if (!connected.ok()) return connected.status();
  master = std::move(*connected);
  return absl::OkStatus();
}

absl::Status Relay::Impl::Open() {
  if (absl::Status s = ConnectMaster(); !s.ok()) return s;
  ZmqSocket::Options socket_options;
  socket_options.linger = absl::Milliseconds(200);
  socket_options.curve = options.curve;
  socket_options.high_water_mark = kWorkerQueue;
  socket_options.require_user = true;
  auto bound = ZmqSocket::BindRouter(*context, {options.listen}, socket_options);
  if (!bound.ok()) return bound.status();
  workers = std::move(*bound);
  endpoint = workers->endpoint();
  return absl::OkStatus();
}

// ---- Towards the master ----

void Relay::Impl::OnMessage(LinkMessage& message) {
  if (!IsRelayed(message.head.type) || message.body.size() > kMaxRelayedBody) {
    if (dropped++ % kLogEach == 0)
      REEVE_LOG_WARNING("a message was not relayed type={} bytes={}",
                        static_cast<int>(message.head.type), message.body.size());
    return;
  }
  RelayedPart part{message.head, std::move(message.route),
                   message.user == kLocalUser ? "" : std::move(message.user),
                   std::move(message.body), std::move(message.blob)};
  ++relayed;
  if (!merger.Add(Monotonic(), part)) next = std::move(part);
}

// Returns: whether more may be waiting that there is room for.
bool Relay::Impl::TakeFromWorkers() {
  for (int i = 0; i < kFramesPerTurn && wants_input(); ++i) {
    ReceiveResult result = workers->Receive();
    if (result.drained) return false;
    if (result.message.has_value()) {
      OnMessage(*result.message);
    } else {
      ++dropped;
    }
  }
  return wants_input();
}

// A master that changed its key takes nothing by the old one.
void Relay::Impl::TryOtherKey(absl::Duration now) {
  if (server_keys.size() < 2 || now - unsent_since < kTryOtherKeyAfter) return;
  unsent_since = now;
  std::swap(server_keys[0], server_keys[1]);
  if (absl::Status s = ConnectMaster(); !s.ok())
    REEVE_LOG_ERROR("cannot connect to the master why={}", s.ToString());
}

// Returns: whether a frame went.
bool Relay::Impl::SendToMaster(absl::Duration now) {
  if (!unsent.has_value()) {
    if (merger.Due() > now) return false;
    unsent = EncodeRelayed(merger.Take(now));
    unsent_since = now;
    if (next.has_value()) merger.Add(now, *next);
    next.reset();
  }
  FrameHead head;
  head.type = FrameType::kRelayed;
  if (!master->Send({}, head, unsent->body, unsent->blob).ok()) {
    TryOtherKey(now);
    return false;
  }
  ++frames;
  unsent.reset();
  return true;
}

// ---- Back ----

void Relay::Impl::PassBack(const LinkMessage& message) {
  const auto parts = message.head.type == FrameType::kRelayedAck
                         ? DecodeRelayed(message.body, message.blob)
                         : absl::InvalidArgumentError("not a RelayedAck");
  if (!parts.ok()) {
    ++dropped;
    REEVE_LOG_WARNING("a frame of the master was not understood why={}", parts.status().ToString());
    return;
  }
  for (const RelayedPart& part : *parts) {
    if (part.head.type != FrameType::kResultAck) continue;
    // A worker that is gone, or does not read, asks again.
    (void)workers->Send(part.connection, part.head, std::string(part.body.view()));
  }
}

bool Relay::Impl::TakeFromMaster() {
  for (int i = 0; i < kFramesPerTurn; ++i) {
    const ReceiveResult result = master->Receive();
    if (result.drained) return false;
    if (result.message.has_value()) {
      PassBack(*result.message);
    } else {
      ++dropped;
    }
  }
  return true;
}

// ---- The thread ----

void Relay::Impl::Sleep() {
  // Sockets tell of changes only, and a change may have come since the last look.
  if (master->HasInput() || (wants_input() && workers->HasInput())) return;
  const absl::Duration due = unsent.has_value() ? kTryAgain : merger.Due() - Monotonic();
  if (due <= absl::ZeroDuration()) return;
  const timespec timeout = absl::ToTimespec(std::min(due, kLongestSleep));
  pollfd fds[3] = {{doorbell.fd(), POLLIN, 0},
                   {master->fd(), POLLIN, 0},
                   {wants_input() ? workers->fd() : -1, POLLIN, 0}};
  ppoll(fds, 3, &timeout, nullptr);
  doorbell.Answer();
}

void Relay::Impl::Run(std::promise<absl::Status>* started) {
  absl::Status opened = Open();
  const bool ready = opened.ok();
  started->set_value(std::move(opened));
  while (ready && !stopping.load()) {
    bool more = TakeFromMaster();
    more = TakeFromWorkers() || more;
    more = SendToMaster(Monotonic()) || more;
    if (!more) Sleep();
  }
  // Nothing waits for its moment any more.
  const absl::Duration last = Monotonic() + options.merge.moment;
  while (ready && (unsent.has_value() || !merger.empty()) && SendToMaster(last)) {
  }
  workers.reset();
  master.reset();
  if (ready)
    REEVE_LOG_INFO("relay ends messages={} frames={} dropped={}", relayed, frames, dropped);
}

Relay::Relay(ZmqContext& context, Options options)
    : impl_(std::make_unique<Impl>(&context, std::move(options))) {}

Relay::~Relay() { Stop(); }

absl::Status Relay::Start() {
  std::promise<absl::Status> started;
  impl_->thread = NamedThread("relay", [this, &started] { impl_->Run(&started); });
  return started.get_future().get();
}

void Relay::Stop() {
  impl_->stopping.store(true);
  impl_->doorbell.Ring();
  if (impl_->thread.joinable()) impl_->thread.join();
}

const std::string& Relay::endpoint() const { return impl_->endpoint; }

}  // namespace reeve
