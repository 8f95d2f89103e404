#include "master/runtime/predecessor_results.h"

#include "base/result_batch.h"
#include "gtest/gtest.h"
#include "master/store/memory_store.h"
#include "reeve/link/v1/link.pb.h"

namespace reeve {
namespace {

ResultEntry Entry(TaskIndex index, TaskState state, std::string_view output,
                  std::string_view file = "") {
  ResultEntry entry;
  entry.index = index;
  entry.state = state;
  entry.output = output;
  entry.result_file = file;
  return entry;
}

class PredecessorResultsTest : public testing::Test {
 protected:
  // A row of the job with these entries, whose indexes follow one another.
  void Put(uint64_t job, uint64_t seq, const std::vector<ResultEntry>& entries) {
    PutResults put;
    put.job = JobId(job);
    put.seq = seq;
    ResultBatchBuilder builder;
    for (uint32_t i = 0; i < entries.size(); ++i) {
      builder.Add(entries[i]);
      put.runs.push_back({{entries[i].index, 1, i}, entries[i].state});
    }
    put.body = Buffer(builder.Finish("w-1"));
    Commit({put});
  }
  void Commit(std::vector<Write> writes) {
    WriteBatch batch;
    batch.number = ++commits_;
    batch.writes = std::move(writes);
    ASSERT_TRUE(store_->Commit({&batch, 1}).ok());
  }
  void PutOther(uint64_t job) {
    PutJob put;
    put.view.job = JobId(job);
    Commit({put});
  }
  ResultsLoaded Load(std::vector<JobDependency> of, bool complete = true) {
    PredecessorResults results({JobId(9), std::move(of)});
    absl::Status fault;
    EXPECT_EQ(results.ReadFrom(*reader_, &fault), complete);
    EXPECT_EQ(fault, absl::OkStatus());
    ResultsLoaded loaded = results.Finish();
    EXPECT_EQ(loaded.job, JobId(9));
    return loaded;
  }
  static JobDependency On(uint64_t job, const std::string& name = "") {
    return {JobId(job), JobDependency::Condition::kEnd, true, name};
  }

  const std::unique_ptr<Store> store_ = NewMemoryStore({});
  const std::unique_ptr<StoreReader> reader_ = *store_->NewReader();
  uint64_t commits_ = 0;
};

TEST_F(PredecessorResultsTest, WhatSucceededIsHandedOnInOrderOfIndexes) {
  PutOther(1);
  PutOther(2);
  Put(1, 1, {Entry(3, TaskState::kSucceeded, "three"), Entry(4, TaskState::kFailed, "no")});
  Put(1, 2, {Entry(0, TaskState::kSucceeded, "output", "file")});
  const ResultsLoaded loaded = Load({On(1, "split"), On(2)});
  EXPECT_EQ(loaded.failed, Reason::kNone);
  link::v1::JobBrief brief;
  ASSERT_TRUE(brief.ParseFromString(std::string(loaded.brief.view())));
  ASSERT_EQ(brief.predecessors_size(), 2);
  EXPECT_EQ(brief.predecessors(0).name(), "split");
  ASSERT_EQ(brief.predecessors(0).index_size(), 2);
  EXPECT_EQ(brief.predecessors(0).index(0), 0u);
  EXPECT_EQ(brief.predecessors(0).index(1), 3u);
  EXPECT_EQ(brief.predecessors(0).output_bytes(0), 4u);
  EXPECT_EQ(brief.predecessors(0).outputs(), "filethree");
  EXPECT_EQ(brief.predecessors(1).name(), "2") << "without a name: its id";
  EXPECT_EQ(brief.predecessors(1).index_size(), 0);
}

TEST_F(PredecessorResultsTest, TooManyBytesAreABadInput) {
  PutOther(1);
  const std::string half(PredecessorResults::kMaxBytes / 2, 'x');
  Put(1, 1, {Entry(0, TaskState::kSucceeded, half)});
  EXPECT_EQ(Load({On(1)}).failed, Reason::kNone);
  Put(1, 2, {Entry(1, TaskState::kSucceeded, half)});
  EXPECT_EQ(Load({On(1)}).failed, Reason::kBadInput);
}

TEST_F(PredecessorResultsTest, ResultsWithoutBytesAreBoundedToo) {
  PutOther(1);
  PutResults put;
  put.job = JobId(1);
  put.seq = 1;
  put.runs = {{{0, 300'000, 0}, TaskState::kSucceeded}};
  put.body = Buffer(std::string("never looked at"));
  Commit({put});
  EXPECT_EQ(Load({On(1)}).failed, Reason::kBadInput);
}

TEST_F(PredecessorResultsTest, WhatIsGoneOrDamagedIsALoss) {
  EXPECT_EQ(Load({On(1)}, false).failed, Reason::kDataLoss);
  PutOther(1);
  PutResults put;
  put.job = JobId(1);
  put.seq = 1;
  put.runs = {{{0, 1, 0}, TaskState::kSucceeded}};
  put.body = Buffer(std::string("\xff\xff\xff"));
  Commit({put});
  EXPECT_EQ(Load({On(1)}).failed, Reason::kDataLoss);
}

}  // namespace
}  // namespace reeve
