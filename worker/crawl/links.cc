#include "worker/crawl/links.h"

#include <libxml/HTMLparser.h>
#include <libxml/tree.h>

#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "base/strings.h"

namespace reeve {
namespace {

struct FreeDocument {
  void operator()(xmlDoc* document) const { xmlFreeDoc(document); }
};

bool Is(const xmlNode* node, const char* name) {
  return absl::EqualsIgnoreCase(reinterpret_cast<const char*>(node->name), name);
}

// The attribute that makes `node` a link; null: it is none.
const char* LinkAttribute(const xmlNode* node) {
  if (Is(node, "a") || Is(node, "area")) return "href";
  if (Is(node, "frame") || Is(node, "iframe")) return "src";
  return nullptr;
}

std::string AttributeOf(xmlNode* node, const char* name) {
  xmlChar* const value = xmlGetProp(node, reinterpret_cast<const xmlChar*>(name));
  if (value == nullptr) return "";
  std::string text(reinterpret_cast<const char*>(value));
  xmlFree(value);
  return text;
}

// Deep pages must not take the stack: the next node, in the order of the document.
xmlNode* Next(xmlNode* node) {
  if (node->children != nullptr && node->type == XML_ELEMENT_NODE) return node->children;
  while (node != nullptr && node->next == nullptr) node = node->parent;
  return node == nullptr ? nullptr : node->next;
}

using Document = std::unique_ptr<xmlDoc, FreeDocument>;

// `encoding`: null for the one the page names or seems to have. Sets `is_garbled` if bytes could
// not be read in it: the parser does not go on after them.
Document Parse(std::string_view html, const std::string& url, const char* encoding,
               bool* is_garbled) {
  *is_garbled = false;
  xmlSetStructuredErrorFunc(is_garbled, [](void* garbled, xmlErrorPtr error) {
    if (error->domain == XML_FROM_I18N || error->code == XML_IO_ENCODER ||
        error->code == XML_I18N_CONV_FAILED)
      *static_cast<bool*>(garbled) = true;
  });
  Document document(htmlReadMemory(html.data(), static_cast<int>(html.size()), url.c_str(),
                                   encoding,
                                   HTML_PARSE_RECOVER | HTML_PARSE_NONET | HTML_PARSE_COMPACT));
  xmlSetStructuredErrorFunc(nullptr, nullptr);
  return document;
}

}  // namespace

std::vector<PageUrl> LinksOf(std::string_view html, const std::string& url, size_t most) {
  std::vector<PageUrl> links;
  if (html.empty()) return links;
  bool is_garbled = false;
  Document document = Parse(html, url, nullptr, &is_garbled);
  if (is_garbled) document = Parse(html, url, "ISO-8859-1", &is_garbled);  // Has every byte.
  if (document == nullptr) return links;
  std::string base = url;
  bool has_base = false;
  std::vector<std::string> references;
  for (xmlNode* node = xmlDocGetRootElement(document.get()); node != nullptr; node = Next(node)) {
    if (node->type != XML_ELEMENT_NODE) continue;
    if (!has_base && Is(node, "base")) {
      const auto named = ResolvePageUrl(url, AttributeOf(node, "href"));
      if (named.has_value()) base = named->text;
      has_base = true;
    }
    const char* const attribute = LinkAttribute(node);
    if (attribute == nullptr ||
        xmlHasProp(node, reinterpret_cast<const xmlChar*>(attribute)) == nullptr)
      continue;
    references.push_back(AttributeOf(node, attribute));
  }
  std::set<std::string> seen;
  for (const std::string& reference : references) {
    auto page = ResolvePageUrl(base, reference);
    if (page.has_value() && seen.insert(page->text).second) links.push_back(*std::move(page));
    if (links.size() >= most) break;
  }
  return links;
}

}  // namespace reeve
