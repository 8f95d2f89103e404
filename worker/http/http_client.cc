#include "worker/http/http_client.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "absl/strings/ascii.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/version.h"
#include "worker/async/event_loop.h"
#include "worker/http/public_address.h"

namespace reeve {
namespace {

// A transfer's own buffer. Small: ten thousand of them are open at once.
constexpr long kBufferBytes = 8 << 10;
constexpr size_t kMaxHeaderBytes = 256u << 10;
constexpr uint32_t kShardConnections = 256;
// Hosts that are remembered although nothing is asked of them.
constexpr size_t kMaxIdleHosts = 10'000;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

// scheme://host:port, or "" for what is no URL of ours.
std::string HostOf(const std::string& text) {
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return {};
  const std::string scheme = Part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return {};
  return StrCat(scheme, "://", Part(url.get(), CURLUPART_HOST), ":",
                Part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

}  // namespace

struct HttpClient::Impl {
  // A multi handle with a part of the connections. libcurl walks through all connections of a
  // handle when a transfer leaves it, and through those to one host when it looks for one to use
  // again: with 10,000 in one handle that was half of all CPU time.
  struct Shard {
    Impl* client = nullptr;
    CURLM* multi = nullptr;
    uint64_t timer = 0;
    uint32_t busy = 0;
    bool is_collecting = false;
  };
  struct Transfer {
    uint64_t number = 0;
    std::string host;
    Shard* shard = nullptr;  // Set when it has its place.
    HttpRequest request;
    std::function<void(HttpAnswer)> done;
    HttpAnswer answer;
    std::unique_ptr<CURL, FreeEasy> easy;
    std::unique_ptr<curl_slist, FreeList> header_list;
    bool is_fresh = false;  // On a connection of its own.
    size_t header_bytes = 0;
    std::string write_error;
    char curl_error[CURL_ERROR_SIZE] = {};
  };
  struct Host {
    std::deque<uint64_t> waiting;
    uint32_t busy = 0;
    // Connections that may be used again, by where they are; the server may have closed some.
    std::map<Shard*, uint32_t> idle;
  };

  EventLoop* loop;
  HttpClientOptions options;
  CURLSH* shared = nullptr;  // Names and TLS sessions, of all shards.
  std::vector<std::unique_ptr<Shard>> shards;
  uint64_t next_number = 1;
  std::map<uint64_t, std::unique_ptr<Transfer>> transfers;
  std::unordered_map<std::string, Host> hosts;
  std::deque<std::string>
      ready_hosts;  // Have one waiting and room for it, but there was no room in all.
  uint32_t busy = 0;
  std::vector<std::unique_ptr<CURL, FreeEasy>> spare;

  void Admit(const std::string& host);
  void AdmitReady();
  void Begin(Transfer& transfer);
  std::string Prepare(Transfer& transfer);
  void Refuse(Transfer& transfer, std::string error);
  void AddShard();
  void TakePlace(Transfer& transfer);
  void OnSocket(Shard& shard, curl_socket_t fd, int what);
  void OnTimer(Shard& shard, long after_ms);
  void Act(Shard& shard, curl_socket_t fd, int events);
  void Collect(Shard& shard);
  void Finish(Transfer& transfer, CURLcode code);
  void Leave(Transfer& transfer, bool kept);

  static size_t OnBody(char* bytes, size_t size, size_t count, void* transfer);
  static size_t OnHeader(char* bytes, size_t size, size_t count, void* transfer);
  static curl_socket_t OnOpen(void* transfer, curlsocktype purpose, curl_sockaddr* address);
};

// ---- Places ----

// As many of the host's as there are places for.
void HttpClient::Impl::Admit(const std::string& name) {
  Host& host = hosts[name];
  while (!host.waiting.empty() && host.busy < options.max_connections_per_host) {
    if (busy >= options.max_connections) {
      ready_hosts.push_back(name);
      return;
    }
    const auto it = transfers.find(host.waiting.front());
    host.waiting.pop_front();
    if (it == transfers.end()) continue;  // Stopped.
    TakePlace(*it->second);
    Begin(*it->second);
  }
  const bool is_worth_keeping = !host.idle.empty() && hosts.size() < kMaxIdleHosts;
  if (host.busy == 0 && host.waiting.empty() && !is_worth_keeping) hosts.erase(name);
}

// Hosts take turns for places that are free in all.
void HttpClient::Impl::AdmitReady() {
  while (busy < options.max_connections && !ready_hosts.empty()) {
    const std::string name = std::move(ready_hosts.front());
    ready_hosts.pop_front();
    Admit(name);
  }
}

// Where a connection to the host is idle; otherwise where the fewest are.
void HttpClient::Impl::TakePlace(Transfer& transfer) {
  Host& host = hosts[transfer.host];
  if (host.idle.empty()) {
    transfer.shard =
        std::min_element(shards.begin(), shards.end(), [](const auto& a, const auto& b) {
          return a->busy < b->busy;
        })->get();
    transfer.is_fresh = true;  // Looking for one would be in vain.
  } else {
    const auto it = host.idle.begin();
    transfer.shard = it->first;
    if (--it->second == 0) host.idle.erase(it);
  }
  ++host.busy;
  ++busy;
  ++transfer.shard->busy;
}

void HttpClient::Impl::Leave(Transfer& transfer, bool kept) {
  Host& host = hosts[transfer.host];
  --host.busy;
  --busy;
  --transfer.shard->busy;
  if (kept) ++host.idle[transfer.shard];
}

// ---- A transfer ----

size_t HttpClient::Impl::OnBody(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t length = size * count;
  transfer.answer.body_bytes += length;
  if (transfer.answer.body_bytes > transfer.request.max_body_bytes) {
    transfer.answer.is_too_large = true;
    transfer.write_error =
        StrCat("the answer has more than ", transfer.request.max_body_bytes, " bytes");
    return CURL_WRITEFUNC_ERROR;
  }
  if (transfer.request.body_fd < 0) {
    transfer.answer.body.append(bytes, length);
    return length;
  }
  for (size_t written = 0; written < length;) {
    const ssize_t n = write(transfer.request.body_fd, bytes + written, length - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      transfer.write_error = StrCat("the body cannot be written: ", strerror(errno));
      return CURL_WRITEFUNC_ERROR;
    }
    written += static_cast<size_t>(n);
  }
  return length;
}

size_t HttpClient::Impl::OnHeader(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(bytes, size * count);
  transfer.header_bytes += line.size();
  if (transfer.header_bytes > kMaxHeaderBytes) {
    transfer.write_error =
        StrCat("the answer's headers have more than ", kMaxHeaderBytes, " bytes");
    return 0;
  }
  if (line.rfind("HTTP/", 0) == 0) {  // Another answer, after a redirect or a 100.
    transfer.answer.headers.clear();
    return line.size();
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  transfer.answer.headers.emplace_back(
      absl::AsciiStrToLower(ToAbsl(line.substr(0, colon))),
      std::string(ToStd(absl::StripAsciiWhitespace(ToAbsl(line.substr(colon + 1))))));
  return line.size();
}

// Just before it connects, so that a name cannot have become another address meanwhile.
curl_socket_t HttpClient::Impl::OnOpen(void* user, curlsocktype, curl_sockaddr* address) {
  if (IsPublicAddress(address->addr))
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.answer.is_refused = true;
  transfer.write_error = "the address is not a public one";
  return CURL_SOCKET_BAD;
}

// Returns: what is wrong with the request, or "".
std::string HttpClient::Impl::Prepare(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  if (spare.empty()) {
    transfer.easy.reset(curl_easy_init());
  } else {
    transfer.easy = std::move(spare.back());
    spare.pop_back();
    curl_easy_reset(transfer.easy.get());
  }
  CURL* const easy = transfer.easy.get();
  if (easy == nullptr) return "libcurl has no memory";
  for (const auto& [name, value] : request.headers) {
    // libcurl sends a header without a value only if it ends in a semicolon.
    const std::string line = value.empty() ? StrCat(name, ";") : StrCat(name, ": ", value);
    transfer.header_list.reset(curl_slist_append(transfer.header_list.release(), line.c_str()));
  }
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  set(CURLOPT_PRIVATE, &transfer);
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, request.max_redirects > 0 ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, static_cast<long>(request.max_redirects));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROXY, request.proxy.c_str());
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_ACCEPT_ENCODING, "");
  set(CURLOPT_USERAGENT, StrCat("reeve/", kVersion).c_str());
  set(CURLOPT_BUFFERSIZE, kBufferBytes);
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(absl::ToInt64Milliseconds(request.connect_timeout)));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(request.total_timeout)));
  set(CURLOPT_DNS_CACHE_TIMEOUT, static_cast<long>(absl::ToInt64Seconds(options.dns_cache)));
  set(CURLOPT_ERRORBUFFER, transfer.curl_error);
  set(CURLOPT_WRITEFUNCTION, &Impl::OnBody);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_HEADERFUNCTION, &Impl::OnHeader);
  set(CURLOPT_HEADERDATA, &transfer);
  if (transfer.header_list != nullptr) set(CURLOPT_HTTPHEADER, transfer.header_list.get());
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST") {
    set(CURLOPT_POST, 1L);  // Becomes GET where a redirect says so.
  } else if (request.method != "GET" || !request.body.empty()) {
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
      request.method == "PATCH") {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (options.public_only) {
    set(CURLOPT_OPENSOCKETFUNCTION, &Impl::OnOpen);
    set(CURLOPT_OPENSOCKETDATA, &transfer);
  }
  set(CURLOPT_SHARE, shared);
  if (transfer.is_fresh) set(CURLOPT_FRESH_CONNECT, 1L);
  return {};
}

