#include "master/store/job_record.h"

#include <string_view>

#include "base/wire.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {

std::string OwnerOf(const Buffer& record) {
  constexpr uint32_t kOwnerField = store::v1::JobRecord::kOwnerFieldNumber;
  std::string_view owner;
  wire::Reader reader(record.view());
  while (reader.Next()) {
    if (reader.field() == kOwnerField) {
      reader.Bytes(&owner);
    } else {
      reader.Skip();
    }
  }
  return std::string(owner);
}

bool IsRetry(const Buffer& record) {
  constexpr uint32_t kSpecField = store::v1::JobRecord::kSpecFieldNumber;
  std::string_view spec;
  wire::Reader reader(record.view());
  while (reader.Next()) {
    if (reader.field() == kSpecField) {
      reader.Bytes(&spec);
    } else {
      reader.Skip();
    }
  }
  uint64_t other = 0;
  wire::Reader fields(spec);
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
