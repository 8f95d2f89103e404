#include "client/pinned_authority.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/certificate.h"
#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr int kConnectMs = 5'000;
constexpr timeval kHandshake = {5, 0};

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status Unreachable(const Address& address, std::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, "UNAVAILABLE",
                   StrCat("cannot reach the master at ", address.ToString(), " (", why, ")"));
}

// Of one address; -1: errno says why.
int ConnectTo(const addrinfo& one) {
  const int fd = socket(one.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int error = connect(fd, one.ai_addr, one.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd ready{fd, POLLOUT, 0};
    socklen_t size = sizeof error;
    error = ETIMEDOUT;
    if (poll(&ready, 1, kConnectMs) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error == 0) return fd;
  close(fd);
  errno = error;
  return -1;
}

// Blocking from then on, with a bound for each step of the handshake.
absl::StatusOr<int> Connect(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int looked_up =
      getaddrinfo(address.host.c_str(), StrCat(address.port).c_str(), &hints, &found);
  if (looked_up != 0) return Unreachable(address, gai_strerror(looked_up));
  const std::unique_ptr<addrinfo, Freed<freeaddrinfo>> all(found);
  int fd = -1;
  for (const addrinfo* one = found; one != nullptr && fd < 0; one = one->ai_next)
    fd = ConnectTo(*one);
  if (fd < 0) return Unreachable(address, strerror(errno));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kHandshake, sizeof kHandshake);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kHandshake, sizeof kHandshake);
  return fd;
}

// The certificates that the master shows, its own first.
absl::StatusOr<std::vector<std::string>> FetchChain(const Address& address) {
  const auto connected = Connect(address);
  if (!connected.ok()) return connected.status();
  const Descriptor fd(*connected);
  const std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // What the chain is worth is decided by who asked for it.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  const std::unique_ptr<SSL, Freed<SSL_free>> ssl(SSL_new(context.get()));
  constexpr unsigned char kProtocols[] = {2, 'h', '2'};
  SSL_set_alpn_protos(ssl.get(), kProtocols, sizeof kProtocols);
  SSL_set_tlsext_host_name(ssl.get(), kServerName);
  SSL_set_fd(ssl.get(), fd.get());
  if (SSL_connect(ssl.get()) != 1)
    return Unreachable(address, "it does not speak TLS there; is it a master with --listen?");
  std::vector<std::string> chain;
  const STACK_OF(X509)* shown = SSL_get_peer_cert_chain(ssl.get());
  for (int i = 0; shown != nullptr && i < sk_X509_num(shown); ++i)
    chain.push_back(PemOf(sk_X509_value(shown, i)));
  if (chain.empty()) return Unreachable(address, "it shows no certificate");
  return chain;
}

}  // namespace

absl::StatusOr<std::string> FetchCertificate(const Address& address) {
  auto chain = FetchChain(address);
  if (!chain.ok()) return chain.status();
  return std::move(chain->front());
}

absl::Status TryConnect(const Address& address) {
  const auto connected = Connect(address);
  if (connected.ok()) close(*connected);
  return connected.status();
}

absl::StatusOr<std::string> FetchAuthority(const Address& address, const std::string& fingerprint) {
  auto chain = FetchChain(address);
  if (!chain.ok()) return chain.status();
  for (std::string& pem : *chain) {
    const auto seen = Fingerprint(pem);
    if (seen.ok() && SameSecret(*seen, fingerprint)) return std::move(pem);
  }
  return MakeError(absl::StatusCode::kUnauthenticated, "BAD_CERTIFICATE",
                   StrCat("the master at ", address.ToString(),
                          " is not of the cluster that the token is of: either the token is of "
                          "another one, or somebody stands in between"));
}

}  // namespace reeve
