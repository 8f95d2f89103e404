#include "worker/lanes/scratch_folders.h"

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
