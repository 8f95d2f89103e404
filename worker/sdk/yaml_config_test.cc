// A file says what flags say, and nothing else.

#include "worker/sdk/yaml_config.h"

#include <unistd.h>

#include <fstream>

#include "CLI/CLI.hpp"
#include "gtest/gtest.h"

namespace reeve {
namespace {

struct Settings {
  uint32_t slots = 1;
  std::vector<std::string> handlers;
  bool no_shell = false;
  std::vector<std::string> labels;
};

Settings Parsed(const std::string& yaml, const std::string& flags = "") {
  const std::string path = testing::TempDir() + "/worker." + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << yaml;
  Settings settings;
  CLI::App app;
  app.add_option("--slots", settings.slots);
  app.add_option("--handlers", settings.handlers)->delimiter(',');
  app.add_flag("--no-shell", settings.no_shell);
  app.add_option("--label,--labels", settings.labels);
  AddYamlConfig(&app);
  app.parse("--config " + path + " " + flags);
  return settings;
}

TEST(YamlConfigTest, AFileSetsFlagsByName) {
  const Settings settings = Parsed("slots: 8\nhandlers: [exec, http]\nno-shell: true\n");
  EXPECT_EQ(settings.slots, 8u);
  EXPECT_EQ(settings.handlers, (std::vector<std::string>{"exec", "http"}));
  EXPECT_TRUE(settings.no_shell);
  EXPECT_EQ(Parsed("").slots, 1u);
}

TEST(YamlConfigTest, AMapIsAListOfNamesWithValues) {
  const std::vector<std::string> labels = {"disk=ssd", "zone=a"};
  EXPECT_EQ(Parsed("labels: {disk: ssd, zone: a}").labels, labels);
  EXPECT_EQ(Parsed("labels: [disk=ssd, zone=a]").labels, labels);
  EXPECT_THROW(Parsed("labels: {disk: [ssd]}"), CLI::ParseError);
}

TEST(YamlConfigTest, TheCommandLineCountsMore) {
  EXPECT_EQ(Parsed("slots: 8\n", "--slots 3").slots, 3u);
}

TEST(YamlConfigTest, WhatIsNoFlagOrNoValueIsAnError) {
  for (const char* yaml : {"slot: 8", "slots: {a: 1}", "slots: [[1]]", "- slots", "slots: 'x",
                           "slots: many", "slots:", "slots: []"}) {
    EXPECT_THROW(Parsed(yaml), CLI::ParseError) << yaml;
  }
}

}  // namespace
}  // namespace reeve
