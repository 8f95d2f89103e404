#include "worker/http/http_tries.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "base/strings.h"
#include "worker/async/backoff.h"

namespace reeve {
namespace {

// What the server asks for, in seconds or as a date; zero if it asks for nothing.
absl::Duration RetryAfter(const HttpAnswer& answer) {
  for (const auto& [name, value] : answer.headers) {
    if (name != "retry-after") continue;
    double seconds = 0;
    if (absl::SimpleAtod(value, &seconds)) return absl::Seconds(std::max(0.0, seconds));
    const time_t at = curl_getdate(value.c_str(), nullptr);
    if (at >= 0) return std::max(absl::FromTimeT(at) - absl::Now(), absl::ZeroDuration());
  }
  return absl::ZeroDuration();
}

}  // namespace

Awaited<HttpAnswer> FetchWith(AsyncContext& task, HttpClient* client, const HttpRequest& request) {
  return task.Await<HttpAnswer>([client, request](Awaited<HttpAnswer>::Done done) {
    const uint64_t number = client->Start(request, std::move(done));
    return std::function<void()>([client, number] { client->Stop(number); });
  });
}

std::string CauseOf(const HttpAnswer& answer) {
  return answer.error.empty() ? StrCat("status ", answer.status) : answer.error;
}

bool MayPass(const HttpAnswer& answer) {
  if (!answer.error.empty()) return !answer.is_refused && !answer.is_too_large;
  return answer.status == 408 || answer.status == 429 || answer.status >= 500;
}

absl::Duration NextTryAfter(const HttpPatience& patience, const AsyncContext& task,
                            const HttpAnswer& answer, uint32_t tries) {
  const absl::Duration asked = RetryAfter(answer);
  if (asked > patience.longest_retry_after) return absl::InfiniteDuration();
  return std::max(asked, Backoff(patience.first_backoff, patience.longest_backoff, task, tries));
}

}  // namespace reeve
