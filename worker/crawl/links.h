// The links of an HTML page.
//
// Thread: any.
// Source: libxml2's HTML parser, which recovers from broken markup.

#ifndef REEVE_WORKER_CRAWL_LINKS_H_
#define REEVE_WORKER_CRAWL_LINKS_H_

#include <string>
#include <string_view>
#include <vector>

#include "worker/crawl/page_url.h"

namespace reeve {

// What `html`, found at `url`, links to by <a>, <area>, <frame> and <iframe>, its <base> heeded:
// each page once, in the order in which they come, at most `most`. Whatever is no URL of a page is
// left out.
std::vector<PageUrl> LinksOf(std::string_view html, const std::string& url, size_t most);

}  // namespace reeve

#endif  // REEVE_WORKER_CRAWL_LINKS_H_
