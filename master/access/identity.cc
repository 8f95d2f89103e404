#include "master/access/identity.h"

#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/state_folder.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr absl::Duration kServerLife = absl::Hours(24 * 90);
constexpr absl::Duration kBetweenRotations = absl::Minutes(1);
constexpr absl::Duration kRenewBefore = absl::Hours(24 * 30);

absl::Status Damaged(const std::string& file, std::string_view why) {
  return absl::FailedPreconditionError(StrCat(file, ": ", why));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MasterIdentity>> MasterIdentity::Open(const std::string& folder,
                                                                     const std::string& cluster_id,
                                                                     std::vector<std::string> names,
                                                                     absl::Time now) {
  auto identity = std::unique_ptr<MasterIdentity>(new MasterIdentity(folder, std::move(names)));
  if (absl::Status s = identity->LoadAuthority(cluster_id, now); !s.ok()) return s;
  if (absl::Status s = identity->LoadLinkKeys(); !s.ok()) return s;
  if (absl::Status s = identity->Renew(now); !s.ok()) return s;
  return identity;
}

absl::Status MasterIdentity::LoadAuthority(const std::string& cluster_id, absl::Time now) {
  const std::string key_file = folder_ + "/ca.key";
  const auto certificate = ReadSmallFile(authority_file());
  if (absl::IsNotFound(certificate.status())) {
    auto made = MakeAuthority(cluster_id, now);
    if (!made.ok()) return made.status();
    // The key first: a certificate without its key would be of no use to anybody.
    if (absl::Status s = WriteSecretFile(key_file, made->key); !s.ok()) return s;
    if (absl::Status s = WriteSecretFile(authority_file(), made->certificate); !s.ok()) return s;
    authority_ = *std::move(made);
  } else {
    const auto key = ReadSmallFile(key_file);
    if (!certificate.ok()) return certificate.status();
    if (!key.ok()) return Damaged(key_file, key.status().ToString());
    authority_ = {*certificate + "\n", *key + "\n"};
  }
  auto fingerprint = Fingerprint(authority_.certificate);
  if (!fingerprint.ok()) return Damaged(authority_file(), "not a certificate");
  fingerprint_ = *std::move(fingerprint);
  return absl::OkStatus();
}

absl::Status MasterIdentity::Renew(absl::Time now) {
  MutexLock lock(&mu_);
  const auto there = ReadSmallFile(certificate_file());
  const auto end = there.ok() ? EndOf(*there) : there.status();
  if (end.ok() && *end - now > kRenewBefore && IsFor(*there, names_)) return absl::OkStatus();
  return Issue(now);
}

absl::Status MasterIdentity::Issue(absl::Time now) {
  const auto made = IssueServer(authority_, names_, now, kServerLife);
  if (!made.ok()) return Damaged(folder_ + "/ca.key", made.status().ToString());
  // One file, so that nobody reads the key of one and the certificate of the other.
  return WriteSecretFile(certificate_file(), made->certificate + made->key);
}

absl::Status MasterIdentity::LoadLinkKeys() {
  const std::string file = folder_ + "/link.keys";
  const auto text = ReadSmallFile(file);
  MutexLock lock(&mu_);
  if (absl::IsNotFound(text.status())) {
    current_ = MakeCurveKeys();
    next_ = MakeCurveKeys();
    return SaveLinkKeys();
  }
  if (!text.ok()) return text.status();
  std::istringstream in(*text);
  int64_t rotated = 0;
  in >> current_.secret_key >> next_.secret_key >> rotated;
  rotated_ = absl::FromUnixSeconds(rotated);
  for (CurveKeys* keys : {&current_, &next_}) {
    keys->public_key = PublicKeyOf(keys->secret_key);
    if (keys->public_key.empty()) return Damaged(file, "two secret keys of 40 characters expected");
  }
  return absl::OkStatus();
}

absl::Status MasterIdentity::SaveLinkKeys() {
  return WriteSecretFile(folder_ + "/link.keys", StrCat(current_.secret_key, "\n", next_.secret_key,
                                                        "\n", absl::ToUnixSeconds(rotated_)));
}

absl::Status MasterIdentity::Rotate(absl::Time now) {
  MutexLock lock(&mu_);
  // A clock that was set back must not lock it for ever.
  if (absl::AbsDuration(now - rotated_) < kBetweenRotations) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "KEYS_CHANGED",
                     "the keys were changed within the last minute, and workers may not know the "
                     "next one yet; try again in a minute");
  }
  if (absl::Status s = Issue(now); !s.ok()) return s;
  current_ = std::exchange(next_, MakeCurveKeys());
  rotated_ = now;
  return SaveLinkKeys();
}

CurveKeys MasterIdentity::current() const {
  MutexLock lock(&mu_);
  return current_;
}

std::string MasterIdentity::next_public_key() const {
  MutexLock lock(&mu_);
  return next_.public_key;
}

}  // namespace reeve
