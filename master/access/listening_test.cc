#include "master/access/listening.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace reeve {
namespace {

using Hosts = std::vector<std::string>;

TEST(Listening, IsLoopbackWithoutKeysByDefault) {
  const Listening listening = DecideListening({}).value();
  EXPECT_EQ(listening.hosts, Hosts{"127.0.0.1"});
  EXPECT_FALSE(listening.is_protected || listening.is_open);
  EXPECT_EQ(listening.Addresses(7521, "tcp://"), Hosts{"tcp://127.0.0.1:7521"});
}

TEST(Listening, BeyondLoopbackIsProtectedAndKeepsLoopback) {
  const Listening listening = DecideListening({.hosts = {"10.0.0.5", "fd00::5"}}).value();
  EXPECT_TRUE(listening.is_protected);
  EXPECT_EQ(listening.Addresses(1), (Hosts{"10.0.0.5:1", "[fd00::5]:1", "127.0.0.1:1"}));
  EXPECT_EQ(DecideListening({.hosts = {"*"}}).value().hosts, Hosts{"0.0.0.0"});
  EXPECT_EQ(DecideListening({.hosts = {"10.0.0.5", "127.0.0.2"}}).value().hosts,
            (Hosts{"10.0.0.5", "127.0.0.2"}));
}

TEST(Listening, LoopbackIsProtectedOnRequestAndAHostCountsOnce) {
  const Listening listening =
      DecideListening({.hosts = {"127.0.0.1", "127.0.0.1"}, .encrypt = true}).value();
  EXPECT_TRUE(listening.is_protected);
  EXPECT_EQ(listening.hosts, Hosts{"127.0.0.1"});
}

TEST(Listening, PlainBeyondLoopbackIsRefusedUnlessItIsMeant) {
  for (const char* host : {"0.0.0.0", "*", "::", "::ffff:0.0.0.0", "192.0.2.1"}) {
    const auto refused = DecideListening({.hosts = {host}, .plaintext = true});
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << host;
    const auto meant = DecideListening({.hosts = {host}, .plaintext = true, .insecure = true});
    ASSERT_TRUE(meant.ok()) << host;
    EXPECT_TRUE(meant->is_open && !meant->is_protected) << host;
  }
  EXPECT_FALSE(DecideListening({.plaintext = true}).value().is_open);
  EXPECT_FALSE(DecideListening({.encrypt = true, .plaintext = true}).ok());
}

TEST(Listening, TheCertificateIsForWhatThisMachineIsCalled) {
  const Hosts names = DecideListening({.hosts = {"10.0.0.5", "::"}}).value().Names({"m.example"});
  for (const char* name : {"m.example", "localhost", "127.0.0.1", "::1", "10.0.0.5"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  EXPECT_EQ(std::find(names.begin(), names.end(), "::"), names.end());
}

}  // namespace
}  // namespace reeve
