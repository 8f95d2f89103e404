#include "client/commands/session.h"

#include <iostream>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/selector.h"
#include "client/output/json.h"
#include "client/pinned_authority.h"

namespace reeve {

absl::StatusOr<Address> Session::MasterAddress() const {
  const std::string text = settings_.Get("master");
  return text.empty() ? Address() : ParseAddress(text);
}

std::string Session::Command() const {
  return master_flag_.empty() ? "reeve" : StrCat("reeve --master ", master_flag_);
}

absl::Status Session::Explain(const absl::Status& status) const {
  if (!absl::IsUnauthenticated(status) || missing_token_file_.empty()) return status;
  return MakeError(status.code(), ErrorReason(status),
                   StrCat("no token in ", missing_token_file_, "; name the file by --token-file"));
}

absl::Status CompleteAccess(const Address& address, ClusterAccess* access) {
  if (!access->authority.empty()) return absl::OkStatus();
  const std::string pinned = PinnedBy(access->token);
  if (!pinned.empty()) {
    auto fetched = FetchAuthority(address, pinned);
    if (!fetched.ok()) return fetched.status();
    access->authority = *std::move(fetched);
    return absl::OkStatus();
  }
  if (address.is_loopback()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnauthenticated, "BAD_TOKEN",
                   StrCat(address.ToString(),
                          " is another machine, and no token says whom to trust "
                          "there; run `reeve context add ",
                          address.ToString(), " --token-file FILE` once"));
}

absl::StatusOr<JobClient*> Session::Connect() {
  if (client_ != nullptr) return client_.get();
  const absl::StatusOr<Address> address = MasterAddress();
  if (!address.ok()) return address.status();
  absl::StatusOr<ClusterAccess> access = FindAccess(*address, settings_.Get("token_file"));
  if (!access.ok()) return access.status();
  if (access->token.empty()) {
    missing_token_file_ = settings_.Get("token_file");
    if (missing_token_file_.empty()) missing_token_file_ = TokenFileOf(*address);
  }
  if (absl::Status s = CompleteAccess(*address, &*access); !s.ok()) return s;
  client_ = std::make_unique<JobClient>(address->ToString(), *access);
  return client_.get();
}

absl::StatusOr<uint64_t> Session::NewestId() {
  const auto client = Connect();
  if (!client.ok()) return client.status();
  v1::ListJobsRequest request;
  request.set_page_size(1);
  const auto page = (*client)->ListJobs(request);
  if (!page.ok()) return page.status();
  if (page->jobs_size() == 0) {
    return MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", "there is no job yet");
  }
  return page->jobs(0).job_id();
}

absl::StatusOr<std::vector<uint64_t>> Session::ListIds(AllJobs all) {
  const auto client = Connect();
  if (!client.ok()) return client.status();
  v1::ListJobsRequest request;
  request.set_page_size(1000);
  if (all == AllJobs::kActive) {
    for (auto state : {v1::Job::OPEN, v1::Job::ACTIVE, v1::Job::CANCELLING, v1::Job::PAUSED}) {
      request.add_states(state);
    }
  } else if (all == AllJobs::kEnded) {
    for (auto state : {v1::Job::SUCCEEDED, v1::Job::FAILED, v1::Job::CANCELLED, v1::Job::EXPIRED}) {
      request.add_states(state);
    }
  }
  std::vector<uint64_t> ids;
  do {
    const auto page = (*client)->ListJobs(request);
    if (!page.ok()) return page.status();
    for (const v1::Job& job : page->jobs()) ids.push_back(job.job_id());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return ids;
}

absl::StatusOr<std::vector<uint64_t>> Session::SelectJobs(std::string_view text, AllJobs all) {
  const absl::StatusOr<JobSelector> selector = ParseJobSelector(text);
  if (!selector.ok()) return selector.status();
  switch (selector->kind) {
    case JobSelector::Kind::kIds: return selector->ids;
    case JobSelector::Kind::kAll: return ListIds(all);
    case JobSelector::Kind::kLast: {
      const absl::StatusOr<uint64_t> id = NewestId();
      if (!id.ok()) return id.status();
      return std::vector<uint64_t>{*id};
    }
    case JobSelector::Kind::kStdin: break;
  }
  std::vector<uint64_t> ids;
  for (std::string word; std::cin >> word;) {
    if (word == "-") return UsageError("standard input holds '-' where a job id should be");
    const auto more = SelectJobs(word, all);
    if (!more.ok()) return more.status();
    ids.insert(ids.end(), more->begin(), more->end());
  }
  return ids;
}

absl::StatusOr<std::vector<uint64_t>> Session::SelectJobs(const std::vector<std::string>& selectors,
                                                          AllJobs all) {
  std::vector<uint64_t> ids;
  for (const std::string& selector : selectors) {
    const auto more = SelectJobs(selector, all);
    if (!more.ok()) return more.status();
    ids.insert(ids.end(), more->begin(), more->end());
  }
  return ids;
}

absl::StatusOr<uint64_t> Session::SelectJob(std::string_view selector) {
  const auto ids = SelectJobs(selector, AllJobs::kEvery);
  if (!ids.ok()) return ids.status();
  if (ids->size() == 1) return ids->front();
  return UsageError(StrCat("'", selector, "' names ", ids->size(), " jobs; one is wanted here"));
}

void Session::Print(const google::protobuf::Message& message, std::string_view text) {
  console_.Out(console_.is_json() ? ToJson(message, true) + "\n" : std::string(text));
}

}  // namespace reeve
