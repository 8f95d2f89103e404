// What a worker offers by default depends on where its master is.

#include "worker/sdk/worker_policy.h"

#include "CLI/CLI.hpp"
#include "gtest/gtest.h"

namespace reeve {
namespace {

WorkerPolicy Settled(const std::string& master, const std::string& flags = "") {
  WorkerPolicy policy;
  CLI::App app;
  AddPolicyFlags(&app, &policy);
  app.parse(flags);
  EXPECT_TRUE(Settle(master, false, &policy).ok());
  return policy;
}

TEST(WorkerPolicyTest, CommandsAndShellsForAnotherMachineNeedTheOwnersWord) {
  const WorkerPolicy here = Settled("127.0.0.1:7520"), there = Settled("10.0.0.5:7520");
  EXPECT_TRUE(here.Offers("exec") && here.allows_shell());
  EXPECT_TRUE(there.Offers("http"));
  EXPECT_FALSE(there.Offers("exec") || there.allows_shell());
  const WorkerPolicy named = Settled("10.0.0.5:7520", "--handlers exec,http");
  EXPECT_TRUE(named.Offers("exec") && named.Offers("http"));
  EXPECT_FALSE(named.Offers("jq") || named.allows_shell());
  EXPECT_TRUE(Settled("10.0.0.5:7520", "--allow-shell").allows_shell());
  EXPECT_FALSE(Settled("127.0.0.1:7520", "--no-shell").allows_shell());
}

TEST(WorkerPolicyTest, HandlerNamesAreMatchedExactly) {
  const WorkerPolicy policy = Settled("10.0.0.5:7520", "--handlers exec");
  using std::string_literals::operator""s;
  for (const std::string& name : {"Exec"s, "exec "s, "../exec"s, "еxec"s, "exec\0"s, "exe"s, ""s})
    EXPECT_FALSE(policy.Offers(name)) << name;
}

TEST(WorkerPolicyTest, AnUnknownHandlerAndContradictionsAreErrors) {
  WorkerPolicy unknown{.handlers = {"exec", "shell"}};
  EXPECT_EQ(Settle("127.0.0.1:1", false, &unknown).message(),
            "--handlers: there is no built-in handler `shell`; there are: exec, http, crawl, sql, "
            "jq, echo, sleep, digest");
  WorkerPolicy both{.allow_shell = true, .no_shell = true};
  EXPECT_FALSE(Settle("127.0.0.1:1", false, &both).ok());
}

TEST(WorkerPolicyTest, RootForAnotherMachineIsRefusedUnlessAllowed) {
  EXPECT_TRUE(CheckUser(Settled("127.0.0.1:7520"), true).ok());
  EXPECT_TRUE(CheckUser(Settled("10.0.0.5:7520"), false).ok());
  EXPECT_FALSE(CheckUser(Settled("10.0.0.5:7520"), true).ok());
  EXPECT_TRUE(CheckUser(Settled("10.0.0.5:7520", "--allow-root"), true).ok());
}

TEST(WorkerPolicyTest, LimitsAreTakenWithUnits) {
  const WorkerPolicy policy = Settled("127.0.0.1:1", "--limit-memory 4G --limit-cpu 60");
  EXPECT_EQ(policy.limits.memory_bytes, uint64_t{4} << 30);
  EXPECT_EQ(policy.limits.cpu_seconds, 60u);
}

TEST(WorkerPolicy, OnALinkWithKeysCommandsNeedTheOwnersWordAlsoOnLoopback) {
  WorkerPolicy policy;
  ASSERT_TRUE(Settle("127.0.0.1:7520", true, &policy).ok());
  EXPECT_FALSE(policy.Offers("exec"));
  EXPECT_FALSE(policy.allows_shell());
  EXPECT_TRUE(policy.Offers("echo"));
  EXPECT_TRUE(CheckUser(policy, true).ok());
  policy.handlers = {"exec"};
  EXPECT_TRUE(policy.Offers("exec"));
}

}  // namespace
}  // namespace reeve
