// The JSON that the handler `crawl` takes and gives, and the options of its job.
//
// Private to worker/crawl.
//
// Thread: any.

#ifndef REEVE_WORKER_CRAWL_CRAWL_RECORD_H_
#define REEVE_WORKER_CRAWL_CRAWL_RECORD_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/crawl/page_url.h"

namespace reeve {

// `--param NAME=VALUE`.
struct CrawlBounds {
  uint32_t depth = UINT32_MAX;  // Links followed from a seed, at most.
  std::set<std::string> hosts;  // Beside the page's own.
  std::string path_prefix = "/";
  bool allow_private = false;
  bool heeds_robots = true;
  uint64_t max_bytes = 2u << 20;
  uint32_t max_links = 10'000;  // Of a page.
  uint32_t tries = 3;
  absl::Duration delay;  // Between two requests of a worker to one site.
  absl::Duration timeout = absl::Seconds(30);

  // A link on `page` is to be followed.
  bool Contain(const PageUrl& page, const PageUrl& link) const {
    return (link.host == page.host || hosts.contains(link.host)) &&
           link.path.compare(0, path_prefix.size(), path_prefix) == 0;
  }
};

// Errors: INVALID_ARGUMENT  an unknown option, or a value out of range; names it.
absl::StatusOr<CrawlBounds> ParseCrawlBounds(const std::map<std::string, std::string>& params);

struct CrawlOrder {
  PageUrl page;
  bool is_seed = false;  // Has no depth, and perhaps no key: to be added as a page.
  uint32_t depth = 0;
};

// A URL alone is a seed; pages are `{"url":…,"depth":…}`.
//
// Errors: INVALID_ARGUMENT  neither.
absl::StatusOr<CrawlOrder> ParseCrawlOrder(std::string_view input);
std::string EncodeCrawlOrder(const PageUrl& page, uint32_t depth);

// What is known of a page, one line of JSON.
struct CrawlResult {
  int status = 0;  // 0: no answer.
  uint64_t bytes = 0;
  uint32_t tries = 0;
  absl::Duration took;
  std::string content_type, redirect, error;
  uint64_t links = 0;    // On the page.
  uint64_t follows = 0;  // Of these: within the bounds; each is a task, unless it was one before.
};
std::string EncodeCrawlResult(const CrawlOrder& order, const CrawlResult& result);

}  // namespace reeve

#endif  // REEVE_WORKER_CRAWL_CRAWL_RECORD_H_
