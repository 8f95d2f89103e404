#include "base/json_text.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

TEST(JsonTextTest, QuotesControlsAndForeignBytesAreEscaped) {
  EXPECT_EQ(JsonString(""), "\"\"");
  EXPECT_EQ(JsonString("a\"b\\c\n\x01\x7f"), "\"a\\\"b\\\\c\\n\\u0001\\u007f\"");
  EXPECT_EQ(JsonString("\t-\r"), "\"\\t-\\r\"");
  EXPECT_EQ(JsonString("caf\xc3\xa9"), "\"caf\xc3\xa9\"");
  EXPECT_EQ(JsonString("caf\xe9"), "\"caf\\u00e9\"");
}

TEST(JsonTextTest, ForeignBytesBecomeUtf8) {
  EXPECT_EQ(AsUtf8("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(AsUtf8("caf\xe9 \xff"), "caf\xc3\xa9 \xc3\xbf");
}

}  // namespace
}  // namespace reeve
