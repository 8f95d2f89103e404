#include "gtest/gtest.h"
#include "worker/crawl/links.h"
#include "worker/crawl/page_url.h"
#include "worker/crawl/robots.h"

namespace reeve {
namespace {

std::string Resolved(const std::string& base, const std::string& reference) {
  const auto page = ResolvePageUrl(base, reference);
  return page.has_value() ? page->text : "";
}

TEST(PageUrlTest, APageHasOneSpelling) {
  for (const char* same : {"http://example.org/a/b?q=1", "HTTP://EXAMPLE.org:80/a/b?q=1#part",
                           " http://example.org/a/./c/../b?q=1 ", "http://example.org/%61/b?q=1",
                           "http://example.org./a/b?q=1", "http://example.org/a/\n b?q=1"}) {
    const std::string expected = std::string(same).find(' ') == std::string::npos || same[0] == ' '
                                     ? "http://example.org/a/b?q=1"
                                     : "http://example.org/a/%20b?q=1";
    EXPECT_EQ(Resolved("", same), expected) << same;
  }
  EXPECT_EQ(Resolved("", "https://example.org"), "https://example.org/");
  EXPECT_EQ(Resolved("", "https://example.org:443/"), "https://example.org/");
  EXPECT_EQ(Resolved("", "http://example.org:8080"), "http://example.org:8080/");
  EXPECT_EQ(Resolved("", "http://example.org/%e4%2f%zz"), "http://example.org/%E4%2F%25zz");
  EXPECT_EQ(Resolved("", "http://example.org/ä"), "http://example.org/%C3%A4");
}

TEST(PageUrlTest, ReferencesAreResolved) {
  const std::string base = "http://h/dir/page?x=1";
  EXPECT_EQ(Resolved(base, "other"), "http://h/dir/other");
  EXPECT_EQ(Resolved(base, "/top"), "http://h/top");
  EXPECT_EQ(Resolved(base, "../up"), "http://h/up");
  EXPECT_EQ(Resolved(base, "../../../up"), "http://h/up");
  EXPECT_EQ(Resolved(base, "?y=2"), "http://h/dir/page?y=2");
  EXPECT_EQ(Resolved(base, "#part"), "http://h/dir/page?x=1");
  EXPECT_EQ(Resolved(base, ""), "http://h/dir/page?x=1");
  EXPECT_EQ(Resolved(base, "//other/p"), "http://other/p");
  EXPECT_EQ(Resolved(base, "a b"), "http://h/dir/a%20b");
}

TEST(PageUrlTest, WhatIsNoPageHasNone) {
  for (const char* other : {"mailto:a@b", "javascript:void(0)", "ftp://h/", "file:///etc/passwd",
                            "data:text/html,x", "http://", "http://user:secret@h/", "tel:1"})
    EXPECT_EQ(Resolved("http://h/", other), "") << other;
  EXPECT_EQ(Resolved("", "relative"), "");
  EXPECT_EQ(Resolved("", "http://h/" + std::string(3'000, 'x')), "");
}

TEST(PageUrlTest, PartsAreThoseOfTheSpelling) {
  const auto page = ResolvePageUrl("", "HTTPS://Example.ORG:8443/a?b");
  EXPECT_EQ(page->host, "example.org");
  EXPECT_EQ(page->site, "https://example.org:8443");
  EXPECT_EQ(page->path, "/a?b");
}

std::vector<std::string> Links(std::string_view html, size_t most = 100) {
  std::vector<std::string> texts;
  for (const PageUrl& page : LinksOf(html, "http://h/d/p", most)) texts.push_back(page.text);
  return texts;
}
using Texts = std::vector<std::string>;

TEST(LinksTest, EachPageOnceInOrder) {
  EXPECT_EQ(Links("<a href=b>1</a><A HREF='/c'>2</A><a href=\"b#x\">3</a><a name=n>4</a>"
                  "<area href=d><iframe src=e></iframe><img src=f><a href='mailto:x@y'>5</a>"),
            (Texts{"http://h/d/b", "http://h/c", "http://h/d/d", "http://h/d/e"}));
  EXPECT_EQ(Links("<a href=1><a href=2><a href=3>", 2), (Texts{"http://h/d/1", "http://h/d/2"}));
}

TEST(LinksTest, TheBaseIsHeeded) {
  EXPECT_EQ(Links("<head><base href='/x/'><base href='/no/'></head><a href=b>"),
            Texts{"http://h/x/b"});
}

TEST(LinksTest, BrokenMarkupStillHasItsLinks) {
  EXPECT_EQ(Links("<html><body><p><a href='a'>un<b>closed<table><a href=\"b\"<<p></i></html>"
                  "<a href=c>after the end"),
            (Texts{"http://h/d/a", "http://h/d/b", "http://h/d/c"}));
  EXPECT_EQ(Links("<!-- <a href=no> --><script>'<a href=no>'</script><a href=yes&amp;x>"),
            Texts{"http://h/d/yes&x"});
  EXPECT_EQ(Links(""), Texts{});
  EXPECT_EQ(Links("just text"), Texts{});
}

TEST(LinksTest, PagesThatAreNotInTheEncodingTheyNameStillHaveTheirLinks) {
  for (const char* meta :
       {"", "<meta charset=nonsense>", "<meta charset=utf-8>", "<meta charset=utf-16>",
        "<meta http-equiv=content-type content='text/html; charset=shift_jis'>"}) {
    EXPECT_EQ(
        Links(std::string(meta) + "\xc3(\x80\xff<a href=a>\x80\xfe</a>\xed\xa0\x80<a href=b>"),
        (Texts{"http://h/d/a", "http://h/d/b"}))
        << meta;
  }
  EXPECT_EQ(Links("<meta charset=utf-8><a href='\xc3\xa4'>"), Texts{"http://h/d/%C3%A4"});
  EXPECT_EQ(Links("<meta charset=iso-8859-1><a href='\xe4'>"), Texts{"http://h/d/%C3%A4"});
}

TEST(LinksTest, DeepMarkupTakesNoStack) {
  std::string deep;
  for (int i = 0; i < 200'000; ++i) deep += "<div>";
  EXPECT_LE(Links(deep + "<a href=a>").size(), 1u);
}

TEST(RobotsTest, TheLongestRuleDecidesAndAllowAmongEquals) {
  const RobotsRules rules = RobotsRules::Parse(
      "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /a/b/c\nDisallow: /x\nAllow: /x\n",
      "reeve");
  EXPECT_TRUE(rules.Allows("/"));
  EXPECT_FALSE(rules.Allows("/a"));
  EXPECT_FALSE(rules.Allows("/another"));
  EXPECT_TRUE(rules.Allows("/a/b"));
  EXPECT_FALSE(rules.Allows("/a/b/c?d"));
  EXPECT_TRUE(rules.Allows("/x"));
  EXPECT_TRUE(rules.Allows("/robots.txt"));
}

TEST(RobotsTest, PatternsHaveStarsAndAnEnd) {
  const RobotsRules rules = RobotsRules::Parse(
      "user-agent:*\ndisallow: /*.gif$\ndisallow: /private*/x\ndisallow: /end$\n", "reeve");
  EXPECT_FALSE(rules.Allows("/a/b.gif"));
  EXPECT_TRUE(rules.Allows("/a/b.gif?size=1"));
  EXPECT_FALSE(rules.Allows("/private-stuff/x/y"));
  EXPECT_TRUE(rules.Allows("/private-stuff/y"));
  EXPECT_FALSE(rules.Allows("/end"));
  EXPECT_TRUE(rules.Allows("/ending"));
}

TEST(RobotsTest, TheGroupOfTheAgentReplacesThatOfAll) {
  const std::string text =
      "# comment\nSitemap: http://h/s\nUser-agent: other\nUser-agent: Reeve\nCrawl-delay: 2.5\n"
      "Disallow: /mine # why\n\nUser-agent: *\nDisallow: /\n\nUser-agent: reeve\nDisallow: /too\n";
  const RobotsRules own = RobotsRules::Parse(text, "reeve");
  EXPECT_TRUE(own.Allows("/"));
  EXPECT_FALSE(own.Allows("/mine"));
  EXPECT_FALSE(own.Allows("/too"));
  EXPECT_EQ(own.crawl_delay(), absl::Seconds(2.5));
  EXPECT_FALSE(RobotsRules::Parse(text, "somebody").Allows("/"));
}

TEST(RobotsTest, NothingForbidsNothing) {
  EXPECT_TRUE(RobotsRules::Parse("", "reeve").Allows("/a"));
  EXPECT_TRUE(RobotsRules::Parse("User-agent: *\nDisallow:\n", "reeve").Allows("/a"));
  EXPECT_TRUE(RobotsRules::Parse("<html>not found</html>", "reeve").Allows("/a"));
  EXPECT_FALSE(RobotsRules::DisallowAll().Allows("/a"));
}

}  // namespace
}  // namespace reeve
