// Secrets are files that nobody but the worker's user reads, and nothing else.

#include "worker/lanes/secrets_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/secret_name.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

class SecretsFolderTest : public testing::Test {
 protected:
  SecretsFolderTest() {
    std::string name = testing::TempDir() + "/secrets.XXXXXX";
    root_ = std::filesystem::path(mkdtemp(name.data())).lexically_normal();
    Write("db-password", 0600);
  }
  void Write(const std::string& name, mode_t mode) {
    std::ofstream(root_ + "/" + name) << "canary";
    chmod((root_ + "/" + name).c_str(), mode);
  }
  std::string WhyNot(const std::string& name) {
    const auto folder = SecretsFolder::Open(root_);
    EXPECT_TRUE(folder.ok()) << folder.status();
    return std::string(folder->PathOf(name).status().message());
  }

  std::string root_;
};

TEST_F(SecretsFolderTest, ASecretIsThePathOfItsFile) {
  const auto folder = SecretsFolder::Open(root_);
  ASSERT_TRUE(folder.ok());
  EXPECT_EQ(*folder->PathOf("db-password"), root_ + "/db-password");
  EXPECT_EQ(SecretVariable("db-password"), "REEVE_SECRET_DB_PASSWORD_FILE");
}

TEST_F(SecretsFolderTest, WhatIsMissingOpenToOthersALinkOrNoFileIsRefused) {
  Write("open", 0640);
  ASSERT_EQ(symlink("/etc/passwd", (root_ + "/link").c_str()), 0);
  std::filesystem::create_directory(root_ + "/folder");
  EXPECT_EQ(WhyNot("nothing"), "secret `nothing`: the worker has no such secret");
  EXPECT_EQ(WhyNot("open"), "secret `open`: others than its owner may use it");
  EXPECT_EQ(WhyNot("link"), "secret `link`: it is a symbolic link");
  EXPECT_EQ(WhyNot("folder"), "secret `folder`: it is no regular file");
  EXPECT_EQ(SecretsFolder().PathOf("x").status().message(),
            "secret `x`: the worker has none (--secrets-dir)");
}

TEST_F(SecretsFolderTest, ANameCannotLeadOutOfTheFolder) {
  for (const std::string& name :
       {std::string("../passwd"), std::string("/etc/passwd"), std::string(".."), std::string("."),
        std::string(), std::string("a\0b", 3), std::string("a b"), std::string(129, 'a')})
    EXPECT_EQ(WhyNot(name), "a secret has an impossible name") << name;
}

TEST_F(SecretsFolderTest, AFolderThatOthersMayUseIsRefused) {
  chmod(root_.c_str(), 0750);
  EXPECT_EQ(
      SecretsFolder::Open(root_).status().message(),
      "the secrets folder " + root_ + ": others than its owner may use it; chmod 700, files 600");
  EXPECT_FALSE(SecretsFolder::Open(root_ + "/none").ok());
}

}  // namespace
}  // namespace reeve
