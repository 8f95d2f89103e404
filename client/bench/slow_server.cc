#include "client/bench/slow_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/named_thread.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMaxRequestBytes = 16u << 10;
constexpr int kEventsPerTurn = 512;

}  // namespace

struct SlowServer::Impl {
  ~Impl() {
    for (const int fd : {listener, wake, poller}) {
      if (fd >= 0) close(fd);
    }
  }

  struct Answer {
    absl::Duration due;
    int fd;
    uint64_t connection;
    std::string text;
  };
  struct Connection {
    uint64_t number = 0;
    std::string incoming;
  };

  absl::Duration delay;
  int listener = -1, wake = -1, poller = -1;
  uint16_t port = 0;
  std::atomic<bool> stopping{false};
  std::thread thread;

  // The thread's.
  std::unordered_map<int, Connection> connections;
  std::deque<Answer> answers;  // By due time: the delay is one and the same.
  uint64_t next_connection = 1;

  void Loop();
  void Accept();
  void Read(int fd);
  void Close(int fd);
  void SendDue();
  void Want(int fd);
};

void SlowServer::Impl::Want(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

void SlowServer::Impl::Accept() {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    connections[fd] = {next_connection++, {}};
    Want(fd);
  }
}

void SlowServer::Impl::Close(int fd) {
  connections.erase(fd);
  close(fd);
}

void SlowServer::Impl::Read(int fd) {
  Connection& connection = connections[fd];
  char buffer[4096];
  const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return Close(fd);
  connection.incoming.append(buffer, static_cast<size_t>(n));
  const size_t end = connection.incoming.find("\r\n\r\n");
  if (end == std::string::npos && connection.incoming.size() < kMaxRequestBytes) return;
  const size_t path = connection.incoming.find(' ') + 1;
  const size_t after = connection.incoming.find(' ', path);
  if (end == std::string::npos || path == 0 || after == std::string::npos) return Close(fd);
  const std::string body = connection.incoming.substr(path, after - path);
  answers.push_back({Monotonic() + delay, fd, connection.number,
                     StrCat("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ",
                            body.size(), "\r\n\r\n", body)});
  connection.incoming.erase(0, end + 4);
}

void SlowServer::Impl::SendDue() {
  const absl::Duration now = Monotonic();
  for (; !answers.empty() && answers.front().due <= now; answers.pop_front()) {
    const Answer& answer = answers.front();
    const auto it = connections.find(answer.fd);
    // The number may be another connection's by now.
    if (it == connections.end() || it->second.number != answer.connection) continue;
    if (send(answer.fd, answer.text.data(), answer.text.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(answer.text.size()))
      Close(answer.fd);
  }
}

void SlowServer::Impl::Loop() {
  epoll_event events[kEventsPerTurn];
  while (!stopping.load()) {
    int timeout = -1;
    if (!answers.empty()) {
      const absl::Duration left = std::max(answers.front().due - Monotonic(), absl::ZeroDuration());
      timeout =
          static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
    }
    const int count = epoll_wait(poller, events, kEventsPerTurn, timeout);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        Accept();
      } else if (fd != wake) {
        Read(fd);
      }
    }
    SendDue();
  }
  while (!connections.empty()) Close(connections.begin()->first);
}

absl::StatusOr<std::unique_ptr<SlowServer>> SlowServer::Start(absl::Duration delay) {
  auto impl = std::make_unique<Impl>();
  impl->delay = delay;
  impl->poller = epoll_create1(EPOLL_CLOEXEC);
  impl->wake = eventfd(0, EFD_CLOEXEC);
  impl->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool listens =
      impl->poller >= 0 && impl->wake >= 0 && impl->listener >= 0 &&
      bind(impl->listener, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      listen(impl->listener, SOMAXCONN) == 0 &&
      getsockname(impl->listener, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!listens)
    return absl::ResourceExhaustedError(
        StrCat("the benchmark's server cannot listen: ", strerror(errno)));
  impl->port = ntohs(address.sin_port);
  impl->Want(impl->listener);
  impl->Want(impl->wake);
  impl->thread = NamedThread("slow-server", [server = impl.get()] { server->Loop(); });
  return std::unique_ptr<SlowServer>(new SlowServer(std::move(impl)));
}

SlowServer::SlowServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

SlowServer::~SlowServer() {
  impl_->stopping.store(true);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(impl_->wake, &one, sizeof one);
  impl_->thread.join();
}

uint16_t SlowServer::port() const { return impl_->port; }

}  // namespace reeve
