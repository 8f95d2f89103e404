#include "worker/crawl/crawl_handler.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "base/input_key.h"
#include "base/strings.h"
#include "worker/crawl/crawl_record.h"
#include "worker/crawl/links.h"
#include "worker/crawl/robots.h"

namespace reeve {
namespace {

constexpr std::string_view kAgent = "reeve";
constexpr size_t kMostSites = 10'000;
constexpr absl::Duration kRobotsLast = absl::Hours(24);
// A site whose robots.txt cannot be had may not be crawled, and is asked again after this.
constexpr absl::Duration kRobotsAgain = absl::Minutes(5);

// What a worker knows of a site (scheme, host and port).
struct Site {
  RobotsRules robots;
  std::string robots_missing;  // Why they cannot be had; "": they can.
  absl::Time robots_until = absl::InfinitePast();
  bool is_asking = false;
  // Those who wait for the one who asks.
  std::map<uint64_t, Awaited<bool>::Done> waiting;
  uint64_t next_number = 1;
  absl::Time next_request = absl::InfinitePast();
};

struct Crawler {
  HttpClient* any;
  HttpClient* public_only;
  HttpPatience patience;
  std::map<std::string, std::shared_ptr<Site>> sites;

  HttpClient* ClientFor(const CrawlBounds& bounds) const {
    return bounds.allow_private ? any : public_only;
  }
  // What one job may not connect to says nothing about the site to another.
  std::shared_ptr<Site> SiteOf(const PageUrl& page, const CrawlBounds& bounds) {
    const std::string name = StrCat(page.site, bounds.allow_private ? "" : " public");
    if (sites.size() >= kMostSites && !sites.contains(name)) {
      std::erase_if(sites, [](const auto& site) { return site.second.use_count() == 1; });
    }
    std::shared_ptr<Site>& site = sites[name];
    if (site == nullptr) site = std::make_shared<Site>();
    return site;
  }
};

// Whoever asks for robots.txt wakes the others when it has an answer, and also when it is
// cancelled.
class Asking {
 public:
  Asking(AsyncContext* task, std::shared_ptr<Site> site) : task_(task), site_(std::move(site)) {
    site_->is_asking = true;
  }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  ~Asking() {
    site_->is_asking = false;
    task_->Post([site = site_] {
      for (const auto& [number, done] : std::exchange(site->waiting, {})) done(true);
    });
  }

