#include "worker/handlers/jq.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

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
    EXPECT_TRUE(absl::IsInvalidArgument(returned.status())) << returned.status();
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
  EXPECT_EQ(
      Error(".a[", "1"),
      "jq: the program `.a[` does not compile: jq: error: syntax error, unexpected $end (Unix "
      "shell quoting issues?) at <top-level>, line 1:\n.a[ jq: 1 compile error");
  const std::string two = Error("nope, nor_this", "1");
  EXPECT_NE(two.find("nor_this/0 is not defined"), std::string::npos) << two;
  EXPECT_EQ(two.find("$ENV"), std::string::npos) << two;
  EXPECT_EQ(Error(std::string(".\0.a", 4), "1").find("jq: the program `"), 0u);
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
  EXPECT_EQ(Error("input", "1\n2"), "jq: line 1: there are no further inputs");
  EXPECT_FALSE(Run("modulemeta", "\"a\"").ok());
  EXPECT_FALSE(Run("import \"a\" as a; .", "1").ok());
  EXPECT_FALSE(Run("include \"a\"; .", "1").ok());
  EXPECT_EQ(*Run("input_filename", "1"), "null\n");
}

// libjq reads ~/.jq: `map(.)` of a worker in such a home returned what the file said.
TEST_F(JqTest, NoProgramIsCompiledWithTheFileOfAHome) {
  const std::string home = testing::TempDir() + "/home";
  const std::string old_home = getenv("HOME") == nullptr ? "" : getenv("HOME");
  mkdir(home.c_str(), 0700);
  setenv("HOME", home.c_str(), 1);
  std::ofstream(home + "/.jq") << "def map(f): \"taken\";";
  const absl::Status refused = Run("map(. + 1)", "[1]").status();
  unlink((home + "/.jq").c_str());
  const auto returned = Run("map(. + 1)", "[1]");
  mkdir((home + "/.jq").c_str(), 0700);  // That of modules is not read.
  const auto beside_folder = Run("map(. + 2)", "[1]");
  setenv("HOME", old_home.c_str(), 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_EQ(*returned, "[2]\n");
  EXPECT_EQ(*beside_folder, "[3]\n");
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
