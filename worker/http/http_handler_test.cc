// The handler `http` on a real lane, against a server that behaves as badly as a test says.

#include "worker/http/http_handler.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/named_thread.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "worker/async/event_loop.h"
#include "worker/lanes/async_lane.h"
#include "worker/lanes/lane_test_sink.h"

namespace reeve {
namespace {

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

std::string PathOf(const std::string& head) {
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

// A worker's async lane with the handler.
class Lane {
 public:
  explicit Lane(HttpClientOptions client = {}, HttpHandlerOptions handler = {})
      : client_(&loop_, client) {
    if (handler.patience.first_backoff == HttpPatience().first_backoff)
      handler.patience.first_backoff = absl::Milliseconds(2);
    handlers_.AddAsync("http", MakeHttpHandler(&client_, handler));
    lane_ = std::make_unique<AsyncLane>(AsyncLane::Options{}, &handlers_, &loop_, &sink_);
  }
  ~Lane() { lane_->Stop(absl::Seconds(30)); }

  void Start(const std::vector<std::string>& inputs,
             absl::Duration limit = absl::InfiniteDuration()) {
    auto job = std::make_shared<JobContext>();
    job->job = JobId(1);
    job->handler = "http";
    job->time_limit = limit;
    std::string blob;
    std::vector<uint32_t> ends;
    for (const std::string& input : inputs) {
      blob += input;
      ends.push_back(static_cast<uint32_t>(blob.size()));
    }
    LaneSpan span;
    span.key = SpanKey(1);
    span.job = job;
    span.run = {0, static_cast<uint32_t>(inputs.size())};
    span.inputs = SpanInputs(Buffer(std::move(blob)), std::move(ends));
    lane_->Start(std::move(span));
  }
  Sink::Outcome Run(const std::string& input, absl::Duration limit = absl::InfiniteDuration()) {
    Start({input}, limit);
    return sink_.WaitFor(1).at(0);
  }
  Sink& sink() { return sink_; }

 private:
  EventLoop loop_;
  HttpClient client_;
  HandlerRegistry handlers_;
  Sink sink_;
  std::unique_ptr<AsyncLane> lane_;
};

bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string Record(const std::string& url, std::string_view fields) {
  return StrCat(R"({"url":")", url, R"(",)", fields, "}");
}

TEST(HttpHandlerTest, AUrlAloneIsFetched) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int) {
    peer.Answer(200, StrCat("this is ", path), "Content-Type: text/plain\r\n");
    return true;
  });
  const auto outcome = Lane().Run(server.Url("/page"));
  ASSERT_EQ(outcome.state, TaskState::kSucceeded) << outcome.message;
  EXPECT_TRUE(Has(outcome.output, R"("status":200,"bytes":13,"tries":1,"redirects":0)"));
  EXPECT_TRUE(Has(outcome.output, R"("content_type":"text/plain","body":"this is /page"})"));
}

TEST(HttpHandlerTest, MethodHeadersAndBodyAreSentAsGiven) {
  BadServer server([](Peer& peer, const std::string&, const std::string& head, int) {
    const std::string body = peer.Read(4);
    peer.Answer(201, Has(head, "POST / ") && Has(head, "X-Mark: 7\r\n") ? body : "wrong");
    return true;
  });
  const auto outcome = Lane().Run(
      Record(server.Url("/"), R"("method":"post","headers":{"X-Mark":"7"},"body":"data")"));
  EXPECT_TRUE(Has(outcome.output, R"("status":201)")) << outcome.message;
  EXPECT_TRUE(Has(outcome.output, R"("body":"data")"));
}

TEST(HttpHandlerTest, ConnectionsAreUsedAgainAndBoundedPerHost) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int) {
    peer.Answer(200, "");
    return true;
  });
  {
    Lane lane({.max_connections = 10, .max_connections_per_host = 3});
    lane.Start(std::vector<std::string>(200, server.Url("/")));
    for (const auto& [index, outcome] : lane.sink().WaitFor(200))
      ASSERT_EQ(outcome.state, TaskState::kSucceeded) << outcome.message;
  }
  EXPECT_LE(server.most_at_once(), 3);
  EXPECT_LE(server.connections(), 3);
}

TEST(HttpHandlerTest, AServerErrorIsTriedAgainAndRetryAfterIsKept) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int nth) {
    if (nth == 1) peer.Answer(503, "", "Retry-After: 0.2\r\n");
    if (nth == 2) peer.Answer(500, "");
    if (nth == 3) peer.Answer(200, "at last");
    return true;
  });
  const absl::Time began = absl::Now();
  const auto outcome = Lane().Run(server.Url("/"));
  EXPECT_TRUE(Has(outcome.output, R"("tries":3)")) << outcome.message;
  EXPECT_GE(absl::Now() - began, absl::Milliseconds(200));
}

