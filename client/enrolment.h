// Makes a worker of this machine known to a master: its id, a key of its own, and the master's keys
// for it, in its state folder.
//
// Thread: any.

#ifndef REEVE_CLIENT_ENROLMENT_H_
#define REEVE_CLIENT_ENROLMENT_H_

#include <string>

#include "absl/status/status.h"
#include "client/job_client.h"

namespace reeve {

// Makes `worker_folder` and its worker_id if they are not there, and writes `key_file` (0600) once
// the master knows the key. A worker that is enrolled keeps its key.
// Errors: as JobClient::EnrolWorker; FAILED_PRECONDITION LOCAL  the folder.
absl::Status EnrolWorker(JobClient& client, const std::string& worker_folder,
                         const std::string& key_file, bool is_relay = false);

}  // namespace reeve

#endif  // REEVE_CLIENT_ENROLMENT_H_
