#include "client/input/array_expression.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

TEST(ArrayExpressionTest, RangesStepsAndLimitsAreUnderstood) {
  EXPECT_EQ(*ParseArrayExpression("1-10"), (ArrayExpression{1, 1, 10, 0}));
  EXPECT_EQ(*ParseArrayExpression("1-1000000:10%200"), (ArrayExpression{1, 10, 100'000, 200}));
  EXPECT_EQ(*ParseArrayExpression("0-9%3"), (ArrayExpression{0, 1, 10, 3}));
  EXPECT_EQ(*ParseArrayExpression("5"), (ArrayExpression{5, 1, 1, 0}));
  EXPECT_EQ(*ParseArrayExpression("10-1:3"), (ArrayExpression{10, -3, 4, 0}));
  EXPECT_EQ(*ParseArrayExpression("-5--3"), (ArrayExpression{-5, 1, 3, 0}));
}

TEST(ArrayExpressionTest, WhatIsNoRangeIsRefused) {
  for (const char* text :
       {"", "a", "1-", "1-10:0", "1-10:-1", "1-10%0", "1-10%x", "0-100000000", "1-10:", "1-2-3"}) {
    EXPECT_FALSE(ParseArrayExpression(text).ok()) << text;
  }
}

// index * step once overflowed for ends that fit.
TEST(ArrayExpressionTest, AWidthBeyondInt64IsRefused) {
  EXPECT_FALSE(ParseArrayExpression("-9000000000000000000-9000000000000000000:1000000000000").ok());
  EXPECT_TRUE(ParseArrayExpression("0-9000000000000000000:1000000000000").ok());
}

}  // namespace
}  // namespace reeve