void HttpClient::Impl::Begin(Transfer& transfer) {
  if (std::string wrong = Prepare(transfer); !wrong.empty())
    return Refuse(transfer, std::move(wrong));
  if (const CURLMcode code = curl_multi_add_handle(transfer.shard->multi, transfer.easy.get());
      code != CURLM_OK)
    Refuse(transfer, curl_multi_strerror(code));
}

void HttpClient::Impl::Refuse(Transfer& transfer, std::string error) {
  transfer.answer.error = std::move(error);
  transfer.answer.is_refused = true;
  loop->Post([this, number = transfer.number] {
    const auto it = transfers.find(number);
    if (it == transfers.end()) return;
    const std::unique_ptr<Transfer> owned = std::move(it->second);
    transfers.erase(it);
    if (owned->shard != nullptr) {
      Leave(*owned, false);
      Admit(owned->host);
      AdmitReady();
    }
    owned->done(std::move(owned->answer));
  });
}

void HttpClient::Impl::Finish(Transfer& transfer, CURLcode code) {
  CURL* const easy = transfer.easy.get();
  HttpAnswer& answer = transfer.answer;
  long status = 0, redirects = 0;
  char* url = nullptr;
  curl_off_t took_us = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
  curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
  curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &took_us);
  answer.status = static_cast<int>(status);
  answer.redirects = static_cast<uint32_t>(redirects);
  if (url != nullptr) answer.url = url;
  answer.took = absl::Microseconds(took_us);
  if (code == CURLE_OK) return;
  answer.error = transfer.curl_error;
  if (answer.error.empty()) answer.error = curl_easy_strerror(code);
  if (!transfer.write_error.empty()) answer.error = transfer.write_error;
  answer.is_refused = answer.is_refused || code == CURLE_UNSUPPORTED_PROTOCOL ||
                      code == CURLE_URL_MALFORMAT || code == CURLE_TOO_MANY_REDIRECTS;
}

