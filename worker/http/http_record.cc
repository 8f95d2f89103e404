#include "worker/http/http_record.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "base/ids.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "simdjson.h"
#include "worker/handlers/record_field.h"

namespace reeve {
namespace {

// A result has its body escaped, in the worst case six bytes for one.
constexpr uint64_t kMostBodyBytes = kMaxPayloadBytes;
constexpr uint64_t kMostFileBytes = uint64_t{1} << 40;

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f &&
           std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
  });
}

bool HasControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; });
}

absl::Status SetHeaders(const RecordField& field, HttpRequest* request) {
  simdjson::dom::object object;
  if (field.is_text() || field.element().get(object) != simdjson::SUCCESS)
    return field.Bad("must be an object of strings");
  for (const auto& [name, element] : object) {
    std::string_view text;
    if (element.get(text) != simdjson::SUCCESS) return field.Bad("must be an object of strings");
    if (!IsToken(name) || HasControls(text))
      return field.Bad(StrCat("has a name or value that no header may have: ", JsonString(name)));
    request->headers.emplace_back(name, text);
  }
  return absl::OkStatus();
}

absl::Status SetField(const RecordField& field, HttpOrder* order) {
  HttpRequest& request = order->request;
  const std::string_view name = field.name();
  if (name == "url")
    return Put(field.String(), [&](const std::string& text) { request.url = text; });
  if (name == "method") {
    if (absl::Status s =
            Put(field.String(),
                [&](const std::string& text) { request.method = absl::AsciiStrToUpper(text); });
        !s.ok())
      return s;
    return IsToken(request.method) && request.method.size() <= 32 ? absl::OkStatus()
                                                                  : field.Bad("is no HTTP method");
  }
  if (name == "headers") return SetHeaders(field, &request);
  if (name == "body")
    return Put(field.String(), [&](const std::string& text) { request.body = text; });
  if (name == "body_base64") {
    const auto text = field.String();
    if (!text.ok()) return text.status();
    return absl::Base64Unescape(*text, &request.body) ? absl::OkStatus()
                                                      : field.Bad("is no base64");
  }
  if (name == "proxy")
    return Put(field.String(), [&](const std::string& text) { request.proxy = text; });
  if (name == "file")
    return Put(field.String(), [&](const std::string& text) { order->file = text; });
  if (name == "timeout_seconds")
    return Put(field.Number(0.001, 86'400),
               [&](double n) { request.total_timeout = absl::Seconds(n); });
  if (name == "connect_timeout_seconds")
    return Put(field.Number(0.001, 3'600),
               [&](double n) { request.connect_timeout = absl::Seconds(n); });
  if (name == "max_redirects")
    return Put(field.Number(0, 50),
               [&](double n) { request.max_redirects = static_cast<uint32_t>(n); });
  if (name == "max_bytes")
    return Put(field.Number(0, static_cast<double>(kMostFileBytes)),
               [&](double n) { request.max_body_bytes = static_cast<uint64_t>(n); });
  if (name == "tries")
    return Put(field.Number(1, 100), [&](double n) {
      order->tries = static_cast<uint32_t>(n);
      order->are_tries_given = true;
    });
  if (name == "any_status") return Put(field.Bool(), [&](bool b) { order->any_status = b; });
  if (name == "include_headers")
    return Put(field.Bool(), [&](bool b) { order->include_headers = b; });
  return field.Bad("is unknown");
}

}  // namespace

absl::StatusOr<HttpOrder> ParseHttpOrder(std::string_view input,
                                         const std::map<std::string, std::string>& params) {
  HttpOrder order;
  order.request.max_body_bytes = 0;
  const auto set = [&order](const RecordField& field) { return SetField(field, &order); };
  if (absl::Status s = ForEachParam("http", params, set); !s.ok()) return s;
  const std::string_view text = ToStd(absl::StripAsciiWhitespace(ToAbsl(input)));
  if (!text.empty() && text.front() != '{') {
    order.request.url = std::string(text);
  } else if (absl::Status s = ForEachField("http", text, set); !s.ok()) {
    return s;
  }
  if (order.request.url.empty()) return BadField("http", "url", "is missing");
  if (HasControls(order.request.url) || order.request.url.find(' ') != std::string::npos)
    return BadField("http", "url", "has spaces or control characters");
  // The bound, unless it was given.
  uint64_t& most = order.request.max_body_bytes;
  if (most == 0) most = order.file.empty() ? HttpRequest().max_body_bytes : kMostFileBytes;
  if (order.file.empty() && most > kMostBodyBytes)
    return BadField("http", "max_bytes", StrCat("is at most ", kMostBodyBytes, " without `file`"));
  return order;
}

std::string HttpResult(const HttpOrder& order, const HttpAnswer& answer, uint32_t tries) {
  std::string out;
  out.reserve(answer.body.size() + answer.url.size() + 256);
  out += "{\"url\":";
  AppendJson(answer.url, &out);
  StrAppend(&out, ",\"status\":", answer.status, ",\"bytes\":", answer.body_bytes,
            ",\"tries\":", tries, ",\"redirects\":", answer.redirects,
            ",\"seconds\":", absl::ToDoubleSeconds(answer.took));
  for (const auto& [name, value] : answer.headers) {
    if (order.include_headers || name != "content-type") continue;
    out += ",\"content_type\":";
    AppendJson(value, &out);
    break;
  }
  if (order.include_headers) {
    // Repeated ones become one, as RFC 9110, 5.3 has it.
    std::map<std::string, std::string> joined;
    for (const auto& [name, value] : answer.headers) {
      const auto [it, is_new] = joined.emplace(name, value);
      if (!is_new) StrAppend(&it->second, ", ", value);
    }
    out += ",\"headers\":{";
    bool first = true;
    for (const auto& [name, value] : joined) {
      if (!std::exchange(first, false)) out += ',';
      AppendJson(name, &out);
      out += ':';
      AppendJson(value, &out);
    }
    out += '}';
  }
  if (!order.file.empty()) {
    out += ",\"file\":";
    AppendJson(order.file, &out);
  } else if (IsUtf8(answer.body)) {
    out += ",\"body\":";
    AppendJson(answer.body, &out);
  } else {
    StrAppend(&out, ",\"body_base64\":\"", absl::Base64Escape(answer.body), "\"");
  }
  return out + "}";
}

}  // namespace reeve
