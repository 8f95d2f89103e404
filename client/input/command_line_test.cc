#include "client/input/command_line.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

using Words = std::vector<std::string>;

TEST(CommandLineTest, OptionsCommandAndArgumentsAreToldApart) {
  const auto line =
      SplitCommandLine({"map", "--ordered", "--", "wc", "-c", "{}", ":::", "a.log", "--b"});
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->options, (Words{"map", "--ordered"}));
  EXPECT_EQ(line->command, (Words{"wc", "-c", "{}"}));
  EXPECT_EQ(line->arguments, (Words{"a.log", "--b"}));
}

TEST(CommandLineTest, ACommandKeepsItsOwnDoubleDash) {
  EXPECT_EQ(SplitCommandLine({"run", "--", "git", "log", "--", "x"})->command,
            (Words{"git", "log", "--", "x"}));
}

TEST(CommandLineTest, ArgumentsMayFollowAHandler) {
  const auto line = SplitCommandLine({"map", "--handler", "echo", ":::", "x"});
  EXPECT_FALSE(line->command.has_value());
  EXPECT_EQ(line->arguments, (Words{"x"}));
}

TEST(CommandLineTest, TheNearestWordIsSuggestedIfItIsNear) {
  EXPECT_EQ(Suggest("mpa", {"map", "run", "submit"}), "map");
  EXPECT_EQ(Suggest("--orderd", {"--ordered", "--json"}), "--ordered");
  EXPECT_EQ(Suggest("xyzzy", {"map", "run", "submit"}), "");
}

}  // namespace
}  // namespace reeve
