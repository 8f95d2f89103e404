#include "client/output/result_printer.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

TEST(ResultPrinterTest, AResultReadsAsOneJsonLine) {
  ResultEntry entry;
  entry.index = 17;
  entry.state = TaskState::kFailed;
  entry.reason = Reason::kExitNonzero;
  entry.exit_code = 3;
  entry.output = "out \"quoted\"\n";
  std::string line;
  AppendResultJson(JobId(42), entry, "w-1", &line);
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_NE(line.find("\"output\":\"out \\\"quoted\\\"\\n\""), std::string::npos) << line;
  EXPECT_NE(line.find("EXIT_NONZERO"), std::string::npos) << line;
}

TEST(ResultPrinterTest, AResultFileIsAFieldWhereThereIsOne) {
  ResultEntry entry;
  std::string line;
  AppendResultJson(JobId(1), entry, "w-1", &line);
  EXPECT_EQ(line.find("result_file"), std::string::npos) << line;
  entry.result_file = "0.25";
  line.clear();
  AppendResultJson(JobId(1), entry, "w-1", &line);
  EXPECT_NE(line.find("\"result_file\":\"0.25\""), std::string::npos) << line;
}

TEST(ResultPrinterTest, BytesThatAreNoTextComeAsBase64) {
  ResultEntry entry;
  entry.output = "\xff\xfe";
  std::string line;
  AppendResultJson(JobId(1), entry, "w-1", &line);
  EXPECT_NE(line.find("\"output_base64\":\"//4=\""), std::string::npos) << line;
}

TEST(ResultPrinterTest, FailuresAreDescribedInOneSentence) {
  ResultEntry entry;
  entry.state = TaskState::kFailed;
  entry.reason = Reason::kExitNonzero;
  entry.exit_code = 3;
  EXPECT_EQ(DescribeFailure(entry), "EXIT_NONZERO: exit code 3");
}

}  // namespace
}  // namespace reeve
