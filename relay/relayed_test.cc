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

TEST(Relayed, PartsThatDoNotFitAreRefused) {
  using Wire = link::v1::Relayed;
  const auto refused = [](const std::function<void(Wire*)>& spoil) {
    const RelayedFrame frame = EncodeRelayed({Part(1, "a", "bc"), Part(2, "d", "e")});
    Wire wire;
    EXPECT_TRUE(wire.ParseFromString(frame.body));
    spoil(&wire);
    return !DecodeRelayed(Buffer(wire.SerializeAsString()), frame.blob).ok();
  };
  EXPECT_FALSE(refused([](Wire*) {}));
  EXPECT_TRUE(refused([](Wire* wire) { wire->Clear(); }));
  EXPECT_TRUE(refused([](Wire* wire) { wire->add_parts(); }));
  EXPECT_TRUE(refused([](Wire* wire) {
    while (wire->parts_size() <= int{kMaxRelayedParts}) *wire->add_parts() = wire->parts(0);
  }));
  EXPECT_TRUE(refused([](Wire* wire) { wire->mutable_parts(0)->set_type(0); }));
  EXPECT_TRUE(refused([](Wire* wire) { wire->mutable_parts(0)->set_type(kLastFrameType + 1); }));
  EXPECT_TRUE(refused([](Wire* wire) { wire->mutable_parts(1)->clear_connection(); }));
  EXPECT_TRUE(
      refused([](Wire* wire) { wire->mutable_parts(1)->set_connection(std::string(256, 'c')); }));
  EXPECT_TRUE(refused([](Wire* wire) { wire->mutable_parts(1)->set_user(std::string(65, 'u')); }));
  EXPECT_TRUE(refused([](Wire* wire) { wire->mutable_parts(1)->set_blob_bytes(2); })) << "beyond";
  EXPECT_TRUE(refused([](Wire* wire) { wire->mutable_parts(1)->set_blob_bytes(0); })) << "left";
  EXPECT_TRUE(refused([](Wire* wire) { wire->mutable_parts(0)->set_blob_bytes(UINT32_MAX); }));
  EXPECT_FALSE(DecodeRelayed(Buffer("\x0a\xff"), Buffer()).ok()) << "cut off";
}

}  // namespace
}  // namespace reeve
