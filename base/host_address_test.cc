#include "base/host_address.h"

#include <gtest/gtest.h>

namespace reeve {
namespace {

TEST(HostAddress, LoopbackIsWhatNobodyElseReaches) {
  for (const char* host : {"127.0.0.1", "127.8.8.8", "::1", "localhost", "::ffff:127.0.0.1"})
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "*", "10.0.0.5", "fd00::5", "::ffff:0.0.0.0",
                           "::ffff:10.0.0.5", "eth0", "no-such-host.invalid", ""})
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
}

TEST(HostAddress, PortsAreTakenApartAndPutTogether) {
  for (const char* text : {"10.0.0.5:7520", "[fd00::5]:1", "name.example:65535"}) {
    const auto parsed = ParseHostPort(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(WithPort(parsed->host, parsed->port), text);
  }
  for (const char* text : {"", ":", "host", "host:", ":7520", "host:0", "host:65536", "host:x",
                           "fd00::5:7520", "[fd00::5]", "[host]:1", "a/b:1", "[]:1", "a b:1"})
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
}

TEST(HostAddress, WildcardsAreTheThreeWaysToSayAll) {
  EXPECT_TRUE(IsWildcardHost("0.0.0.0") && IsWildcardHost("::") && IsWildcardHost("*"));
  EXPECT_FALSE(IsWildcardHost("127.0.0.1"));
}

}  // namespace
}  // namespace reeve
