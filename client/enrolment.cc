#include "client/enrolment.h"

#include <unistd.h>

#include "base/error.h"
#include "base/host_key.h"
#include "base/link_keys.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "base/uuid.h"

namespace reeve {
namespace {

absl::Status LocalError(const absl::Status& status) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "LOCAL", ToStd(status.message()));
}

absl::StatusOr<std::string> WorkerIdIn(const std::string& folder) {
  if (absl::Status s = MakeFolders(folder); !s.ok()) return s;
  const std::string file = folder + "/worker_id";
  const auto there = ReadSmallFile(file);
  if (there.ok() || !absl::IsNotFound(there.status())) return there;
  const std::string fresh = MakeUuid();
  if (absl::Status s = WriteSecretFile(file, fresh); !s.ok()) return LocalError(s);
  return fresh;
}

// The key that the master is told must outlive a crash between its answer and the key file: the
// master would refuse another one.
absl::StatusOr<CurveKeys> KeysFor(const std::string& key_file, const std::string& worker_id) {
  const auto there = ReadLinkKeys(key_file);
  if (there.ok() && there->worker_id == worker_id) return there->own;
  const std::string begun = key_file + ".begun";
  const auto secret = ReadSmallFile(begun);
  if (secret.ok() && IsCurveKey(*secret)) return CurveKeys{PublicKeyOf(*secret), *secret};
  const CurveKeys fresh = MakeCurveKeys();
  if (absl::Status s = WriteSecretFile(begun, fresh.secret_key); !s.ok()) return LocalError(s);
  return fresh;
}

}  // namespace

absl::Status EnrolWorker(JobClient& client, const std::string& worker_folder,
                         const std::string& key_file, bool is_relay) {
  const auto worker_id = WorkerIdIn(worker_folder);
  if (!worker_id.ok()) return worker_id.status();
  const auto own = KeysFor(key_file, *worker_id);
  if (!own.ok()) return own.status();
  LinkKeys keys{*worker_id, *own, {}, {}};
  v1::EnrolWorkerRequest request;
  request.set_worker_id(*worker_id);
  request.set_public_key(keys.own.public_key);
  request.set_relay(is_relay);
  request.set_hostname(HostName());
  const auto enrolled = client.EnrolWorker(request);
  if (!enrolled.ok()) return enrolled.status();
  keys.server_key = enrolled->server_key();
  keys.next_server_key = enrolled->next_server_key();
  if (absl::Status s = WriteLinkKeys(key_file, keys); !s.ok()) return LocalError(s);
  unlink(StrCat(key_file, ".begun").c_str());
  return absl::OkStatus();
}

}  // namespace reeve
