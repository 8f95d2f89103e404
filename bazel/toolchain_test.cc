#include <gtest/gtest.h>

TEST(Toolchain, SpeaksCpp20) { EXPECT_GE(__cplusplus, 202002L); }
