// A gearman worker for the comparison of peers.py: `echo` answers with its payload.
//
//   gearman_worker PORT      works for the job server on loopback until it is killed
//
// Compiled by peers.py against Debian's libgearman-dev; not part of the Bazel build, which does not
// need that package.

#include <libgearman/gearman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Returns: the payload, allocated as libgearman frees it.
void* Echo(gearman_job_st* job, void* /*context*/, size_t* result_bytes,
           gearman_return_t* outcome) {
  *result_bytes = gearman_job_workload_size(job);
  void* result = std::malloc(*result_bytes);
  std::memcpy(result, gearman_job_workload(job), *result_bytes);
  *outcome = GEARMAN_SUCCESS;
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: gearman_worker PORT\n");
    return 2;
  }
  gearman_worker_st* worker = gearman_worker_create(nullptr);
  gearman_worker_add_server(worker, "127.0.0.1", static_cast<in_port_t>(std::atoi(argv[1])));
  // Without unique names in the messages: fewer bytes, as nobody asks for them.
  gearman_worker_remove_options(worker, GEARMAN_WORKER_GRAB_UNIQ);
  gearman_worker_add_function(worker, "echo", 0, Echo, nullptr);
  while (gearman_worker_work(worker) == GEARMAN_SUCCESS) {
  }
  std::fprintf(stderr, "gearman_worker: %s\n", gearman_worker_error(worker));
  return 1;
}
