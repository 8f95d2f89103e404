// The handler `http` on a real lane, against a server that behaves as badly as a test says.

#include "worker/http/http_handler.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/strings.h"
#include "gtest/gtest.h"
#include "worker/async/event_loop.h"
#include "worker/http/bad_server.h"
#include "worker/lanes/async_lane.h"
#include "worker/lanes/lane_test_sink.h"

namespace reeve {
namespace {

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
    lane_->Start(InputsSpan("http", inputs, {}, limit));
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