 private:
  AsyncContext* const task_;
  const std::shared_ptr<Site> site_;
};

Awaited<bool> UntilAsked(AsyncContext& task, std::shared_ptr<Site> site) {
  return task.Await<bool>([site](Awaited<bool>::Done done) {
    const uint64_t number = site->next_number++;
    site->waiting[number] = std::move(done);
    return std::function<void()>([site, number] { site->waiting.erase(number); });
  });
}

// RFC 9309, 2.3.1: what an answer, or none, means.
void TakeRobots(const HttpAnswer& answer, Site* site) {
  site->robots_missing.clear();
  const bool is_there = answer.error.empty() && answer.status < 300;
  const bool is_not = answer.error.empty() && answer.status < 500 && answer.status != 429;
  if (is_there) {
    site->robots = RobotsRules::Parse(answer.body, kAgent);
  } else if (is_not || answer.is_too_large) {
    site->robots = RobotsRules();
  } else {
    site->robots = RobotsRules::DisallowAll();
    site->robots_missing = CauseOf(answer);
  }
  site->robots_until = absl::Now() + (is_there || is_not ? kRobotsLast : kRobotsAgain);
}

Async<> LearnRobots(AsyncContext* task, Crawler* crawler, const CrawlBounds* bounds,
                    const PageUrl* page, std::shared_ptr<Site> site) {
  while (site->robots_until < absl::Now()) {
    if (site->is_asking) {
      co_await UntilAsked(*task, site);
      continue;
    }
    const Asking asking(task, site);
    HttpRequest request;
    request.url = page->site + "/robots.txt";
    request.max_redirects = 5;
    TakeRobots(co_await FetchWith(*task, crawler->ClientFor(*bounds), request), site.get());
  }
}

// Its turn at the site has come.
Async<> TakeTurn(AsyncContext* task, const CrawlBounds* bounds, std::shared_ptr<Site> site) {
  const absl::Duration delay = std::max(
      bounds->delay, bounds->heeds_robots ? site->robots.crawl_delay() : absl::ZeroDuration());
  if (delay == absl::ZeroDuration()) co_return;
  const absl::Time turn = std::max(absl::Now(), site->next_request);
  site->next_request = turn + delay;
  co_await task->Sleep(turn - absl::Now());
}

std::string HeaderOf(const HttpAnswer& answer, std::string_view wanted) {
  for (const auto& [name, value] : answer.headers) {
    if (name == wanted) return value;
  }
  return "";
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool IsHtml(const std::string& content_type) {
  const std::string type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(
      ToAbsl(std::string_view(content_type).substr(0, content_type.find(';')))));
  return type == "text/html" || type == "application/xhtml+xml";
}

absl::Status AddPage(AsyncContext& task, const PageUrl& page, uint32_t depth) {
  return task.AddInput(KeyOf(page.text), EncodeCrawlOrder(page, depth));
}

absl::Status Follow(AsyncContext& task, const CrawlBounds& bounds, const CrawlOrder& order,
                    const HttpAnswer& answer, CrawlResult* result) {
  std::vector<PageUrl> links;
  uint32_t depth = order.depth;
  if (IsRedirect(answer.status)) {
    // No hop is followed here: the page it leads to is a task of its own, within the same bounds.
    auto target = ResolvePageUrl(order.page.text, HeaderOf(answer, "location"));
    if (!target.has_value()) {
      result->error = "a redirect to nowhere";
      return absl::OkStatus();
    }
    result->redirect = target->text;
    links.push_back(*std::move(target));
  } else if (answer.status < 300 && IsHtml(result->content_type)) {
    links = LinksOf(answer.body, order.page.text, bounds.max_links);
    result->links = links.size();
    ++depth;
  }
  if (depth > bounds.depth) return absl::OkStatus();
  for (const PageUrl& link : links) {
    if (!bounds.Contain(order.page, link)) continue;
    const absl::Status added = AddPage(task, link, depth);
    if (absl::IsResourceExhausted(added)) {
      result->error = StrCat("only the first ", result->follows, " links fit a result");
      break;
    }
    if (!added.ok()) return added;
    ++result->follows;
  }
  return absl::OkStatus();
}

Async<absl::StatusOr<std::string>> RunCrawl(AsyncContext* task, std::string input,
                                            Crawler* crawler) {
  const auto bounds = ParseCrawlBounds(task->params());
  if (!bounds.ok()) co_return bounds.status();
  const auto order = ParseCrawlOrder(input);
  if (!order.ok()) co_return order.status();
  if (order->is_seed) {
    // Has its key from now on, as a page that others link to.
    if (absl::Status s = AddPage(*task, order->page, 0); !s.ok()) co_return s;
    co_return std::string();
  }
  const std::shared_ptr<Site> site = crawler->SiteOf(order->page, *bounds);
  CrawlResult result;
  if (bounds->heeds_robots) {
    co_await LearnRobots(task, crawler, &*bounds, &order->page, site);
    if (!site->robots.Allows(order->page.path)) {
      result.error = site->robots_missing.empty()
                         ? "robots.txt disallows it"
                         : StrCat("robots.txt cannot be had: ", site->robots_missing);
      co_return EncodeCrawlResult(*order, result);
    }
  }
  HttpRequest request;
  request.url = order->page.text;
  request.max_redirects = 0;
  request.max_body_bytes = bounds->max_bytes;
  request.total_timeout = bounds->timeout;
  for (result.tries = 1;; ++result.tries) {
    co_await TakeTurn(task, &*bounds, site);
    const HttpAnswer answer = co_await FetchWith(*task, crawler->ClientFor(*bounds), request);
    if (MayPass(answer) && result.tries < bounds->tries) {
      const absl::Duration wait = NextTryAfter(crawler->patience, *task, answer, result.tries);
      if (wait != absl::InfiniteDuration()) {
        co_await task->Sleep(wait);
        continue;
      }
    }
    result.status = answer.status;
    result.bytes = answer.body_bytes;
    result.took = answer.took;
    result.content_type = HeaderOf(answer, "content-type");
    if (!answer.error.empty() || answer.status >= 400) {
      result.error = CauseOf(answer);
    } else if (absl::Status s = Follow(*task, *bounds, *order, answer, &result); !s.ok()) {
      co_return s;
    }
    co_return EncodeCrawlResult(*order, result);
  }
}

}  // namespace

AsyncHandler MakeCrawlHandler(HttpClient* any, HttpClient* public_only,
                              const HttpPatience& patience) {
  const auto crawler = std::make_shared<Crawler>(Crawler{any, public_only, patience, {}});
  return [crawler](AsyncContext& task, std::string input) {
    return RunCrawl(&task, std::move(input), crawler.get());
  };
}

}  // namespace reeve