TEST(HttpHandlerTest, ARetryAfterBeyondPatienceIsTheLastAnswer) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int) {
    peer.Answer(503, "", "Retry-After: 86400\r\n");
    return true;
  });
  const auto outcome = Lane().Run(server.Url("/"));
  EXPECT_EQ(outcome.reason, Reason::kHandlerError);
  EXPECT_TRUE(Has(outcome.message, "status 503")) << outcome.message;
  EXPECT_EQ(server.requests("/"), 1);
}

TEST(HttpHandlerTest, ClientErrorsAreFinalBut408And429AreNot) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int) {
    peer.Answer(atoi(path.c_str() + 1), "");
    return true;
  });
  {
    Lane lane;
    lane.Start({server.Url("/404"), server.Url("/408"), server.Url("/429")});
    const auto outcomes = lane.sink().WaitFor(3);
    EXPECT_EQ(outcomes.at(0).reason, Reason::kBadInput);
    EXPECT_TRUE(Has(outcomes.at(0).message, "status 404"));
    EXPECT_EQ(outcomes.at(1).reason, Reason::kHandlerError);
    EXPECT_TRUE(Has(outcomes.at(2).message, "status 429 (3 tries)"));
  }
  EXPECT_EQ(server.requests("/404"), 1);
  EXPECT_EQ(server.requests("/408"), 3);
  EXPECT_EQ(server.requests("/429"), 3);
}

TEST(HttpHandlerTest, AnyStatusIsAResultWhereThatIsAsked) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int) {
    peer.Answer(404, "gone");
    return true;
  });
  const auto outcome = Lane().Run(Record(server.Url("/"), R"("any_status":true)"));
  EXPECT_TRUE(Has(outcome.output, R"("status":404)")) << outcome.message;
}

TEST(HttpHandlerTest, ResetsAreTriedAgainAndTheCauseIsKept) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int) {
    peer.Reset();
    return false;
  });
  const auto outcome = Lane().Run(server.Url("/"));
  EXPECT_EQ(outcome.reason, Reason::kHandlerError);
  EXPECT_TRUE(Has(outcome.message, "eset")) << outcome.message;
  EXPECT_TRUE(Has(outcome.message, "(3 tries)")) << outcome.message;
  EXPECT_GE(server.requests("/"), 3);
}

TEST(HttpHandlerTest, WhatMayHaveHadAnEffectIsSentOnceUnlessTriesAreGiven) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int nth) {
    peer.Answer(path == "/asked" && nth == 2 ? 200 : 500, "");
    return true;
  });
  {
    Lane lane;
    lane.Start({Record(server.Url("/once"), R"("method":"POST")"),
                Record(server.Url("/asked"), R"("method":"POST","tries":2)")});
    const auto outcomes = lane.sink().WaitFor(2);
    // The job's own attempts would send it again, too.
    EXPECT_EQ(outcomes.at(0).reason, Reason::kBadInput);
    EXPECT_EQ(outcomes.at(1).state, TaskState::kSucceeded);
  }
  EXPECT_EQ(server.requests("/once"), 1);
}

TEST(HttpHandlerTest, WrongLengthsSlowBodiesAndSilenceAreErrorsWithACause) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int) {
    if (path == "/short") {
      peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
      return false;
    }
    if (path == "/slow") peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow");
    if (path == "/noise") {
      peer.Send("this is no HTTP at all\r\n\r\n");
      return false;
    }
    peer.WaitForClose();
    return false;
  });
  Lane lane;
  const std::string_view impatient = R"("timeout_seconds":0.1,"tries":1)";
  lane.Start({Record(server.Url("/short"), impatient), Record(server.Url("/slow"), impatient),
              Record(server.Url("/silent"), impatient), Record(server.Url("/noise"), impatient)});
  for (const auto& [index, outcome] : lane.sink().WaitFor(4)) {
    EXPECT_EQ(outcome.state, TaskState::kFailed);
    EXPECT_FALSE(outcome.message.ends_with(": ")) << outcome.message;
  }
  EXPECT_TRUE(Has(lane.sink().WaitFor(4).at(1).message, "timed out"));
}

TEST(HttpHandlerTest, AnEndlessBodyIsCutAtItsBound) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int) {
    peer.Send("HTTP/1.1 200 OK\r\n\r\n");
    while (peer.Send(std::string(4096, 'x'))) {
    }
    return false;
  });
  const auto outcome = Lane().Run(Record(server.Url("/"), R"("max_bytes":100000)"));
  EXPECT_EQ(outcome.reason, Reason::kBadInput);
  EXPECT_TRUE(Has(outcome.message, "more than 100000 bytes")) << outcome.message;
  EXPECT_EQ(server.requests("/"), 1);
}

