#include "worker/sdk/own_resources.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace reeve {
namespace {

using Amounts = std::map<std::string, int64_t>;

constexpr MachineRoom kMachine = {.cpu_thousandths = 8'000, .memory_bytes = 1'024};

TEST(OwnResourcesTest, AreThoseOfTheMachineAndWhatTheOwnerSays) {
  EXPECT_EQ(*OwnResources({}, kMachine), (Amounts{{"cpus", 8'000}, {"memory", 1'024'000}}));
  EXPECT_EQ(
      *OwnResources({"gpu=2", "licence=0.5", "tiny=0.001"}, kMachine),
      (Amounts{
          {"cpus", 8'000}, {"gpu", 2'000}, {"licence", 500}, {"memory", 1'024'000}, {"tiny", 1}}));
}

TEST(OwnResourcesTest, TheOwnerKnowsBetterThanTheMachine) {
  EXPECT_EQ(*OwnResources({"cpus=1.5", "memory=2K"}, kMachine),
            (Amounts{{"cpus", 1'500}, {"memory", 2'048'000}}));
  EXPECT_EQ(OwnResources({"memory=1T"}, kMachine)->at("memory"), (int64_t{1} << 40) * 1'000);
  EXPECT_EQ(OwnResources({"much=1000000000000000"}, kMachine)->at("much"),
            1'000'000'000'000'000'000);
}

TEST(OwnResourcesTest, WhatIsNoAmountOfAThingIsRefused) {
  for (const char* wrong : {"", "gpu", "gpu=", "=1", "GPU=1", "a b=1", "gpu=0", "gpu=-1", "gpu=x",
                            "gpu=1KB", "gpu=nan", "gpu=inf", "gpu=0.0001", "gpu=1001T"}) {
    EXPECT_EQ(OwnResources({wrong}, kMachine).status().code(), absl::StatusCode::kInvalidArgument)
        << wrong;
  }
  EXPECT_EQ(OwnResources({"gpu=1", "gpu=2"}, kMachine).status().message(),
            "--resource gpu: given twice");
  std::vector<std::string> many;
  for (int i = 0; i < 14; ++i) many.push_back("r" + std::to_string(i) + "=1");
  EXPECT_TRUE(OwnResources(many, kMachine).ok());
  many.push_back("r14=1");
  EXPECT_FALSE(OwnResources(many, kMachine).ok());
}

class MachineTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ + "/reeve/worker");
    Write("cgroup", "0::/reeve/worker\n");
  }
  void Write(const std::string& file, const std::string& content) {
    std::ofstream(root_ + "/" + file) << content;
  }
  MachineRoom Look() const { return LookAtMachine(root_ + "/cgroup", root_); }

  const std::string root_ = testing::TempDir() + "/machine";
};

TEST_F(MachineTest, WithoutACgroupTheWholeMachineIsThere) {
  const MachineRoom room = LookAtMachine("/nowhere/cgroup", "/nowhere");
  EXPECT_GE(room.cpu_thousandths, 1'000);
  EXPECT_EQ(room.cpu_thousandths % 1'000, 0);
  EXPECT_GT(room.memory_bytes, 64 << 20);
  Write("reeve/worker/cpu.max", "max 100000\n");
  Write("reeve/worker/memory.max", "max\n");
  EXPECT_EQ(Look().cpu_thousandths, room.cpu_thousandths);
  EXPECT_EQ(Look().memory_bytes, room.memory_bytes);
}

TEST_F(MachineTest, TheLowestQuotaOnTheWayUpCounts) {
  Write("reeve/worker/cpu.max", "50000 100000\n");
  Write("reeve/cpu.max", "25000 100000\n");
  Write("reeve/worker/memory.max", "1048576\n");
  Write("memory.max", "2097152\n");
  EXPECT_EQ(Look().cpu_thousandths, 250);
  EXPECT_EQ(Look().memory_bytes, 1 << 20);
}

}  // namespace
}  // namespace reeve
