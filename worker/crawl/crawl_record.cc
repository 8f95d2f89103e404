#include "worker/crawl/crawl_record.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/ids.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "simdjson.h"

namespace reeve {
namespace {

absl::Status Bad(std::string_view name, std::string_view why) {
  return absl::InvalidArgumentError(StrCat("crawl: `", name, "` ", why));
}

template <typename T>
absl::Status Number(std::string_view name, std::string_view value, uint64_t most, T* number) {
  uint64_t parsed = 0;
  if (!absl::SimpleAtoi(ToAbsl(value), &parsed) || parsed > most)
    return Bad(name, StrCat("must be a number up to ", most));
  *number = static_cast<T>(parsed);
  return absl::OkStatus();
}

absl::Status Seconds(std::string_view name, std::string_view value, double most,
                     absl::Duration* duration) {
  double parsed = 0;
  if (!absl::SimpleAtod(ToAbsl(value), &parsed) || !(parsed >= 0 && parsed <= most))
    return Bad(name, StrCat("must be seconds up to ", most));
  *duration = absl::Seconds(parsed);
  return absl::OkStatus();
}

absl::Status Bool(std::string_view name, std::string_view value, bool* is_set) {
  if (!absl::SimpleAtob(ToAbsl(value), is_set)) return Bad(name, "must be true or false");
  return absl::OkStatus();
}

absl::Status SetBound(std::string_view name, const std::string& value, CrawlBounds* bounds) {
  if (name == "depth") return Number(name, value, UINT32_MAX, &bounds->depth);
  if (name == "max_bytes") return Number(name, value, 64u << 20, &bounds->max_bytes);
  if (name == "max_links") return Number(name, value, 20'000, &bounds->max_links);
  if (name == "tries") return Number(name, value, 100, &bounds->tries);
  if (name == "delay") return Seconds(name, value, 3'600, &bounds->delay);
  if (name == "timeout_seconds") return Seconds(name, value, 86'400, &bounds->timeout);
  if (name == "allow_private") return Bool(name, value, &bounds->allow_private);
  if (name == "robots") return Bool(name, value, &bounds->heeds_robots);
  if (name == "path_prefix") {
    if (value.empty() || value[0] != '/') return Bad(name, "begins with /");
    bounds->path_prefix = value;
    return absl::OkStatus();
  }
  if (name != "hosts") return Bad(name, "is no option");
  for (const auto& host : absl::StrSplit(value, ',', absl::SkipWhitespace()))
    bounds->hosts.insert(absl::AsciiStrToLower(absl::StripAsciiWhitespace(host)));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CrawlBounds> ParseCrawlBounds(const std::map<std::string, std::string>& params) {
  CrawlBounds bounds;
  for (const auto& [name, value] : params) {
    if (absl::Status s = SetBound(name, value, &bounds); !s.ok()) return s;
  }
  bounds.tries = std::max(1u, bounds.tries);
  return bounds;
}

absl::StatusOr<CrawlOrder> ParseCrawlOrder(std::string_view input) {
  CrawlOrder order;
  std::string_view url = ToStd(absl::StripAsciiWhitespace(ToAbsl(input)));
  order.is_seed = url.empty() || url.front() != '{';
  simdjson::dom::parser parser;
  if (!order.is_seed) {
    simdjson::dom::element document;
    uint64_t depth = 0;
    if (parser.parse(url.data(), url.size()).get(document) != simdjson::SUCCESS)
      return absl::InvalidArgumentError("crawl: the record is no JSON");
    if (document["url"].get(url) != simdjson::SUCCESS) return Bad("url", "must be a string");
    order.is_seed = document["depth"].get(depth) != simdjson::SUCCESS;
    order.depth = static_cast<uint32_t>(std::min<uint64_t>(depth, UINT32_MAX - 1));
  }
  auto page = ResolvePageUrl("", url);
  if (!page.has_value()) return Bad("url", "is no http or https URL of a page");
  order.page = *std::move(page);
  return order;
}

std::string EncodeCrawlOrder(const PageUrl& page, uint32_t depth) {
  return StrCat("{\"url\":", JsonString(page.text), ",\"depth\":", depth, "}");
}

std::string EncodeCrawlResult(const CrawlOrder& order, const CrawlResult& result) {
  std::string out =
      StrCat("{\"url\":", JsonString(order.page.text), ",\"depth\":", order.depth,
             ",\"status\":", result.status, ",\"bytes\":", result.bytes,
             ",\"links\":", result.links, ",\"follows\":", result.follows,
             ",\"tries\":", result.tries, ",\"seconds\":", absl::ToDoubleSeconds(result.took));
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string&>{"content_type", result.content_type},
        {"redirect", result.redirect},
        {"error", result.error}}) {
    if (!value.empty()) StrAppend(&out, ",\"", name, "\":", JsonString(value));
  }
  return out + "}\n";
}

}  // namespace reeve
