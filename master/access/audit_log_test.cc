#include "master/access/audit_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/strings.h"

namespace reeve {
namespace {

AuditEntry Entry(std::string subject) {
  return {absl::FromUnixMillis(1'800'000'000'123),
          "alice",
          "ipv4:10.0.0.7:4711",
          "reeve.v1.JobService/CancelJob",
          std::move(subject),
          "OK"};
}

std::string Content(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string NewFile() {
  char folder[] = "/tmp/audit_log_test.XXXXXX";
  return StrCat(mkdtemp(folder), "/audit.log");
}

TEST(AuditLog, ALineSaysWhoDidWhatToWhatAndHowItWent) {
  EXPECT_EQ(AuditLine(Entry("job 42")),
            "{\"time\":\"2027-01-15T08:00:00.123Z\",\"principal\":\"alice\","
            "\"peer\":\"ipv4:10.0.0.7:4711\",\"method\":\"reeve.v1.JobService/CancelJob\","
            "\"subject\":\"job 42\",\"result\":\"OK\"}");
}

TEST(AuditLog, NoNameCanForgeALine) {
  const std::string line = AuditLine(Entry("x\n{\"principal\":\"root\"}\x1b[2J"));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST(AuditLog, LinesAreAddedInOrderAndForTheOwnerAlone) {
  const std::string file = NewFile();
  for (int life = 0; life < 2; ++life) {
    AuditLog log(file);
    for (int i = 0; i < 1000; ++i) log.Note(Entry(StrCat("job ", life * 1000 + i)));
  }
  std::istringstream lines(Content(file));
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) {
    EXPECT_EQ(line, AuditLine(Entry(StrCat("job ", count))));
    ++count;
  }
  EXPECT_EQ(count, 2000);
  struct stat status {};
  ASSERT_EQ(stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(AuditLog, AFullFileIsPutAside) {
  const std::string file = NewFile();
  std::ofstream(file).close();
  ASSERT_EQ(truncate(file.c_str(), AuditLog::kMaxBytes - 10), 0);
  { AuditLog(file).Note(Entry("job 1")); }
  EXPECT_EQ(Content(file), AuditLine(Entry("job 1")) + "\n");
  EXPECT_TRUE(std::ifstream(file + ".1").good());
}

}  // namespace
}  // namespace reeve