TEST(HttpHandlerTest, RedirectsAreFollowedButNotInCirclesNorToFiles) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int) {
    if (path == "/end") {
      peer.Answer(200, "end");
    } else {
      const std::string_view to = path == "/file"   ? "file:///etc/passwd"
                                  : path == "/loop" ? "/loop"
                                                    : "/end";
      peer.Answer(302, "", StrCat("Location: ", to, "\r\n"));
    }
    return true;
  });
  Lane lane;
  lane.Start({server.Url("/begin"), server.Url("/loop"), server.Url("/file"),
              Record(server.Url("/begin"), R"("max_redirects":0)")});
  const auto outcomes = lane.sink().WaitFor(4);
  EXPECT_TRUE(Has(outcomes.at(0).output, R"("redirects":1)")) << outcomes.at(0).message;
  EXPECT_TRUE(Has(outcomes.at(0).output, R"("body":"end")"));
  EXPECT_EQ(outcomes.at(1).reason, Reason::kBadInput);
  EXPECT_EQ(outcomes.at(2).reason, Reason::kBadInput);
  EXPECT_TRUE(Has(outcomes.at(2).message, "file")) << outcomes.at(2).message;
  EXPECT_TRUE(Has(outcomes.at(3).output, R"("status":302)"));
}

TEST(HttpHandlerTest, OnlyHttpIsSpokenAndBadRecordsNameTheField) {
  Lane lane;
  lane.Start({"file:///etc/passwd", "ftp://127.0.0.1/", "{}", R"({"url":"http://x/","tires":3})",
              R"({"url":"http://x/","headers":{"A":"b\r\nC: d"}})",
              R"({"url":"http://x/","max_bytes":99999999})", R"({"url":"http://x/","file":"f"})"});
  const auto outcomes = lane.sink().WaitFor(7);
  const char* const told[] = {
      "no http",   "no http",     "`url` is missing",     "`tires` is unknown",
      "`headers`", "`max_bytes`", "`file` is not allowed"};
  for (const auto& [index, outcome] : outcomes) {
    EXPECT_EQ(outcome.reason, Reason::kBadInput) << index;
    EXPECT_TRUE(Has(outcome.message, told[index])) << outcome.message;
  }
}

TEST(HttpHandlerTest, AConnectionIsGivenBackBeforeABackOff) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int) {
    if (path == "/busy") {
      peer.Answer(503, "", "Retry-After: 100\r\n");
    } else {
      peer.Answer(200, "");
    }
    return true;
  });
  Lane lane({.max_connections = 1, .max_connections_per_host = 1});
  lane.Start({server.Url("/busy"), server.Url("/other")});
  EXPECT_EQ(lane.sink().WaitFor(1).begin()->first, 1u);
}

TEST(HttpHandlerTest, ATaskPastItsTimeLimitClosesItsConnection) {
  std::atomic<bool> closed{false};
  BadServer server([&closed](Peer& peer, const std::string&, const std::string&, int) {
    peer.WaitForClose();
    closed = true;
    closed.notify_all();
    return false;
  });
  Lane lane;
  EXPECT_EQ(lane.Run(server.Url("/"), absl::Milliseconds(50)).reason, Reason::kTimeout);
  closed.wait(false);
}

TEST(HttpHandlerTest, ALargeBodyGoesToAFileBelowTheFolderAndNowhereElse) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int) {
    peer.Answer(path == "/missing" ? 404 : 200, std::string(5 << 20, 'y'));
    return true;
  });
  const std::filesystem::path root = std::filesystem::path(testing::TempDir()) / "http-files";
  std::filesystem::create_directories(root);
  Lane lane({}, {.files_root = root});
  lane.Start({Record(server.Url("/"), R"("file":"large")"),
              Record(server.Url("/"), R"("file":"../outside")"),
              Record(server.Url("/missing"), R"("file":"missing")")});
  const auto outcomes = lane.sink().WaitFor(3);
  EXPECT_TRUE(Has(outcomes.at(0).output, R"("bytes":5242880)")) << outcomes.at(0).message;
  EXPECT_TRUE(Has(outcomes.at(0).output, R"("file":"large"})"));
  EXPECT_EQ(std::filesystem::file_size(root / "large"), 5u << 20);
  EXPECT_EQ(outcomes.at(1).reason, Reason::kBadInput);
  EXPECT_EQ(outcomes.at(2).reason, Reason::kBadInput);
  EXPECT_FALSE(std::filesystem::exists(root / "missing"));
}

TEST(HttpHandlerTest, PublicOnlyMeansThatNothingOfItsOwnNetworkIsEvenConnectedTo) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int) {
    peer.Answer(200, "secret");
    return true;
  });
  const std::string port = server.Url("/").substr(server.Url("/").rfind(':'));
  Lane lane({.public_only = true});
  lane.Start({server.Url("/"), "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port,
              "http://0x7f.1" + port});
  for (const auto& [index, outcome] : lane.sink().WaitFor(4)) {
    EXPECT_EQ(outcome.reason, Reason::kBadInput) << index;
    EXPECT_TRUE(Has(outcome.message, "the address is not a public one")) << outcome.message;
  }
  EXPECT_EQ(server.requests("/"), 0);
}

TEST(HttpHandlerTest, BytesThatAreNoTextComeInBase64) {
  BadServer server([](Peer& peer, const std::string&, const std::string&, int) {
    peer.Answer(200, "\xff\xfe");
    return true;
  });
  EXPECT_TRUE(Has(Lane().Run(server.Url("/")).output, R"("body_base64":"//4=")"));
}

}  // namespace
}  // namespace reeve
