// What a server offers, learnt from it through gRPC reflection (v1alpha).
//
// Thread: one.

#ifndef REEVE_CLIENT_REFLECTION_H_
#define REEVE_CLIENT_REFLECTION_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/job_client.h"

namespace reeve {

class Reflection {
 public:
  // Lifetime: `client` outlives it.
  explicit Reflection(JobClient* client) : client_(client), pool_(&database_) {}

  // Full names.
  absl::StatusOr<std::vector<std::string>> ListServices();

  // Makes `symbol` and all it refers to known to pool(). Errors: NOT_FOUND.
  absl::Status Load(const std::string& symbol);

  const google::protobuf::DescriptorPool& pool() const { return pool_; }

 private:
  absl::StatusOr<std::string> Ask(const std::string& request);

  JobClient* const client_;
  google::protobuf::SimpleDescriptorDatabase database_;
  google::protobuf::DescriptorPool pool_;
  std::set<std::string> files_;
};

// Calls a method with messages already encoded, of any kind of streaming. `next` gives requests
// until it returns false; `on_answer` gets each answer. Errors: as the method.
absl::Status CallRaw(JobClient* client, const std::string& path,
                     const std::function<bool(std::string*)>& next,
                     const std::function<void(std::string_view)>& on_answer);

}  // namespace reeve

#endif  // REEVE_CLIENT_REFLECTION_H_
