#include "worker/lanes/scratch_folders.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace reeve {
namespace {

std::string Root() { return testing::TempDir() + "/scratch." + std::to_string(getpid()); }

bool IsEmptyFolder(const std::string& path) {
  return std::filesystem::is_directory(path) && std::filesystem::is_empty(path);
}

TEST(ScratchFoldersTest, AnUntouchedFolderIsHandedOutAgain) {
  ScratchFolders folders(Root());
  const auto first = folders.Take();
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(IsEmptyFolder(first->path));
  folders.GiveBack(*first);
  EXPECT_EQ(folders.Take()->path, first->path);
}

TEST(ScratchFoldersTest, ThoseInUseAtOnceAreDifferent) {
  ScratchFolders folders(Root());
  EXPECT_NE(folders.Take()->path, folders.Take()->path);
}

TEST(ScratchFoldersTest, WhatACommandDidToItsFolderIsNotSeenByTheNext) {
  ScratchFolders folders(Root());
  const std::vector<void (*)(const std::string&)> deeds = {
      [](const std::string& path) { std::ofstream(path + "/left") << "something"; },
      [](const std::string& path) { std::filesystem::create_directories(path + "/a/b"); },
      [](const std::string& path) { chmod(path.c_str(), 0755); },
      [](const std::string& path) { rmdir(path.c_str()); },
      [](const std::string& path) {
        rmdir(path.c_str());
        ASSERT_EQ(symlink("/", path.c_str()), 0);
      },
      [](const std::string& path) {
        rmdir(path.c_str());
        std::ofstream(path) << "a file";
      },
  };
  for (const auto deed : deeds) {
    const auto one = folders.Take();
    ASSERT_TRUE(one.ok());
    deed(one->path);
    folders.GiveBack(*one);
    const auto next = folders.Take();
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_TRUE(IsEmptyFolder(next->path)) << next->path;
    struct stat made {};
    EXPECT_EQ(lstat(next->path.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 07777, 0700u);
    folders.GiveBack(*next);
  }
}

// A task of the same user may do so. Names as in the folders that they stand for.
TEST(ScratchFoldersTest, LinksInThePlaceOfFoldersLeadTheWorkerNowhereElse) {
  const std::string elsewhere = Root() + ".elsewhere", root = Root();
  std::filesystem::create_directories(elsewhere + "/1/kept");
  std::filesystem::create_directories(elsewhere + "/2");
  std::ofstream(elsewhere + "/1/.result") << "secret";
  {
    ScratchFolders folders(root);
    auto one = folders.Take();
    auto two = folders.Take();
    // A link within, one instead of a folder, one instead of the root.
    ASSERT_EQ(symlink(elsewhere.c_str(), (one->path + "/within").c_str()), 0);
    ASSERT_EQ(rmdir(two->path.c_str()), 0);
    ASSERT_EQ(symlink((elsewhere + "/1").c_str(), two->path.c_str()), 0);
    std::filesystem::rename(root, root + ".moved");
    ASSERT_EQ(symlink(elsewhere.c_str(), root.c_str()), 0);
    EXPECT_EQ(folders.OpenFile(*two, ".result"), -1);
    EXPECT_EQ(errno, ELOOP);
    EXPECT_EQ(folders.OpenFile(*one, ".result"), -1);
    EXPECT_EQ(errno, ENOENT);
    folders.GiveBack(*one);
    folders.GiveBack(*two);
  }
  EXPECT_TRUE(std::filesystem::exists(elsewhere + "/1/kept"));
  EXPECT_TRUE(std::filesystem::exists(elsewhere + "/1/.result"));
  EXPECT_TRUE(std::filesystem::exists(elsewhere + "/2"));
  EXPECT_TRUE(IsEmptyFolder(root + ".moved"));
  std::filesystem::remove(root);
}

TEST(ScratchFoldersTest, AFolderThatWasReplacedWhileNobodyHadItIsNotHandedOut) {
  ScratchFolders folders(Root());
  const auto one = folders.Take();
  folders.GiveBack(*one);
  ASSERT_EQ(rmdir(one->path.c_str()), 0);
  ASSERT_EQ(symlink("/", one->path.c_str()), 0);
  const auto next = folders.Take();
  ASSERT_TRUE(next.ok());
  EXPECT_TRUE(IsEmptyFolder(next->path));
  EXPECT_FALSE(std::filesystem::is_symlink(one->path));
}

TEST(ScratchFoldersTest, NothingIsLeftAtTheEndNorOfTheProcessBefore) {
  std::filesystem::create_directories(Root() + "/7/left");
  {
    ScratchFolders folders(Root());
    EXPECT_TRUE(IsEmptyFolder(Root()));
    auto folder = folders.Take();
    folders.GiveBack(*folder);
  }
  EXPECT_TRUE(IsEmptyFolder(Root()));
}

}  // namespace
}  // namespace reeve
