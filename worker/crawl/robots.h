// What a site's robots.txt lets a crawler do.
//
// Thread: any.
// Source: RFC 9309; `Crawl-delay` is a common extension.

#ifndef REEVE_WORKER_CRAWL_ROBOTS_H_
#define REEVE_WORKER_CRAWL_ROBOTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace reeve {

class RobotsRules {
 public:
  // Everything is allowed.
  RobotsRules() = default;
  // Those for `agent` (a product token), or for `*` where it is not named. Reads the first 500 KiB.
  static RobotsRules Parse(std::string_view text, std::string_view agent);
  static RobotsRules DisallowAll();

  // `path` with its query. The longest rule that matches decides, `Allow` among equals.
  bool Allows(std::string_view path) const;
  absl::Duration crawl_delay() const { return crawl_delay_; }

 private:
  struct Rule {
    bool allows;
    std::string pattern;
  };
  std::vector<Rule> rules_;
  absl::Duration crawl_delay_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_CRAWL_ROBOTS_H_