// ---- libcurl and the loop ----

void HttpClient::Impl::Collect(Shard& shard) {
  int left = 0;
  std::vector<std::unique_ptr<Transfer>> ended;
  while (const CURLMsg* message = curl_multi_info_read(shard.multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CURL* const easy = message->easy_handle;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    Finish(*transfer, code);
    curl_multi_remove_handle(shard.multi, easy);
    Leave(*transfer, code == CURLE_OK);
    spare.push_back(std::move(transfer->easy));
    const auto it = transfers.find(transfer->number);
    ended.push_back(std::move(it->second));
    transfers.erase(it);
  }
  // Others first: whoever is told now may start more.
  for (const auto& transfer : ended) Admit(transfer->host);
  AdmitReady();
  for (const auto& transfer : ended) transfer->done(std::move(transfer->answer));
}

void HttpClient::Impl::Act(Shard& shard, curl_socket_t fd, int events) {
  int running = 0;
  curl_multi_socket_action(shard.multi, fd, events, &running);
  // Whoever is told may start or stop transfers, which must not happen within libcurl.
  if (std::exchange(shard.is_collecting, true)) return;
  loop->Post([this, &shard] {
    shard.is_collecting = false;
    Collect(shard);
  });
}

void HttpClient::Impl::OnSocket(Shard& shard, curl_socket_t fd, int what) {
  const bool readable = what == CURL_POLL_IN || what == CURL_POLL_INOUT;
  const bool writable = what == CURL_POLL_OUT || what == CURL_POLL_INOUT;
  loop->Watch(fd, readable, writable, [this, &shard, fd](bool can_read, bool can_write) {
    Act(shard, fd, (can_read ? CURL_CSELECT_IN : 0) | (can_write ? CURL_CSELECT_OUT : 0));
  });
}

void HttpClient::Impl::OnTimer(Shard& shard, long after_ms) {
  loop->ForgetCall(shard.timer);
  shard.timer = 0;
  if (after_ms < 0) return;
  shard.timer = loop->CallAfter(absl::Milliseconds(after_ms), [this, &shard] {
    shard.timer = 0;
    Act(shard, CURL_SOCKET_TIMEOUT, 0);
  });
}

void HttpClient::Impl::AddShard() {
  auto shard = std::make_unique<Shard>();
  shard->client = this;
  shard->multi = curl_multi_init();
  const auto set = [multi = shard->multi](CURLMoption option, auto value) {
    curl_multi_setopt(multi, option, value);
  };
  set(CURLMOPT_MAXCONNECTS, static_cast<long>(kShardConnections));
  set(CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  set(CURLMOPT_SOCKETDATA, shard.get());
  set(
      CURLMOPT_SOCKETFUNCTION, +[](CURL*, curl_socket_t fd, int what, void* user, void*) {
        auto* const its = static_cast<Shard*>(user);
        its->client->OnSocket(*its, fd, what);
        return 0;
      });
  set(CURLMOPT_TIMERDATA, shard.get());
  set(
      CURLMOPT_TIMERFUNCTION, +[](CURLM*, long after_ms, void* user) {
        auto* const its = static_cast<Shard*>(user);
        its->client->OnTimer(*its, after_ms);
        return 0;
      });
  shards.push_back(std::move(shard));
}

HttpClient::HttpClient(EventLoop* loop, const HttpClientOptions& options)
    : impl_(std::make_unique<Impl>()) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialised;
  impl_->loop = loop;
  impl_->options = options;
  impl_->shared = curl_share_init();
  for (const auto what : {CURL_LOCK_DATA_DNS, CURL_LOCK_DATA_SSL_SESSION})
    curl_share_setopt(impl_->shared, CURLSHOPT_SHARE, what);
  do {
    impl_->AddShard();
  } while (impl_->shards.size() * kShardConnections < options.max_connections);
}

HttpClient::~HttpClient() {
  for (const auto& [number, transfer] : impl_->transfers) {
    if (transfer->easy != nullptr)
      curl_multi_remove_handle(transfer->shard->multi, transfer->easy.get());
  }
  impl_->transfers.clear();
  impl_->spare.clear();
  for (const auto& shard : impl_->shards) curl_multi_cleanup(shard->multi);
  curl_share_cleanup(impl_->shared);
}

uint64_t HttpClient::Start(HttpRequest request, std::function<void(HttpAnswer)> done) {
  auto owned = std::make_unique<Impl::Transfer>();
  Impl::Transfer& transfer = *owned;
  transfer.number = impl_->next_number++;
  transfer.host = HostOf(request.url);
  transfer.request = std::move(request);
  transfer.done = std::move(done);
  impl_->transfers.emplace(transfer.number, std::move(owned));
  if (transfer.host.empty()) {
    impl_->Refuse(transfer, StrCat("`", transfer.request.url, "` is no http or https URL"));
  } else {
    impl_->hosts[transfer.host].waiting.push_back(transfer.number);
    impl_->Admit(transfer.host);
  }
  return transfer.number;
}

void HttpClient::Stop(uint64_t number) {
  const auto it = impl_->transfers.find(number);
  if (it == impl_->transfers.end()) return;
  const std::unique_ptr<Impl::Transfer> owned = std::move(it->second);
  impl_->transfers.erase(it);
  if (owned->shard == nullptr) return;  // Has no place yet, or never gets one.
  if (owned->easy != nullptr) curl_multi_remove_handle(owned->shard->multi, owned->easy.get());
  impl_->Leave(*owned, false);
  impl_->Admit(owned->host);
  impl_->AdmitReady();
}

}  // namespace reeve
