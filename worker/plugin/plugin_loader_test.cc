#include "worker/plugin/plugin_loader.h"

#include <cstdlib>

#include "base/strings.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

class Context final : public TaskContext {
 public:
  JobId job() const override { return JobId(41); }
  TaskIndex index() const override { return 42; }
  uint32_t attempt() const override { return 43; }
  std::string_view param(std::string_view name) const override {
    return name == "p" ? "value" : std::string_view();
  }
  const std::map<std::string, std::string>& params() const override { return params_; }
  absl::Time deadline() const override { return absl::FromUnixMicros(1'500'000); }
  bool cancelled() const override { return true; }
  bool Sleep(absl::Duration duration) override { return duration == absl::Microseconds(1); }
  bool accepts_inputs() const override { return accepts; }
  absl::Status AddInput(const InputKey& key, std::string_view input) override {
    if (!accepts) return TaskContext::AddInput(key, input);
    inputs.emplace_back(key, input);
    return absl::OkStatus();
  }

  absl::Status Count(std::string_view counter, int64_t by) override {
    counters[std::string(counter)] += by;
    return absl::OkStatus();
  }

  bool discarded() const override { return false; }
  std::string_view details() const override { return "before"; }
  absl::Status KeepDetails(std::string_view details) override {
    if (details.size() > 10) return absl::InvalidArgumentError("too long");
    kept = details;
    return absl::OkStatus();
  }
  std::optional<std::string_view> predecessor_result(std::string_view name,
                                                     TaskIndex index) const override {
    if (name != "split" || index != 7) return std::nullopt;
    return "seven";
  }

  std::string kept;
  bool accepts = false;
  std::map<std::string, int64_t> counters;
  std::vector<std::pair<InputKey, std::string>> inputs;

 private:
  std::map<std::string, std::string> params_;
};

std::string Library(const std::string& name) {
  return StrCat(std::getenv("TEST_SRCDIR"), "/", std::getenv("TEST_WORKSPACE"), "/worker/plugin/",
                name, ".so");
}

std::string WhyNot(const std::string& path) {
  HandlerRegistry registry;
  const absl::Status status = LoadPlugin(path, &registry);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_EQ(message.rfind(StrCat("--plugin ", path, ": "), 0), 0u) << message;
  return message.substr(StrCat("--plugin ", path, ": ").size());
}

TEST(PluginLoaderTest, HandlersInCSeeTheirTaskAndAnswerIt) {
  HandlerRegistry registry;
  ASSERT_TRUE(LoadPlugin(Library("good"), &registry).ok());
  EXPECT_EQ(registry.names(),
            (std::vector<std::string>{"add", "forget", "leave", "refuse", "tell"}));
  EXPECT_EQ(registry.options("tell").isolation, Isolation::kNone);
  EXPECT_EQ(registry.options("refuse").isolation, Isolation::kProcess);
  Context task;
  EXPECT_EQ(*(*registry.Find("tell"))(task, "in"),
            "state job=41 index=42 attempt=43 p=value none= deadline=1500000 cancelled=1 slept=0 "
            "input=in");
  EXPECT_EQ((*registry.Find("refuse"))(task, "no").status(), absl::InvalidArgumentError("no"));
  EXPECT_EQ((*registry.Find("refuse"))(task, "").status(), absl::UnknownError(""));
  EXPECT_EQ((*registry.Find("forget"))(task, "").status(),
            absl::InternalError("the plug-in's handler returned without an answer"));
}

TEST(PluginLoaderTest, HandlersInCAddInputsWhereTheJobTakesThem) {
  HandlerRegistry registry;
  ASSERT_TRUE(LoadPlugin(Library("good"), &registry).ok());
  Context task;
  EXPECT_EQ((*registry.Find("add"))(task, "in").status(),
            absl::UnknownError("the job does not accept new inputs"));
  task.accepts = true;
  EXPECT_EQ(*(*registry.Find("add"))(task, "in"), "added");
  ASSERT_EQ(task.inputs.size(), 1u);
  EXPECT_EQ(task.inputs[0].second, "in");
  EXPECT_EQ(task.counters, (std::map<std::string, int64_t>{{"added", 7}}));
}

TEST(PluginLoaderTest, HandlersInCSayWhetherAndWhenToTryAgain) {
  HandlerRegistry registry;
  ASSERT_TRUE(LoadPlugin(Library("good"), &registry).ok());
  Context task;
  const ThreadHandler& leave = *registry.Find("leave");
  const absl::Status never = leave(task, "p").status();
  EXPECT_TRUE(IsPermanent(never));
  EXPECT_EQ(never.message(), "never");
  const absl::Status later = leave(task, "a").status();
  EXPECT_FALSE(IsPermanent(later));
  EXPECT_EQ(AgainWait(later), absl::Milliseconds(1'500));
  EXPECT_EQ(later.message(), "later");
  EXPECT_FALSE(IsPermanent((*registry.Find("refuse"))(task, "").status()));
}

TEST(PluginLoaderTest, HandlersInCHaveDetailsAndResultsOfPredecessors) {
  HandlerRegistry registry;
  ASSERT_TRUE(LoadPlugin(Library("good"), &registry).ok());
  Context task;
  const ThreadHandler& leave = *registry.Find("leave");
  EXPECT_EQ(*leave(task, "own"), "details=before result=seven none=1 discarded=0");
  EXPECT_EQ(task.kept, "own");
  EXPECT_EQ(leave(task, "much too long").status(), absl::UnknownError("too long"));
  EXPECT_EQ(task.kept, "own");
}

TEST(PluginLoaderTest, WhatIsNoPluginOfThisVersionIsRefusedWithItsName) {
  EXPECT_EQ(WhyNot("/nowhere.so"), "No such file or directory");
  EXPECT_EQ(WhyNot(Library("not_one")),
            "is no plug-in: it defines no reeve_plugin_abi or no reeve_plugin_register");
  EXPECT_EQ(WhyNot(Library("other_version")),
            "was built for version 2 of the boundary, this worker has 1");
  EXPECT_EQ(WhyNot(Library("bad_name")), "`Not A Name` is no name for a handler: [a-z0-9_-]{1,64}");
  EXPECT_EQ(WhyNot(Library("refusing")), "its registration failed");
  EXPECT_NE(WhyNot("/etc/passwd"), "");
}

}  // namespace
}  // namespace reeve
