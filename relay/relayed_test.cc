#include "relay/relayed.h"

#include <functional>

#include "gtest/gtest.h"
#include "reeve/link/v1/link.pb.h"

namespace reeve {
namespace {

RelayedPart Part(uint64_t session, const std::string& body, const std::string& blob,
                 const std::string& user = "") {
  FrameHead head;
  head.type = FrameType::kResults;
  head.epoch = Epoch(session + 100);
  head.session = SessionId(session);
  return {head, "c" + std::to_string(session), user, Buffer(body), Buffer(blob)};
}

TEST(Relayed, EachPartComesOutAsItWentIn) {
  const std::vector<RelayedPart> parts = {Part(1, "one", "", "key"), Part(2, "", "bb"),
                                          Part(3, std::string("\0x", 2), "ccc")};
  const RelayedFrame frame = EncodeRelayed(parts);
  const auto back = DecodeRelayed(Buffer(frame.body), frame.blob);
  ASSERT_TRUE(back.ok()) << back.status();
  ASSERT_EQ(back->size(), parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    EXPECT_EQ((*back)[i].head.session, parts[i].head.session);
    EXPECT_EQ((*back)[i].head.epoch, parts[i].head.epoch);
    EXPECT_EQ((*back)[i].head.type, parts[i].head.type);
    EXPECT_EQ((*back)[i].connection, parts[i].connection);
    EXPECT_EQ((*back)[i].user, parts[i].user);
    EXPECT_EQ((*back)[i].body.view(), parts[i].body.view());
    EXPECT_EQ((*back)[i].blob.view(), parts[i].blob.view());
  }
}

TEST(Relayed, ABlobThatIsAloneIsNotCopied) {
  const RelayedPart part = Part(1, "b", std::string(1000, 'x'));
  EXPECT_EQ(EncodeRelayed({part}).blob.view().data(), part.blob.view().data());
}

TEST(Relayed, TheLargestPartKeepsWithinAFrame) {
  RelayedPart part = Part(1, std::string(kMaxRelayedBody, 'b'), "");
  part.connection = std::string(255, 'c');
  part.user = std::string(64, 'u');
  EXPECT_LE(EncodeRelayed({part}).body.size(), kMaxMessageBytes);
}

TEST(Relayed, ColumnsThatDoNotFitAreRefused) {
  const auto refused = [](const std::function<void(link::v1::Relayed*)>& spoil) {
    const RelayedFrame frame = EncodeRelayed({Part(1, "a", "bc"), Part(2, "d", "e")});
    link::v1::Relayed wire;
    EXPECT_TRUE(wire.ParseFromString(frame.body));
    spoil(&wire);
    return !DecodeRelayed(Buffer(wire.SerializeAsString()), frame.blob).ok();
  };
  EXPECT_FALSE(refused([](link::v1::Relayed*) {}));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->Clear(); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->add_session(3); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->mutable_epoch()->RemoveLast(); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->add_body("x"); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->add_user("x"); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->set_type(0, 0); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->set_type(0, kLastFrameType + 1); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->set_connection(1, ""); }));
  EXPECT_TRUE(
      refused([](link::v1::Relayed* wire) { wire->set_connection(1, std::string(256, 'c')); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->set_user(1, std::string(65, 'u')); }));
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->set_blob_bytes(1, 2); })) << "beyond";
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->set_blob_bytes(1, 0); })) << "left over";
  EXPECT_TRUE(refused([](link::v1::Relayed* wire) { wire->set_blob_bytes(0, UINT32_MAX); }));
}

}  // namespace
}  // namespace reeve
