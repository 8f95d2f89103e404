#include "base/replacement.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

std::vector<std::string> Expand(const std::vector<std::string>& argv, std::string_view input,
                                Template::Options options = {}) {
  auto expanded = Template(argv, options).Expand(input, 6);
  EXPECT_TRUE(expanded.ok()) << expanded.status();
  return expanded.ok() ? *expanded : std::vector<std::string>{};
}

TEST(ReplacementTest, PartsOfAPathAreReplacedAnywhereInAnArgument) {
  using Argv = std::vector<std::string>;
  EXPECT_EQ(Expand({"{}", "x{}y", "{.}", "{/}", "{//}", "{/.}", "{#}"}, "a/b.c/d.tar.gz"),
            (Argv{"a/b.c/d.tar.gz", "xa/b.c/d.tar.gzy", "a/b.c/d.tar", "d.tar.gz", "a/b.c", "d.tar",
                  "7"}));
  EXPECT_EQ(Expand({"{.}", "{//}", "{/.}"}, ".bashrc"), (Argv{".bashrc", ".", ".bashrc"}));
  EXPECT_EQ(Expand({"{//}", "{/}"}, "/x"), (Argv{"/", "x"}));
}

TEST(ReplacementTest, WhatTheInputHoldsIsNotReplacedAgain) {
  EXPECT_EQ(Expand({"{}{#}"}, "{#}"), (std::vector<std::string>{"{#}7"}));
}

TEST(ReplacementTest, UnknownBracesStayAsTheyAre) {
  EXPECT_EQ(Expand({"{x}", "{", "}", "${a}", "{.a}"}, "in"),
            (std::vector<std::string>{"{x}", "{", "}", "${a}", "{.a}"}));
}

TEST(ReplacementTest, FieldsOfAJsonRecordAreReplaced) {
  const Template::Options json{.json = true};
  EXPECT_EQ(
      Expand({"{.a}", "{.b.c}", "{.n}", "{}"}, R"({"a":"x y","b":{"c":[1, 2]},"n":1.5})", json),
      (std::vector<std::string>{"x y", "[1,2]", "1.5", R"({"a":"x y","b":{"c":[1, 2]},"n":1.5})"}));
  const auto missing = Template({"{.z}"}, json).Expand("{}", 0);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Template({"{.z}"}, json).Expand("nonsense", 0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ReplacementTest, AShellSeesTheInputQuoted) {
  const Template::Options shell{.shell = true};
  EXPECT_EQ(Expand({"echo {} | wc"}, "it's $(id)", shell),
            (std::vector<std::string>{R"(echo 'it'\''s $(id)' | wc)"}));
}

TEST(ReplacementTest, ANulByteNeverReachesAnArgument) {
  EXPECT_EQ(Template({"{}"}, {}).Expand(std::string_view("a\0b", 3), 0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ReplacementTest, AnArgvInputIsSplitAtItsNulBytes) {
  const auto argv = SplitArgv(std::string_view("a\0\0b c\0", 7));
  ASSERT_TRUE(argv.ok());
  EXPECT_EQ(*argv, (std::vector<std::string>{"a", "", "b c"}));
  EXPECT_FALSE(SplitArgv("a").ok());
  EXPECT_FALSE(SplitArgv("").ok());
}

}  // namespace
}  // namespace reeve
