// Inputs as clients send them: what is accepted, protobuf reads the same way, and every input lies
// where the lengths say.

#include "base/input_batch.h"

#include "reeve/v1/batch.pb.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  const auto batch = InputBatch::Parse(Borrow(input));
  if (!batch.ok()) return;
  const InputBatch& b = **batch;
  const std::vector<InputKey> keys = b.Keys();
  Require(keys.size() == (b.has_keys() ? b.count() : 0), "every input has a key, or none has");
  InputBatchBuilder builder;
  uint64_t total = 0;
  for (uint32_t i = 0; i < b.count(); ++i) {
    const std::string_view one = b.Input(i);
    Require(one.size() == b.InputBytes(i), "an input is as long as it is said to be");
    Require(b.Inputs(i, 1).view() == one, "an input alone is a slice of all");
    total += one.size();
    if (b.has_keys()) {
      builder.Add(one, keys[i]);
    } else {
      builder.Add(one);
    }
  }
  Require(total == b.payload_bytes(), "the inputs are all of the payload");
  Require(b.Inputs(0, b.count()).size() == total, "all inputs are one slice");
  v1::TaskBatch proto;
  Require(ParseMessage(input, &proto) && proto.task_count() == b.count() &&
              proto.inputs().size() == total && proto.keys().size() == 16 * keys.size(),
          "protobuf reads the same batch");
  const auto again = InputBatch::Parse(Buffer(builder.Finish()));
  Require(again.ok() && (*again)->count() == b.count() && (*again)->payload_bytes() == total &&
              (*again)->Keys() == keys,
          "a batch built from its inputs is the same batch");
}

}  // namespace reeve::fuzz
