#!/usr/bin/env bash
# Reeve beside gearmand, Celery, Dask, Python's pools, GNU parallel and xargs in the same run. See --help and README.md.
#
#   tests/bench/peers.sh --install                          everything, three rounds; installs what is missing
#   tests/bench/peers.sh --only reeve gearman --runs 5      what the comparison with gearmand is about
#   tests/bench/peers.sh --tasks-scale 0.02 --runs 1        whether all of it works, in some seconds
#
# REEVE_PROGRAMS names a folder like bazel-bin to use programs that are built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${REEVE_PROGRAMS:-}" ]; then
  bazel build //client:reeve //master:reeve-master //worker:reeve-worker
  REEVE_PROGRAMS=$(bazel info bazel-bin 2>/dev/null)
fi
export REEVE_PROGRAMS
exec /usr/bin/python3 -B tests/bench/peers.py "$@"
