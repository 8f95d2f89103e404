#include "worker/sql/sql_record.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

using Params = std::vector<std::optional<std::string>>;

SqlOrder Parsed(std::string_view input, const std::map<std::string, std::string>& params = {}) {
  auto order = ParseSqlOrder(input, params);
  EXPECT_TRUE(order.ok()) << order.status();
  return order.ok() ? *std::move(order) : SqlOrder();
}

std::string WhyNot(std::string_view input, const std::map<std::string, std::string>& params = {}) {
  const auto order = ParseSqlOrder(input, params);
  EXPECT_FALSE(order.ok());
  return std::string(order.status().message());
}

TEST(SqlRecordTest, ARecordGivesAStatementWithItsParameters) {
  const SqlOrder order = Parsed(
      R"({"sql":"select $1","params":[1,-2.5,"a\nb",null,true,{"k":[1, 2]},18446744073709551615],
          "tries":7,"isolation":"Serializable","read_only":true,"database":"other"})");
  ASSERT_EQ(order.transaction.statements.size(), 1u);
  EXPECT_EQ(order.transaction.statements[0].text, "select $1");
  EXPECT_EQ(
      order.transaction.statements[0].params,
      (Params{"1", "-2.5", "a\nb", std::nullopt, "true", "{\"k\":[1,2]}", "18446744073709551615"}));
  EXPECT_EQ(order.transaction.begin, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
  EXPECT_TRUE(order.transaction.read_only);
  EXPECT_EQ(order.tries, 7u);
  EXPECT_EQ(order.database, "other");
  EXPECT_EQ(SqlTaskResult(order, {"{}"}), "{}");
}

TEST(SqlRecordTest, TextIsTheStatementUnlessTheJobHasOne) {
  EXPECT_EQ(Parsed(" select 1 ").transaction.statements[0].text, "select 1");
  const std::map<std::string, std::string> job = {{"sql", "select $1"}};
  const SqlStatement bound = Parsed(" '); drop table t; -- ", job).transaction.statements[0];
  EXPECT_EQ(bound.text, "select $1");
  EXPECT_EQ(bound.params, (Params{" '); drop table t; -- "}));
  EXPECT_EQ(Parsed("[1, null]", job).transaction.statements[0].params, (Params{"1", std::nullopt}));
}

TEST(SqlRecordTest, SeveralStatementsAreOneTransactionWithAListOfResults) {
  const SqlOrder order =
      Parsed(R"({"statements":[{"sql":"insert $1","params":["x"]},{"sql":"select 1"}]})");
  ASSERT_EQ(order.transaction.statements.size(), 2u);
  EXPECT_EQ(order.transaction.statements[0].params, (Params{"x"}));
  EXPECT_EQ(order.transaction.statements[1].text, "select 1");
  EXPECT_EQ(order.transaction.begin, "BEGIN ISOLATION LEVEL READ COMMITTED");
  EXPECT_EQ(SqlTaskResult(order, {"{1}", "{2}"}), "{\"results\":[{1},{2}]}");
}

TEST(SqlRecordTest, WhatCannotBeMeantIsNamed) {
  EXPECT_EQ(WhyNot(""), "sql: `sql` is missing");
  EXPECT_EQ(WhyNot("{}"), "sql: `sql` is missing");
  EXPECT_EQ(WhyNot("[1]"), "sql: `sql` is missing");
  EXPECT_EQ(WhyNot(R"({"sql":"s","param":[]})"), "sql: `param` is unknown");
  EXPECT_EQ(WhyNot(R"({"sql":"s","params":{}})"), "sql: `params` must be an array");
  EXPECT_EQ(WhyNot(R"({"sql":"s","params":["\u0000"]})"),
            "sql: `params` has a NUL character, which PostgreSQL cannot keep");
  EXPECT_EQ(WhyNot(R"({"sql":"s","isolation":"chaos"})"),
            "sql: `isolation` must be `read committed`, `repeatable read` or `serializable`");
  EXPECT_EQ(WhyNot(R"({"sql":"s","tries":0})"), "sql: `tries` must be a number from 1 to 100");
  EXPECT_EQ(WhyNot(R"({"sql":"s","statements":[{"sql":"t"}]})"),
            "sql: `statements` and `sql` cannot both be given");
  EXPECT_EQ(WhyNot(R"({"statements":[{"text":"t"}]})"),
            "sql: `statements` has an unknown or bad `text`");
  EXPECT_EQ(WhyNot(R"({"statements":[]})"), "sql: `statements` must have 1 to 1000 statements");
  EXPECT_EQ(WhyNot("x", {{"params", "[]"}}), "sql: `params` comes with the input");
  EXPECT_NE(WhyNot("{"), "");
}

}  // namespace
}  // namespace reeve
