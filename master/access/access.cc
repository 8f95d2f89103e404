#include "master/access/access.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_split.h"
#include "base/certificate.h"
#include "base/error.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "base/zmq_curve.h"
#include "google/protobuf/util/json_util.h"
#include "reeve/store/v1/access.pb.h"

namespace reeve {
namespace {

constexpr std::pair<std::string_view, uint32_t> kRoles[] = {
    {"submit", kRoleSubmit}, {"read", kRoleRead}, {"admin", kRoleAdmin}, {"worker", kRoleWorker}};
constexpr size_t kTokenIdBytes = 4, kSecretBytes = 32;
constexpr std::string_view kPrefix = "rv1";
constexpr size_t kMaxHandlers = 100;
// For so long an expired token is told from a wrong one.
constexpr absl::Duration kKeepExpired = absl::Hours(24 * 30);

bool IsShort(const std::string& name) { return !name.empty() && name.size() <= 64; }

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

absl::Status Full(std::string_view what) {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                   StrCat("there are ", Access::kMaxEntries, " ", what, "; revoke some"),
                   absl::Minutes(1));
}

absl::Status NotFound(std::string_view message) {
  return MakeError(absl::StatusCode::kNotFound, "NOT_ENROLLED", message);
}

bool IsPrincipal(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= 64 && name != kRootPrincipal &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

bool IsWorkerId(std::string_view id) {
  return !id.empty() && id.size() <= 64 &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
}

int64_t ToMicros(absl::Time time) {
  return time == absl::InfiniteFuture() ? 0 : absl::ToUnixMicros(time);
}
absl::Time FromMicros(int64_t us) {
  return us == 0 ? absl::InfiniteFuture() : absl::FromUnixMicros(us);
}

absl::StatusOr<TokenEntry> FromFile(const store::v1::AccessFile::Token& stored) {
  TokenEntry entry{stored.token_id(),
                   stored.principal(),
                   0,
                   stored.secret_sha256(),
                   FromMicros(stored.create_time_us()),
                   FromMicros(stored.expire_time_us()),
                   {stored.handlers().begin(), stored.handlers().end()}};
  for (const std::string& name : stored.roles()) {
    const auto role = ParseRole(name);
    if (!role.ok()) return role.status();
    entry.roles |= *role;
  }
  if (entry.token_id.empty() || !IsPrincipal(entry.principal) || entry.secret_sha256.size() != 64)
    return Bad(StrCat("token `", entry.token_id, "`"));
  return entry;
}

absl::StatusOr<WorkerEntry> FromFile(const store::v1::AccessFile::Worker& stored) {
  WorkerEntry entry{stored.worker_id(),
                    stored.public_key(),
                    stored.hostname(),
                    stored.enrolled_by(),
                    FromMicros(stored.enrol_time_us()),
                    stored.relay()};
  if (!IsWorkerId(entry.worker_id) || !IsCurveKey(entry.public_key))
    return Bad(StrCat("worker `", entry.worker_id, "`"));
  return entry;
}

}  // namespace

std::vector<std::string> RoleNames(uint32_t roles) {
  std::vector<std::string> names;
  for (const auto& [name, bit] : kRoles) {
    if ((roles & bit) != 0) names.emplace_back(name);
  }
  return names;
}

absl::StatusOr<uint32_t> ParseRole(std::string_view name) {
  for (const auto& [known, bit] : kRoles) {
    if (name == known) return bit;
  }
  return Bad(StrCat("`", name, "` is not a role: submit, read, admin or worker"));
}

absl::StatusOr<std::unique_ptr<Access>> Access::Open(Options options) {
  if (options.root_token.empty())
    return absl::FailedPreconditionError("the token of root is empty");
  auto access = std::unique_ptr<Access>(new Access(std::move(options)));
  if (absl::Status s = access->Reload(); !s.ok()) return s;
  return access;
}

absl::StatusOr<Access::Entries> Access::Read() const {
  const auto text = ReadSmallFile(options_.file);
  if (absl::IsNotFound(text.status())) return Entries();
  if (!text.ok()) return text.status();
  store::v1::AccessFile file;
  const auto parsed = google::protobuf::util::JsonStringToMessage(*text, &file);
  const auto damaged = [this](std::string_view why) {
    return absl::FailedPreconditionError(StrCat(options_.file, " is damaged: ", why));
  };
  if (!parsed.ok()) return damaged(parsed.message().as_string());
  Entries entries;
  for (const auto& stored : file.tokens()) {
    auto entry = FromFile(stored);
    if (!entry.ok()) return damaged(ToStd(entry.status().message()));
    entries.tokens[entry->token_id] = *std::move(entry);
  }
  for (const auto& stored : file.workers()) {
    auto entry = FromFile(stored);
    if (!entry.ok()) return damaged(ToStd(entry.status().message()));
    entries.workers[entry->public_key] = *std::move(entry);
  }
  return entries;
}

absl::Status Access::Write(const Entries& entries) const {
  store::v1::AccessFile file;
  for (const auto& [id, entry] : entries.tokens) {
    auto* stored = file.add_tokens();
    stored->set_token_id(id);
    stored->set_principal(entry.principal);
    for (const std::string& role : RoleNames(entry.roles)) stored->add_roles(role);
    stored->set_secret_sha256(entry.secret_sha256);
    stored->set_create_time_us(ToMicros(entry.create_time));
    stored->set_expire_time_us(ToMicros(entry.expire_time));
    for (const std::string& handler : entry.handlers) stored->add_handlers(handler);
  }
  for (const auto& [key, entry] : entries.workers) {
    auto* stored = file.add_workers();
    stored->set_worker_id(entry.worker_id);
    stored->set_public_key(key);
    stored->set_hostname(entry.hostname);
    stored->set_enrolled_by(entry.enrolled_by);
    stored->set_enrol_time_us(ToMicros(entry.enrol_time));
    stored->set_relay(entry.is_relay);
  }
  google::protobuf::util::JsonPrintOptions json;
  json.add_whitespace = true;
  json.preserve_proto_field_names = true;
  std::string text;
  (void)google::protobuf::util::MessageToJsonString(file, &text, json);
  return WriteSecretFile(options_.file, text);
}

Access::Entries Access::Copy() const {
  MutexLock lock(&mu_);
  return entries_;
}

absl::Status Access::Replace(Entries entries) {
  if (absl::Status s = Write(entries); !s.ok()) return s;
  MutexLock lock(&mu_);
  entries_ = std::move(entries);
  return absl::OkStatus();
}

absl::Status Access::Reload() {
  MutexLock changing(&changing_);
  auto entries = Read();
  if (!entries.ok()) return entries.status();
  MutexLock lock(&mu_);
  entries_ = *std::move(entries);
  return absl::OkStatus();
}

absl::StatusOr<Principal> Access::Identify(std::string_view token, absl::Time now) const {
  if (SameSecret(token, options_.root_token))
    return Principal{kRootPrincipal, kRoleSubmit | kRoleRead | kRoleAdmin | kRoleWorker, {}};
  const absl::Status wrong =
      MakeError(absl::StatusCode::kUnauthenticated, "BAD_TOKEN", "wrong token, or a revoked one");
  const std::vector<std::string> parts = absl::StrSplit(ToAbsl(token), absl::MaxSplits('.', 3));
  if (parts.size() < 3 || parts[0] != kPrefix) return wrong;
  const std::string hash = Sha256Hex(parts[2]);
  MutexLock lock(&mu_);
  const auto it = entries_.tokens.find(parts[1]);
  if (it == entries_.tokens.end() || !SameSecret(hash, it->second.secret_sha256)) return wrong;
  if (now >= it->second.expire_time) {
    return MakeError(absl::StatusCode::kUnauthenticated, "TOKEN_EXPIRED",
                     StrCat("the token expired at ", absl::FormatTime(it->second.expire_time),
                            "; ask for a new one"));
  }
  return Principal{it->second.principal, it->second.roles, it->second.handlers};
}

absl::StatusOr<Access::NewToken> Access::CreateToken(const std::string& principal, uint32_t roles,
                                                     absl::Time expire_time, absl::Time now,
                                                     std::vector<std::string> handlers) {
  if (!IsPrincipal(principal))
    return Bad("principal: 1 to 64 characters of a-z, 0-9, `.`, `_` and `-`, and not `root`");
  if (RoleNames(roles).empty()) return Bad("roles: at least one");
  if (expire_time <= now) return Bad("expire_time: has passed");
  if (handlers.size() > kMaxHandlers || !std::all_of(handlers.begin(), handlers.end(), IsShort))
    return Bad("handlers: at most 100, of 1 to 64 characters");
  const std::string secret = RandomHex(kSecretBytes);
  NewToken made;
  made.entry = {RandomHex(kTokenIdBytes), principal, roles, Sha256Hex(secret), now, expire_time,
                std::move(handlers)};
  made.text = StrCat(kPrefix, ".", made.entry.token_id, ".", secret);
  if (!options_.fingerprint.empty()) made.text += StrCat(".", options_.fingerprint);
  MutexLock changing(&changing_);
  Entries next = Copy();
  // The master itself makes one each week.
  std::erase_if(next.tokens,
                [now](const auto& token) { return token.second.expire_time + kKeepExpired < now; });
  if (next.tokens.size() >= kMaxEntries) return Full("tokens");
  next.tokens[made.entry.token_id] = made.entry;
  if (absl::Status s = Replace(std::move(next)); !s.ok()) return s;
  return made;
}

std::vector<TokenEntry> Access::ListTokens() const {
  MutexLock lock(&mu_);
  std::vector<TokenEntry> all;
  for (const auto& [id, entry] : entries_.tokens) all.push_back(entry);
  return all;
}

absl::StatusOr<size_t> Access::RevokeTokens(const std::string& id_or_principal) {
  MutexLock changing(&changing_);
  Entries next = Copy();
  const size_t count = std::erase_if(next.tokens, [&](const auto& token) {
    return token.first == id_or_principal || token.second.principal == id_or_principal;
  });
  if (count == 0) return NotFound(StrCat("there is no token or principal `", id_or_principal, "`"));
  if (absl::Status s = Replace(std::move(next)); !s.ok()) return s;
  return count;
}

absl::Status Access::EnrolWorker(WorkerEntry entry) {
  if (!IsCurveKey(entry.public_key)) return Bad("public_key: 40 characters of Z85");
  if (!IsWorkerId(entry.worker_id)) return Bad("worker_id: 1 to 64 printable ASCII characters");
  MutexLock changing(&changing_);
  Entries next = Copy();
  const auto same_key = next.workers.find(entry.public_key);
  if (same_key != next.workers.end() && same_key->second.worker_id == entry.worker_id)
    return absl::OkStatus();
  const bool is_bound =
      std::any_of(next.workers.begin(), next.workers.end(),
                  [&](const auto& worker) { return worker.second.worker_id == entry.worker_id; });
  if (is_bound || same_key != next.workers.end()) {
    return MakeError(absl::StatusCode::kAlreadyExists, "WORKER_ENROLLED",
                     StrCat("worker ", entry.worker_id,
                            " is enrolled with another key; `reeve worker revoke` it first"));
  }
  if (next.workers.size() >= kMaxEntries) return Full("workers");
  const std::string key = entry.public_key;
  next.workers[key] = std::move(entry);
  return Replace(std::move(next));
}

std::vector<WorkerEntry> Access::ListWorkers() const {
  MutexLock lock(&mu_);
  std::vector<WorkerEntry> all;
  for (const auto& [key, entry] : entries_.workers) all.push_back(entry);
  return all;
}

absl::Status Access::RevokeWorker(const std::string& worker_id) {
  MutexLock changing(&changing_);
  Entries next = Copy();
  const size_t count = std::erase_if(
      next.workers, [&](const auto& worker) { return worker.second.worker_id == worker_id; });
  if (count == 0) return NotFound(StrCat("worker ", worker_id, " is not enrolled"));
  return Replace(std::move(next));
}

bool Access::IsEnrolled(const std::string& public_key) const {
  MutexLock lock(&mu_);
  return entries_.workers.contains(public_key);
}

absl::StatusOr<WorkerEntry> Access::WorkerOf(const std::string& public_key) const {
  MutexLock lock(&mu_);
  const auto it = entries_.workers.find(public_key);
  if (it == entries_.workers.end()) return NotFound("the key is not enrolled");
  return it->second;
}

}  // namespace reeve
