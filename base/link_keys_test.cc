#include "base/link_keys.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "base/strings.h"

namespace reeve {
namespace {

TEST(LinkKeys, AreReadAsWrittenByTheirOwnerAlone) {
  char folder[] = "/tmp/link_keys_test.XXXXXX";
  const std::string path = StrCat(mkdtemp(folder), "/worker.key");
  EXPECT_EQ(ReadLinkKeys(path).status().code(), absl::StatusCode::kNotFound);
  const LinkKeys keys{"id-1", MakeCurveKeys(), MakeCurveKeys().public_key, ""};
  ASSERT_TRUE(WriteLinkKeys(path, keys).ok());
  const auto read = ReadLinkKeys(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->worker_id, keys.worker_id);
  EXPECT_EQ(read->own.secret_key, keys.own.secret_key);
  EXPECT_EQ(read->own.public_key, keys.own.public_key);
  EXPECT_EQ(read->server_key, keys.server_key);
  EXPECT_EQ(read->next_server_key, "");
  chmod(path.c_str(), 0640);
  EXPECT_EQ(ReadLinkKeys(path).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(LinkKeys, ADamagedFileIsNamed) {
  char folder[] = "/tmp/link_keys_test.XXXXXX";
  const std::string path = StrCat(mkdtemp(folder), "/worker.key");
  for (const char* text : {"", "worker_id x", "worker_id x\nsecret_key short\nserver_key y"}) {
    std::ofstream(path) << text;
    chmod(path.c_str(), 0600);
    const auto read = ReadLinkKeys(path);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(read.status().message().find("worker.key"), absl::string_view::npos);
  }
}

}  // namespace
}  // namespace reeve
