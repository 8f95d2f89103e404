#include "master/access/access.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/strings.h"
#include "base/zmq_curve.h"

namespace reeve {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class AccessTest : public testing::Test {
 protected:
  AccessTest() {
    char folder[] = "/tmp/access_test.XXXXXX";
    file_ = StrCat(mkdtemp(folder), "/access.json");
    Open();
  }
  void Open() {
    auto opened = Access::Open({.file = file_, .root_token = "root-secret", .fingerprint = "ffff"});
    ASSERT_TRUE(opened.ok()) << opened.status();
    access_ = std::move(*opened);
  }
  std::string Content() const {
    std::ifstream in(file_);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  std::string Make(const std::string& principal, uint32_t roles,
                   absl::Time expire = absl::InfiniteFuture()) {
    return access_->CreateToken(principal, roles, expire, kNow).value().text;
  }
  std::string file_;
  std::unique_ptr<Access> access_;
};

TEST_F(AccessTest, TheStateFoldersTokenMayDoEverything) {
  const Principal root = access_->Identify("root-secret", kNow).value();
  EXPECT_EQ(root.name, "root");
  EXPECT_TRUE(root.controls_all() && root.sees_all() && root.has(kRoleSubmit));
}

TEST_F(AccessTest, ATokenIsItsPrincipalAlsoAfterARestart) {
  const std::string token = Make("alice", kRoleSubmit | kRoleRead);
  for (int life = 0; life < 2; ++life) {
    const auto principal = access_->Identify(token, kNow);
    ASSERT_TRUE(principal.ok()) << principal.status();
    EXPECT_EQ(principal->name, "alice");
    EXPECT_EQ(principal->roles, kRoleSubmit | kRoleRead);
    Open();
  }
}

TEST_F(AccessTest, ATokenMayBeForSomeHandlersOnly) {
  const std::string token =
      access_->CreateToken("alice", kRoleSubmit, absl::InfiniteFuture(), kNow, {"echo", "jq"})
          .value()
          .text;
  for (int life = 0; life < 2; ++life) {
    const Principal alice = access_->Identify(token, kNow).value();
    EXPECT_TRUE(alice.may_use("echo") && alice.may_use("jq"));
    EXPECT_FALSE(alice.may_use("exec") || alice.may_use(""));
    Open();
  }
  EXPECT_TRUE(access_->Identify("root-secret", kNow).value().may_use("exec"));
  EXPECT_FALSE(access_->CreateToken("alice", kRoleSubmit, absl::InfiniteFuture(), kNow, {""}).ok());
}

TEST_F(AccessTest, AnEmptyRootTokenIsRefusedBecauseAnybodyCouldSendIt) {
  EXPECT_EQ(Access::Open({.file = file_}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AccessTest, TokensThatExpiredLongAgoAreForgotten) {
  Make("alice", kRoleSubmit, kNow + absl::Hours(1));
  const auto make_bob = [this](absl::Time now) {
    ASSERT_TRUE(access_->CreateToken("bob", kRoleSubmit, absl::InfiniteFuture(), now).ok());
  };
  make_bob(kNow + absl::Hours(2));
  EXPECT_EQ(access_->ListTokens().size(), 2u);
  make_bob(kNow + absl::Hours(24 * 31));
  ASSERT_EQ(access_->ListTokens().size(), 2u);
  for (const TokenEntry& token : access_->ListTokens()) EXPECT_EQ(token.principal, "bob");
}

TEST_F(AccessTest, TheFileIsForItsOwnerAloneAndHoldsNoToken) {
  const std::string token = Make("alice", kRoleSubmit);
  const std::string secret = token.substr(token.find('.', 4) + 1, 64);
  EXPECT_EQ(Content().find(secret), std::string::npos);
  EXPECT_EQ(Content().find("root-secret"), std::string::npos);
  struct stat status {};
  ASSERT_EQ(stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(AccessTest, WrongRevokedAndExpiredTokensAreToldApartOnlyByExpiry) {
  const std::string token = Make("alice", kRoleSubmit, kNow + absl::Hours(1));
  std::string other = token;
  other[15] = other[15] == '0' ? '1' : '0';
  for (const std::string& wrong :
       {std::string(), std::string("x"), std::string("rv1.."), std::string("rv1.x.y"), other,
        std::string("root-secreT"), token.substr(0, 20)}) {
    EXPECT_EQ(ErrorReason(access_->Identify(wrong, kNow).status()), "BAD_TOKEN") << wrong;
  }
  EXPECT_EQ(ErrorReason(access_->Identify(token, kNow + absl::Hours(1)).status()), "TOKEN_EXPIRED");
  EXPECT_TRUE(access_->Identify(token, kNow).ok());
  ASSERT_EQ(access_->RevokeTokens(access_->ListTokens()[0].token_id).value(), 1u);
  EXPECT_EQ(ErrorReason(access_->Identify(token, kNow).status()), "BAD_TOKEN");
  EXPECT_EQ(access_->RevokeTokens("alice").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(AccessTest, RevokingAPrincipalRevokesAllItsTokens) {
  const std::string first = Make("alice", kRoleSubmit), second = Make("alice", kRoleRead);
  const std::string bob = Make("bob", kRoleSubmit);
  EXPECT_EQ(access_->RevokeTokens("alice").value(), 2u);
  EXPECT_FALSE(access_->Identify(first, kNow).ok());
  EXPECT_FALSE(access_->Identify(second, kNow).ok());
  EXPECT_TRUE(access_->Identify(bob, kNow).ok());
}

TEST_F(AccessTest, PrincipalsAndRolesAreChecked) {
  for (const char* name : {"", "root", "Alice", "a b", "a/b"}) {
    EXPECT_FALSE(access_->CreateToken(name, kRoleSubmit, absl::InfiniteFuture(), kNow).ok())
        << name;
  }
  EXPECT_FALSE(access_->CreateToken("alice", 0, absl::InfiniteFuture(), kNow).ok());
  EXPECT_FALSE(access_->CreateToken("alice", kRoleSubmit, kNow, kNow).ok());
  EXPECT_TRUE(access_->ListTokens().empty());
}

TEST_F(AccessTest, AKeyIsOneWorkersAndAWorkerHasOneKey) {
  const std::string key = MakeCurveKeys().public_key, other = MakeCurveKeys().public_key;
  const auto enrol = [this](const std::string& id, const std::string& k) {
    return access_->EnrolWorker({.worker_id = id, .public_key = k, .enrol_time = kNow});
  };
  EXPECT_TRUE(enrol("a", key).ok());
  EXPECT_TRUE(enrol("a", key).ok());
  EXPECT_EQ(ErrorReason(enrol("a", other)), "WORKER_ENROLLED");
  EXPECT_EQ(ErrorReason(enrol("b", key)), "WORKER_ENROLLED");
  EXPECT_FALSE(enrol("b", "short").ok());
  EXPECT_FALSE(enrol("b\n", other).ok());
  Open();
  EXPECT_TRUE(access_->IsEnrolled(key));
  EXPECT_FALSE(access_->IsEnrolled(other));
  EXPECT_EQ(access_->WorkerOf(key).value().worker_id, "a");
  EXPECT_TRUE(access_->RevokeWorker("a").ok());
  EXPECT_FALSE(access_->IsEnrolled(key));
  EXPECT_EQ(access_->RevokeWorker("a").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(enrol("a", other).ok());
}

TEST_F(AccessTest, ADamagedFileIsRefusedAndChangesNothing) {
  const std::string token = Make("alice", kRoleSubmit);
  std::ofstream(file_) << "{\"tokens\": [{\"token_id\": \"x\"}]}";
  EXPECT_EQ(access_->Reload().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(access_->Identify(token, kNow).ok());
  std::ofstream(file_) << "nonsense";
  EXPECT_FALSE(Access::Open({.file = file_, .root_token = "x"}).ok());
}

TEST_F(AccessTest, AFileChangedByHandCountsAfterAReload) {
  const std::string token = Make("alice", kRoleSubmit);
  std::ofstream(file_) << "{}";
  EXPECT_TRUE(access_->Identify(token, kNow).ok());
  ASSERT_TRUE(access_->Reload().ok());
  EXPECT_FALSE(access_->Identify(token, kNow).ok());
}

TEST(Principal, SeesAndControlsWhatItsRolesSay) {
  const Principal submitter{"alice", kRoleSubmit, {}}, reader{"alice", kRoleRead, {}},
      both{"alice", kRoleRead | kRoleSubmit, {}}, admin{"alice", kRoleAdmin, {}},
      worker{"alice", kRoleWorker, {}};
  EXPECT_TRUE(submitter.sees("alice") && submitter.controls("alice"));
  EXPECT_FALSE(submitter.sees("bob") || submitter.controls("bob") || submitter.sees(""));
  EXPECT_TRUE(reader.sees("bob"));
  EXPECT_FALSE(reader.controls("alice"));
  EXPECT_TRUE(both.sees("bob") && both.controls("alice"));
  EXPECT_FALSE(both.controls("bob"));
  EXPECT_TRUE(admin.sees("bob") && admin.controls("bob"));
  EXPECT_FALSE(worker.sees("alice") || worker.controls("alice"));
}

}  // namespace
}  // namespace reeve
