// What the store says when the disk fails under it, where SQLite would keep it to itself.

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "gtest/gtest.h"
#include "master/store/sqlite_store.h"
#include "sqlite3.h"

namespace reeve {
namespace {

// What a write into the database itself, which only checkpoints do, fails with; 0: it does not.
std::atomic<int> database_write_error{0};

ssize_t WriteUnlessFailing(int fd, const void* data, size_t size, off64_t offset) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), path, sizeof path);
  const int error = database_write_error.load();
  if (error != 0 && std::string_view(path, static_cast<size_t>(length)).ends_with(".db")) {
    errno = error;
    return -1;
  }
  return pwrite64(fd, data, size, offset);
}

class FailingDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    for (const char* call : {"pwrite", "pwrite64"}) {
      ASSERT_EQ(
          vfs->xSetSystemCall(vfs, call, reinterpret_cast<sqlite3_syscall_ptr>(WriteUnlessFailing)),
          SQLITE_OK);
    }
    auto opened = OpenSqliteStore(options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  void TearDown() override { database_write_error.store(0); }

  // Commits 4 MiB.
  absl::Status CommitMuch() {
    const StoredLog log{.content = Buffer(std::string(4 << 20, 'x'))};
    return store_->CommitLogs(JobId(1), {&log, 1});
  }

  const SqliteStoreOptions options_{
      .path = testing::TempDir() + "/failing." + std::to_string(getpid()) + "." +
              testing::UnitTest::GetInstance()->current_test_info()->name() + ".db",
      .create = true};
  std::unique_ptr<Store> store_;
};

TEST_F(FailingDiskTest, ACheckpointThatFailsWithinACommitFailsTheCommit) {
  database_write_error.store(EIO);
  absl::Status status;
  int commits = 0;
  for (; status.ok() && commits < 100; ++commits) status = CommitMuch();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_EQ(commits, 8);  // The one that brings the log to 32 MiB.
}

TEST_F(FailingDiskTest, ACheckpointThatFailsInIdleTimeIsReported) {
  ASSERT_TRUE(CommitMuch().ok());
  database_write_error.store(EIO);
  EXPECT_EQ(store_->Idle().code(), absl::StatusCode::kInternal);
}

TEST_F(FailingDiskTest, ADiskThatIsFullForACheckpointFailsNothing) {
  database_write_error.store(ENOSPC);
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(CommitMuch().ok()) << i;
  EXPECT_TRUE(store_->Idle().ok());
}

}  // namespace
}  // namespace reeve
