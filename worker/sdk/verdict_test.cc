#include "worker/sdk/verdict.h"

#include "gtest/gtest.h"

namespace reeve {
namespace {

TEST(VerdictTest, AnErrorSaysNothingOfTryingAgainByItself) {
  for (const absl::Status& error : {absl::InternalError("why"), absl::UnavailableError("why")}) {
    EXPECT_FALSE(IsPermanent(error));
    EXPECT_EQ(AgainWait(error), std::nullopt);
  }
}

TEST(VerdictTest, APermanentErrorIsTheErrorStill) {
  const absl::Status error = Permanent(absl::NotFoundError("no such page"));
  EXPECT_EQ(error.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(error.message(), "no such page");
  EXPECT_TRUE(IsPermanent(error));
  EXPECT_EQ(AgainWait(error), std::nullopt);
}

TEST(VerdictTest, AWaitIsFromNowToADayInWholeMilliseconds) {
  const absl::Status error = AgainAfter(absl::Microseconds(1'500), "a pause");
  EXPECT_EQ(error.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(error.message(), "a pause");
  EXPECT_FALSE(IsPermanent(error));
  EXPECT_EQ(AgainWait(error), absl::Milliseconds(2));
  EXPECT_EQ(AgainWait(AgainAfter(-absl::Seconds(1), "")), absl::ZeroDuration());
  EXPECT_EQ(AgainWait(AgainAfter(absl::InfiniteDuration(), "")), absl::Hours(24));
}

}  // namespace
}  // namespace reeve
