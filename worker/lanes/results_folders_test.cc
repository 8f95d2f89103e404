#include "worker/lanes/results_folders.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"

namespace reeve {
namespace {

std::string ContentOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

size_t EntriesIn(const std::string& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

class ResultsFoldersTest : public testing::Test {
 protected:
  static JobContext Job(uint64_t job) {
    JobContext context;
    context.job = JobId(job);
    context.predecessors = {{"split", {{0, "a"}, {7, std::string("b\0c", 3)}}}, {"report", {}}};
    return context;
  }

  const std::string root_ = testing::TempDir() + "/results";
  ResultsFolders folders_{root_};
};

TEST_F(ResultsFoldersTest, AJobWithoutPredecessorsHasNone) {
  const auto folder = folders_.Of(JobContext());
  ASSERT_TRUE(folder.ok());
  EXPECT_EQ(*folder, nullptr);
}

TEST_F(ResultsFoldersTest, EveryResultIsAFileOfItsPredecessor) {
  const auto folder = folders_.Of(Job(1));
  ASSERT_TRUE(folder.ok()) << folder.status();
  const std::string& path = (*folder)->path();
  EXPECT_EQ(ContentOf(path + "/split/0"), "a");
  EXPECT_EQ(ContentOf(path + "/split/7"), std::string("b\0c", 3));
  EXPECT_EQ(EntriesIn(path + "/split"), 2u);
  EXPECT_EQ(EntriesIn(path + "/report"), 0u);
  EXPECT_EQ(EntriesIn(path), 2u);
}

TEST_F(ResultsFoldersTest, AttemptsOfAJobShareAFolderUntilTheLastLetsItGo) {
  auto first = folders_.Of(Job(1)), second = folders_.Of(Job(1)), other = folders_.Of(Job(2));
  ASSERT_TRUE(first.ok() && second.ok() && other.ok());
  EXPECT_EQ(*first, *second);
  const std::string path = (*first)->path();
  EXPECT_NE((*other)->path(), path);
  first->reset();
  EXPECT_TRUE(std::filesystem::exists(path + "/split/0"));
  second->reset();
  EXPECT_FALSE(std::filesystem::exists(path));
  const auto again = folders_.Of(Job(1));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ContentOf((*again)->path() + "/split/0"), "a");
}

TEST_F(ResultsFoldersTest, AFolderThatCannotBeMadeIsAnErrorAndLeavesNothing) {
  JobContext twice = Job(1);
  twice.predecessors.push_back(twice.predecessors.front());
  EXPECT_EQ(folders_.Of(twice).status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(EntriesIn(root_), 0u);
}

}  // namespace
}  // namespace reeve
