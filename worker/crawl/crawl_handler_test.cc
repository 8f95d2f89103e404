// The handler `crawl` on a real lane, against a server that behaves as badly as a test says: what
// it does about robots.txt, and how politely it asks.

#include "worker/crawl/crawl_handler.h"

#include <latch>

#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "worker/async/event_loop.h"
#include "worker/http/bad_server.h"
#include "worker/http/http_client.h"
#include "worker/lanes/async_lane.h"
#include "worker/lanes/lane_test_sink.h"

namespace reeve {
namespace {

class Lane {
 public:
  Lane() {
    handlers_.AddAsync(
        "crawl", MakeCrawlHandler(&client_, &client_, {.first_backoff = absl::Milliseconds(2)}));
    lane_ = std::make_unique<AsyncLane>(AsyncLane::Options{}, &handlers_, &loop_, &sink_);
  }
  ~Lane() { lane_->Stop(absl::Seconds(30)); }

  void Start(const std::vector<std::string>& urls, std::map<std::string, std::string> params = {},
             uint64_t key = 1) {
    params["allow_private"] = "true";
    std::vector<std::string> inputs;
    for (const std::string& url : urls)
      inputs.push_back(StrCat(R"({"url":")", url, R"(","depth":0})"));
    LaneSpan span = InputsSpan("crawl", inputs, std::move(params));
    span.key = SpanKey(key);
    auto job = std::make_shared<JobContext>(*span.job);
    job->accepts_inputs = true;
    span.job = job;
    lane_->Start(std::move(span));
  }
  std::vector<std::string> Outputs(size_t count) {
    std::vector<std::string> outputs;
    for (const auto& [index, outcome] : sink_.WaitFor(count)) outputs.push_back(outcome.output);
    return outputs;
  }
  AsyncLane& lane() { return *lane_; }
  Sink& sink() { return sink_; }

 private:
  EventLoop loop_;
  HttpClient client_{&loop_, {}};
  HandlerRegistry handlers_;
  Sink sink_;
  std::unique_ptr<AsyncLane> lane_;
};

bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> Pages(const BadServer& server, int count) {
  std::vector<std::string> urls;
  for (int i = 0; i < count; ++i) urls.push_back(server.Url(StrCat("/", i)));
  return urls;
}

TEST(CrawlHandlerTest, ManyTasksOfASiteAskForRobotsOnce) {
  std::latch asked(1);
  BadServer server([&](Peer& peer, const std::string& path, const std::string&, int) {
    if (path == "/robots.txt") {
      asked.wait();
      peer.Answer(200, "User-agent: *\nDisallow: /3\n");
    } else {
      peer.Answer(200, "page");
    }
    return true;
  });
  Lane lane;
  lane.Start(Pages(server, 20));
  while (server.requests("/robots.txt") == 0) absl::SleepFor(absl::Milliseconds(1));
  asked.count_down();
  const auto outputs = lane.Outputs(20);
  EXPECT_EQ(server.requests("/robots.txt"), 1);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(server.requests(StrCat("/", i)), i == 3 ? 0 : 1) << i;
    EXPECT_EQ(Has(outputs[static_cast<size_t>(i)], "robots.txt disallows it"), i == 3) << i;
  }
}

TEST(CrawlHandlerTest, WhileRobotsCannotBeHadNothingIsFetchedAndThatIsSaid) {
  for (const auto& [robots, why] : std::vector<std::pair<std::function<bool(Peer&)>, std::string>>{
           {[](Peer& peer) { return peer.Answer(503, "busy"), true; }, "status 503"},
           {[](Peer& peer) { return peer.Answer(429, "slowly"), true; }, "status 429"},
           {[](Peer& peer) { return peer.Reset(), false; }, "reset"}}) {
    BadServer server(
        [&, robots = robots](Peer& peer, const std::string& path, const std::string&, int) {
          return path == "/robots.txt" ? robots(peer) : (peer.Answer(200, "page"), true);
        });
    Lane lane;
    lane.Start(Pages(server, 5));
    for (const std::string& output : lane.Outputs(5)) {
      EXPECT_TRUE(Has(output, "\"status\":0")) << output;
      EXPECT_TRUE(Has(output, "robots.txt cannot be had: ")) << output;
      EXPECT_TRUE(Has(output, why)) << output;
    }
    for (int i = 0; i < 5; ++i) EXPECT_EQ(server.requests(StrCat("/", i)), 0);
  }
}

TEST(CrawlHandlerTest, WithoutRobotsEverythingMayBeFetched) {
  BadServer server([](Peer& peer, const std::string& path, const std::string&, int) {
    peer.Answer(path == "/robots.txt" ? 404 : 200, "page");
    return true;
  });
  Lane lane;
  lane.Start(Pages(server, 3));
  for (const std::string& output : lane.Outputs(3)) EXPECT_TRUE(Has(output, "\"status\":200"));
}

TEST(CrawlHandlerTest, WhenTheOneWhoAsksIsCancelledAnotherAsks) {
  std::latch first(1);
  BadServer server([&](Peer& peer, const std::string& path, const std::string&, int nth) {
    if (path == "/robots.txt" && nth == 1) {
      first.count_down();
      peer.WaitForClose();
      return false;
    }
    peer.Answer(200, path == "/robots.txt" ? "" : "page");
    return true;
  });
  Lane lane;
  lane.Start(Pages(server, 2));
  first.wait();
  lane.lane().Cancel(SpanKey(1), {0, 1});
  const auto outcomes = lane.sink().WaitFor(2);
  EXPECT_EQ(outcomes.at(0).state, TaskState::kCancelled);
  EXPECT_TRUE(Has(outcomes.at(1).output, "\"status\":200")) << outcomes.at(1).output;
  EXPECT_EQ(server.requests("/robots.txt"), 2);
}

// Times of the server are compared with each other only.
TEST(CrawlHandlerTest, TheLongerOfDelayAndCrawlDelayLiesBetweenRequestsToASite) {
  for (const auto& [delay, crawl_delay] :
       {std::pair<const char*, const char*>{"0.1", "0"}, {"0", "0.1"}, {"0.01", "0.1"}}) {
    Mutex mu;
    std::vector<absl::Time> times;
    BadServer server([&, crawl_delay = crawl_delay](Peer& peer, const std::string& path,
                                                    const std::string&, int) {
      if (path == "/robots.txt") {
        peer.Answer(200, StrCat("User-agent: reeve\nCrawl-delay: ", crawl_delay, "\n"));
        return true;
      }
      {
        MutexLock lock(&mu);
        times.push_back(absl::Now());
      }
      peer.Answer(200, "page");
      return true;
    });
    Lane lane;
    lane.Start(Pages(server, 4), {{"delay", delay}});
    lane.Outputs(4);
    MutexLock lock(&mu);
    ASSERT_EQ(times.size(), 4u);
    // The turns are exact where they are taken; on the way a request may be held up, and the next
    // one not.
    EXPECT_GE(times.back() - times.front(), absl::Milliseconds(250));
  }
}

}  // namespace
}  // namespace reeve
