// A plug-in for `reeve bench models`: the handler `blocking_get` fetches a URL of loopback and
// waits for the answer on its thread, as a program of threads does.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "worker/sdk/plugin.hpp"

namespace {

constexpr std::string_view kPrefix = "http://127.0.0.1:";

class Connection {
 public:
  explicit Connection(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error(std::string("connect: ") + strerror(errno));
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { close(fd_); }

  // The body of the answer, as long as its Content-Length says.
  std::string Get(const std::string& path) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if (send(fd_, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size()))
      throw std::runtime_error("the connection broke off");
    std::string answer;
    for (;;) {
      const size_t head = answer.find("\r\n\r\n");
      if (head != std::string::npos) {
        const size_t length = answer.find("Content-Length: ");
        const size_t bytes = length < head ? strtoul(&answer[length + 16], nullptr, 10) : 0;
        if (answer.size() >= head + 4 + bytes) return answer.substr(head + 4, bytes);
      }
      char buffer[4096];
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) throw std::runtime_error("the answer broke off");
      answer.append(buffer, static_cast<size_t>(n));
    }
  }

 private:
  const int fd_;
};

std::string BlockingGet(reeve::plugin::Task&, std::string_view input) {
  const size_t slash = input.find('/', kPrefix.size());
  if (input.substr(0, kPrefix.size()) != kPrefix || slash == std::string_view::npos)
    throw reeve::plugin::BadInput("http://127.0.0.1:PORT/PATH is wanted");
  const std::string port(input.substr(kPrefix.size(), slash - kPrefix.size()));
  Connection connection(static_cast<uint16_t>(std::atoi(port.c_str())));
  return connection.Get(std::string(input.substr(slash)));
}

}  // namespace

REEVE_PLUGIN(plugin) { plugin.Handle("blocking_get", BlockingGet); }
