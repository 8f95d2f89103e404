// Results as workers and masters send them: every entry can be read, and protobuf reads the same.

#include "base/result_batch.h"

#include "reeve/v1/batch.pb.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {
namespace {

void CheckRuns(const std::vector<PositionedRun>& runs, const char* claim) {
  for (const PositionedRun& run : runs)
    Require(run.count > 0 && uint64_t{run.first} + run.count <= UINT32_MAX, claim);
}

}  // namespace

void Fuzz(std::string_view input) {
  const auto batch = ResultBatch::Parse(Borrow(input));
  if (!batch.ok()) return;
  const ResultBatch& b = **batch;
  CheckRuns(b.body_runs(), "a run of the body is sound");
  CheckRuns(b.head_runs(), "a run of the head is sound");
  CheckRuns(b.cancelled(), "a cancelled run is sound");
  v1::ResultBatch proto;
  Require(ParseMessage(input, &proto), "protobuf reads it too");
  Require(proto.worker() == b.worker() && proto.cursor() == b.cursor() &&
              proto.has_end() == b.is_end() && proto.runs_size() == int(b.head_runs().size()),
          "protobuf reads the same head");
  // Uniform columns let a few bytes stand for a million entries: once is enough.
  if (b.count() > 10'000) return;
  ResultBatchBuilder builder;
  size_t output = 0;
  b.ForEach(b.body_runs(), [&](const ResultEntry& entry) {
    output += entry.output.size();
    builder.Add(entry);
  });
  Require(output == proto.output().size(), "the outputs are all of their blob");
  if (b.count() == 0) return;
  const auto again = ResultBatch::Parse(Buffer(builder.Finish(b.worker())));
  Require(again.ok() && (*again)->count() == b.count(), "a batch built from its entries is sound");
  for (const PositionedRun& run : b.body_runs()) {
    for (uint32_t i = 0; i < run.count; ++i) {
      const ResultEntry one = b.Entry(run.position + i, run.first + i);
      const ResultEntry two = (*again)->Entry(run.position + i, run.first + i);
      Require(one.output == two.output && one.message == two.message && one.state == two.state &&
                  one.error_output == two.error_output && one.attempt == two.attempt &&
                  one.result_file == two.result_file,
              "an entry survives the round trip");
    }
  }
}

}  // namespace reeve::fuzz
