#include "master/access/identity.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "base/error.h"
#include "base/state_folder.h"
#include "base/strings.h"

namespace reeve {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class IdentityTest : public testing::Test {
 protected:
  IdentityTest() {
    char folder[] = "/tmp/identity_test.XXXXXX";
    folder_ = mkdtemp(folder);
  }
  std::unique_ptr<MasterIdentity> Open(std::vector<std::string> names = {"10.0.0.5"},
                                       absl::Time now = kNow) {
    auto opened = MasterIdentity::Open(folder_, "c-1", std::move(names), now);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return std::move(*opened);
  }
  std::string Content(const std::string& name) const {
    return ReadSmallFile(StrCat(folder_, "/", name)).value();
  }
  std::string folder_;
};

TEST_F(IdentityTest, IsMadeOnceAndKept) {
  const auto first = Open();
  const std::string server = Content("server.pem");
  const auto again = Open();
  EXPECT_EQ(again->fingerprint(), first->fingerprint());
  EXPECT_EQ(again->current().secret_key, first->current().secret_key);
  EXPECT_EQ(again->next_public_key(), first->next_public_key());
  EXPECT_EQ(Content("server.pem"), server);
}

TEST_F(IdentityTest, ItsFilesAreForTheOwnerAlone) {
  const auto identity = Open();
  for (const char* name : {"ca.key", "server.pem", "link.keys"}) {
    struct stat status {};
    ASSERT_EQ(stat(StrCat(folder_, "/", name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(IdentityTest, TheCertificateIsRenewedInGoodTimeAndForNewNames) {
  Open();
  const std::string server = Content("server.pem");
  Open({"10.0.0.5"}, kNow + absl::Hours(24 * 59));
  EXPECT_EQ(Content("server.pem"), server);
  Open({"10.0.0.5"}, kNow + absl::Hours(24 * 61));
  const std::string renewed = Content("server.pem");
  EXPECT_NE(renewed, server);
  const auto identity = Open({"10.0.0.5", "host.example"}, kNow + absl::Hours(24 * 61));
  EXPECT_TRUE(IsFor(Content("server.pem"), {"host.example", "10.0.0.5"}));
  EXPECT_EQ(Fingerprint(Content("ca.pem")).value(), identity->fingerprint());
}

TEST_F(IdentityTest, TheNextLinkKeyIsKnownBeforeItCounts) {
  const auto identity = Open();
  const std::string next = identity->next_public_key(), server = Content("server.pem");
  ASSERT_TRUE(identity->Rotate(kNow).ok());
  EXPECT_EQ(identity->current().public_key, next);
  EXPECT_NE(identity->next_public_key(), next);
  EXPECT_NE(Content("server.pem"), server);
  EXPECT_EQ(Open()->current().public_key, next);
}

// A second change at once would lock out every worker that had not learned of the first.
TEST_F(IdentityTest, KeysDoNotChangeTwiceInAMinuteAlsoAcrossARestart) {
  ASSERT_TRUE(Open()->Rotate(kNow).ok());
  const auto identity = Open();
  const std::string current = identity->current().public_key;
  EXPECT_EQ(ErrorReason(identity->Rotate(kNow + absl::Seconds(59))), "KEYS_CHANGED");
  EXPECT_EQ(identity->current().public_key, current);
  EXPECT_TRUE(identity->Rotate(kNow + absl::Seconds(61)).ok());
  EXPECT_NE(identity->current().public_key, current);
}

TEST_F(IdentityTest, DamagedFilesAreNamed) {
  Open();
  for (const char* name : {"link.keys", "ca.pem"}) {
    const std::string file = StrCat(folder_, "/", name), content = Content(name);
    std::ofstream(file) << "nonsense";
    const auto opened = MasterIdentity::Open(folder_, "c-1", {}, kNow);
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition) << name;
    EXPECT_NE(opened.status().message().find(name), absl::string_view::npos);
    std::ofstream(file) << content << "\n";
  }
}

}  // namespace
}  // namespace reeve
