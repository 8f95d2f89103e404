// URLs of pages in one spelling each, so that a page has one key.
//
// Thread: any.
// Source: RFC 3986, section 6; parsing and resolving are libcurl's.

#ifndef REEVE_WORKER_CRAWL_PAGE_URL_H_
#define REEVE_WORKER_CRAWL_PAGE_URL_H_

#include <optional>
#include <string>
#include <string_view>

namespace reeve {

struct PageUrl {
  std::string text;  // The whole URL, as it is asked for.
  std::string host;  // In lower case, without a port.
  std::string site;  // Scheme, host and port: what robots.txt and politeness go by.
  std::string path;  // With the query.
};

// `reference` as seen on the page `base` ("": it must be absolute). Scheme and host in lower case,
// no default port, no dot segments, no fragment, percent signs with upper-case digits where they
// must stay and none where they need not be.
//
// Returns: nothing for what is no http or https URL, names a user, or is longer than 2,048 bytes.
std::optional<PageUrl> ResolvePageUrl(const std::string& base, std::string_view reference);

}  // namespace reeve

#endif  // REEVE_WORKER_CRAWL_PAGE_URL_H_
