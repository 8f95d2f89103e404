// A request to create a job: what is accepted is within the published bounds, and shown as given.

#include "base/error.h"
#include "base/input_batch.h"
#include "google/protobuf/util/json_util.h"
#include "master/service/convert.h"
#include "master/service/validate.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  v1::CreateJobRequest request;
  if (!ParseMessage(input, &request)) return;
  const auto event = ValidateCreateJob(request, absl::FromUnixSeconds(1'000));
  if (!event.ok()) {
    Require(!ErrorReason(event.status()).empty(), "a refusal has a reason");
    Require(!ToGrpc(event.status()).error_details().empty(), "a refusal has details");
    return;
  }
  Require(event->array_count <= kMaxTasksPerJob, "an array is bounded");
  Require(event->options.max_attempts >= 1 && event->options.max_attempts <= 1'000,
          "attempts are bounded");
  Require((event->inputs != nullptr) == (event->input_count > 0), "inputs are counted");
  if (event->inputs != nullptr) {
    Require(event->inputs->Inputs(0, event->input_count).size() == event->input_bytes,
            "inputs are all of the payload");
  }
  JobView view;
  view.record = event->record;
  v1::Job job;
  ToProto(view, &job);
  Require(job.spec().handler() == request.spec().handler() &&
              job.spec().params_size() == request.spec().params_size(),
          "the job is shown as given");
  std::string json;
  Require(google::protobuf::util::MessageToJsonString(job, &json).ok(),
          "a job can be shown as JSON");
}

}  // namespace reeve::fuzz
