#include "client/input/input_source.h"

#include <unistd.h>

#include "base/doorbell.h"
#include "base/ids.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

// Everything a stream with `content` gives, `room` records a fill.
absl::StatusOr<std::vector<std::string>> ReadAll(const std::string& content,
                                                 const RecordFormat& format, size_t room = 3) {
  char path[] = "/tmp/reeve-input.XXXXXX";
  const int fd = mkstemp(path);
  unlink(path);
  EXPECT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  lseek(fd, 0, SEEK_SET);
  Doorbell bell;
  auto source = MakeRecordSource(fd, bell.fd(), format);
  std::vector<std::string> all;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) {
    size_t taken = 0;
    more = source->Fill([&](std::string_view input) {
      all.emplace_back(input);
      return ++taken < room;
    });
  }
  close(fd);
  if (!more.ok()) return more.status();
  return all;
}

TEST(InputSourceTest, LinesAreRecordsAndTheLastNeedsNoNewline) {
  EXPECT_EQ(*ReadAll("a\n\nb c\nd", {}), (std::vector<std::string>{"a", "", "b c", "d"}));
  EXPECT_TRUE(ReadAll("", {})->empty());
}

TEST(InputSourceTest, RecordsMayEndWithNul) {
  EXPECT_EQ(*ReadAll(std::string("a\nb\0c\0", 6), {.delimiter = '\0'}),
            (std::vector<std::string>{"a\nb", "c"}));
}

TEST(InputSourceTest, AMalformedJsonLineIsNamedByItsNumber) {
  const RecordFormat json{.is_json = true, .name = "in.jsonl"};
  EXPECT_EQ(ReadAll("{\"a\": 1}\n\n[2]\n", json)->size(), 2u);
  const auto refused = ReadAll("{}\n{}\n{\"a\": \n", json);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().ToString().find("in.jsonl:3"), std::string::npos) << refused.status();
}

TEST(InputSourceTest, ARecordOverTheLimitIsRefused) {
  EXPECT_FALSE(ReadAll("small\n" + std::string(kMaxPayloadBytes + 1, 'x') + "\n", {}).ok());
  EXPECT_TRUE(ReadAll(std::string(kMaxPayloadBytes, 'x') + "\n", {}).ok());
}

TEST(InputSourceTest, RangesGiveTheirNumbers) {
  auto source = MakeArraySource({10, -3, 4, 0});
  std::vector<std::string> all;
  ASSERT_TRUE(source
                  ->Fill([&](std::string_view input) {
                    all.emplace_back(input);
                    return true;
                  })
                  .ok());
  EXPECT_EQ(all, (std::vector<std::string>{"10", "7", "4", "1"}));
}

}  // namespace
}  // namespace reeve
