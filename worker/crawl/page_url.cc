#include "worker/crawl/page_url.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMostUrlBytes = 2'048;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// "" if the part is not there.
std::string PartOf(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return "";
  std::string owned(text);
  curl_free(text);
  return owned;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsUnreserved(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

// Escapes of what needs none are taken away, the others get upper-case digits; a percent sign that
// begins no escape, and what no URL may hold, are escaped.
std::string Normalised(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  const auto escape = [&out](unsigned char byte) {
    out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_escape =
        c == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0;
    if (is_escape) {
      const auto byte =
          static_cast<unsigned char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
      if (IsUnreserved(static_cast<char>(byte))) {
        out += static_cast<char>(byte);
      } else {
        escape(byte);
      }
    } else if (c <= ' ' || c == 0x7f ||
               std::string_view("%\"<>\\^`{|}").find(c) != std::string_view::npos) {
      escape(static_cast<unsigned char>(c));  // Bytes above 0x7f are negative.
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::optional<PageUrl> ResolvePageUrl(const std::string& base, std::string_view reference) {
  reference = ToStd(absl::StripAsciiWhitespace(ToAbsl(reference.substr(0, reference.find('#')))));
  // Browsers drop these wherever they are in an attribute.
  std::string cleaned;
  for (const char c : reference) {
    if (c != '\t' && c != '\n' && c != '\r') cleaned += c;
  }
  if (cleaned.size() > kMostUrlBytes || cleaned.find('\0') != std::string::npos) return {};
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (!base.empty() && curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK)
    return {};
  // An empty reference is the page itself.
  if (!cleaned.empty() || base.empty()) {
    if (curl_url_set(url.get(), CURLUPART_URL, cleaned.c_str(), CURLU_URLENCODE) != CURLUE_OK)
      return {};
  }
  const std::string scheme = absl::AsciiStrToLower(PartOf(url.get(), CURLUPART_SCHEME));
  if ((scheme != "http" && scheme != "https") || !PartOf(url.get(), CURLUPART_USER).empty() ||
      !PartOf(url.get(), CURLUPART_PASSWORD).empty())
    return {};
  PageUrl page;
  page.host = absl::AsciiStrToLower(PartOf(url.get(), CURLUPART_HOST));
  if (page.host.size() > 1 && page.host.back() == '.') page.host.pop_back();
  if (page.host.empty()) return {};
  const std::string port = PartOf(url.get(), CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
  page.site = StrCat(scheme, "://", page.host, port.empty() ? "" : ":", port);
  page.path = Normalised(PartOf(url.get(), CURLUPART_PATH));
  if (page.path.empty()) page.path = "/";
  const std::string query = PartOf(url.get(), CURLUPART_QUERY);
  if (!query.empty()) StrAppend(&page.path, "?", Normalised(query));
  page.text = page.site + page.path;
  if (page.text.size() > kMostUrlBytes) return {};
  return page;
}

}  // namespace reeve
