#include "master/service/task_keys.h"

#include <string>

#include "base/json_field.h"
#include "simdjson.h"
#include "xxhash.h"

namespace reeve {
namespace {

uint64_t HashOf(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }

std::string FieldOf(std::string_view input, std::string_view path) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element record;
  if (parser.parse(simdjson::padded_string(input)).get(record) != simdjson::SUCCESS) return {};
  return JsonField(record, path).value_or("");
}

}  // namespace

bool IsTaskKeyPath(std::string_view path) {
  return path == "." || (path.size() <= 256 && IsFieldPath(path));
}

std::vector<uint64_t> TaskKeysOf(const InputBatch& batch, std::string_view path) {
  std::vector<uint64_t> keys(batch.count());
  for (uint32_t i = 0; i < batch.count(); ++i) {
    const std::string_view input = batch.Input(i);
    keys[i] = HashOf(path == "." ? input : FieldOf(input, path.substr(1)));
  }
  return keys;
}

}  // namespace reeve
