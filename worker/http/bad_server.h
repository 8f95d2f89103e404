// An HTTP server that behaves as badly as a test says.

#ifndef REEVE_WORKER_HTTP_BAD_SERVER_H_
#define REEVE_WORKER_HTTP_BAD_SERVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/named_thread.h"
#include "base/strings.h"

namespace reeve {

// A connection of the server, as a test's script sees it.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { close(fd_); }

  // Reads up to the end of a request's head. Returns: "" once the client has closed.
  std::string ReadHead() {
    std::string head;
    char byte;
    while (head.size() < 65'536 && head.find("\r\n\r\n") == std::string::npos) {
      if (recv(fd_, &byte, 1, 0) != 1) return "";
      head += byte;
    }
    return head;
  }
  std::string Read(size_t bytes) {
    std::string body(bytes, '\0');
    return recv(fd_, body.data(), bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes) ? body : "";
  }
  // Returns: false once the client has closed.
  bool Send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void Answer(int status, std::string_view body, std::string_view headers = "") {
    Send(StrCat("HTTP/1.1 ", status, " Whatever\r\n", headers, "Content-Length: ", body.size(),
                "\r\n\r\n", body));
  }
  // The client sees a reset, not an end.
  void Reset() {
    const linger hard{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  void WaitForClose() {
    char byte;
    while (recv(fd_, &byte, 1, 0) > 0) {
    }
  }

 private:
  const int fd_;
};

inline std::string PathOf(const std::string& head) {
  std::istringstream words(head);
  std::string method, path;
  words >> method >> path;
  return path;
}

// Calls `script(peer, path, head, nth)` for each request; `nth` counts those to the path from 1. A
// script returns whether the connection goes on.
class BadServer {
 public:
  using Script = std::function<bool(Peer&, const std::string& path, const std::string& head, int)>;

  explicit BadServer(Script script) : script_(std::move(script)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener_, 512);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = NamedThread("accept", [this] { Accept(); });
  }
  // REQUIRES: the client is gone.
  ~BadServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }

  std::string Url(std::string_view path) const { return StrCat("http://127.0.0.1:", port_, path); }
  int connections() const { return connections_.load(); }
  int most_at_once() const { return most_.load(); }
  int requests(const std::string& path) {
    MutexLock lock(&mu_);
    return requests_[path];
  }

 private:
  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      threads_.push_back(NamedThread("peer", [this, fd] { Serve(fd); }));
    }
  }
  void Serve(int fd) {
    Peer peer(fd);
    for (;;) {
      const std::string head = peer.ReadHead();
      if (head.empty()) return;
      const std::string path = PathOf(head);
      int nth = 0;
      {
        MutexLock lock(&mu_);
        nth = ++requests_[path];
      }
      const int now = ++busy_;
      for (int most = most_.load(); now > most && !most_.compare_exchange_weak(most, now);) {
      }
      const bool goes_on = script_(peer, path, head, nth);
      --busy_;
      if (!goes_on) return;
    }
  }

  const Script script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0}, busy_{0}, most_{0};
  Mutex mu_;
  std::map<std::string, int> requests_ ABSL_GUARDED_BY(mu_);
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // The acceptor's, until it has ended.
};

}  // namespace reeve

#endif  // REEVE_WORKER_HTTP_BAD_SERVER_H_
