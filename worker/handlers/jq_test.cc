#include "worker/handlers/jq.h"

#include <cstdlib>

#include "base/ids.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

class JqTest : public testing::Test, protected TaskContext {
 protected:
  absl::StatusOr<std::string> Run(const std::string& program, std::string_view input) {
    params_["program"] = program;
    return RunJq(*this, input);
  }
  std::string Error(const std::string& program, std::string_view input) {
    const auto returned = Run(program, input);
    EXPECT_TRUE(absl::IsInvalidArgument(returned.status())) << returned.value_or("");
    return std::string(returned.status().message().data(), returned.status().message().size());
  }

  JobId job() const override { return JobId(1); }
  TaskIndex index() const override { return 0; }
  uint32_t attempt() const override { return 1; }
  std::string_view param(std::string_view name) const override {
    const auto it = params_.find(std::string(name));
    return it == params_.end() ? std::string_view() : std::string_view(it->second);
  }
  const std::map<std::string, std::string>& params() const override { return params_; }
  absl::Time deadline() const override { return absl::InfiniteFuture(); }
  bool cancelled() const override { return is_cancelled_; }
  bool Sleep(absl::Duration) override { return true; }

  std::map<std::string, std::string> params_;
  bool is_cancelled_ = false;
};

TEST_F(JqTest, EachLineIsARecordAndEachOutputALine) {
  EXPECT_EQ(*Run(".a", "{\"a\":1}\n{\"a\":[2,\"x\\ny\"]}"), "1\n[2,\"x\\ny\"]\n");
  EXPECT_EQ(*Run(".[]", "[1,2]\n\n \r\n[]\n[3]\n"), "1\n2\n3\n");
  EXPECT_EQ(*Run("select(.k > 1)", "{\"k\":1}"), "");
  EXPECT_EQ(*Run("def f: . * 2; f", "21"), "42\n");
  EXPECT_EQ(*Run(". # a comment", "null"), "null\n");
  EXPECT_EQ(*Run(".", ""), "");
}

TEST_F(JqTest, StringsComeWithoutQuotesIfAskedFor) {
  params_["raw"] = "true";
  EXPECT_EQ(*Run(".[]", "[\"a\",1,\"b \\\"\"]"), "a\n1\nb \"\n");
  params_["raw"] = "yes";
  EXPECT_EQ(Error(".", "1"), "jq: `raw` is true or false");
}

TEST_F(JqTest, ErrorsNameTheLineOrTheProgram) {
  EXPECT_EQ(Error(".a", "{\"a\":1}\n\n[}"),
            "jq: line 3: not a JSON value: Unmatched '}' at line 1, column 2 (while parsing '[}')");
  EXPECT_EQ(Error(".a", "1 2"),
            "jq: line 1: not a JSON value: Unexpected extra JSON values (while parsing '1 2')");
  EXPECT_EQ(Error(".a", "1\n\"x\""), "jq: line 1: Cannot index number with string \"a\"");
  EXPECT_EQ(Error("error({k:1})", "1"), "jq: line 1: {\"k\":1}");
  const std::string message = Error(".a[", "1");
  EXPECT_EQ(message.find("jq: the program does not compile: "), 0u) << message;
  EXPECT_EQ(message.find("$ENV"), std::string::npos) << message;
  EXPECT_EQ(Error("", "1"), "jq: needs a `program`");
  params_["porgram"] = ".";
  EXPECT_EQ(Error(".", "1"), "jq: there is no option `porgram`");
}

TEST_F(JqTest, AProgramIsUsableAfterItFailed) {
  EXPECT_FALSE(Run(".a", "1").ok());
  EXPECT_EQ(*Run(".a", "{\"a\":7}"), "7\n");
}

TEST_F(JqTest, AProgramSeesNothingButItsRecord) {
  setenv("REEVE_SECRET", "canary", 1);
  EXPECT_EQ(*Run("env, $ENV, $ENV.REEVE_SECRET, (1 | stderr | debug)", "0"), "{}\n{}\nnull\n1\n");
  EXPECT_EQ(*Run("[inputs]", "1\n2"), "[]\n[]\n");
  EXPECT_FALSE(Run("import \"a\" as a; .", "1").ok());
  EXPECT_FALSE(Run("include \"a\"; .", "1").ok());
  EXPECT_EQ(*Run("input_filename", "1"), "null\n");
}

TEST_F(JqTest, HaltEndsARecordAndHaltErrorFailsIt) {
  EXPECT_EQ(*Run("if . == 1 then halt else . end", "1\n2"), "2\n");
  EXPECT_EQ(Error("halt_error", "\"no\""), "jq: line 1: halted: no");
  EXPECT_EQ(*Run("if . == \"no\" then halt_error else . end", "3"), "3\n");
}

TEST_F(JqTest, ATaskThatIsCancelledEndsAtItsNextOutput) {
  is_cancelled_ = true;
  EXPECT_TRUE(absl::IsCancelled(Run("range(infinite)", "1").status()));
}

TEST_F(JqTest, AnOutputWithoutEndStopsBeyondTheBound) {
  const auto returned = Run("range(infinite)", "1");
  ASSERT_TRUE(returned.ok());
  EXPECT_GT(returned->size(), size_t{kMaxPayloadBytes});
  EXPECT_LT(returned->size(), size_t{kMaxPayloadBytes} + 100);
}

}  // namespace
}  // namespace reeve
