#include "master/store/job_record.h"

#include <string_view>

#include "base/wire.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {

namespace {

// The last of its kind, of length-delimited ones; empty if there is none.
std::string_view FieldOf(std::string_view message, int number) {
  std::string_view field;
  wire::Reader reader(message);
  while (reader.Next()) {
    if (static_cast<int>(reader.field()) == number) {
      reader.Bytes(&field);
    } else {
      reader.Skip();
    }
  }
  return field;
}

std::string_view SpecOf(const Buffer& record) {
  return FieldOf(record.view(), store::v1::JobRecord::kSpecFieldNumber);
}

}  // namespace

std::string OwnerOf(const Buffer& record) {
  return std::string(FieldOf(record.view(), store::v1::JobRecord::kOwnerFieldNumber));
}

std::string TaskKeyPathOf(const Buffer& record) {
  const std::string_view key = FieldOf(SpecOf(record), v1::JobSpec::kTaskKeyFieldNumber);
  return std::string(FieldOf(key, v1::TaskKey::kPathFieldNumber));
}

bool IsRetry(const Buffer& record) {
  uint64_t other = 0;
  wire::Reader fields(SpecOf(record));
  while (fields.Next()) {
    if (fields.field() == v1::JobSpec::kRetryOfFieldNumber) {
      fields.Varint(&other);
    } else {
      fields.Skip();
    }
  }
  return other != 0;
}

}  // namespace reeve
