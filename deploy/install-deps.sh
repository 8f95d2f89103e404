#!/usr/bin/env bash
# Installs the Debian 12 packages that Reeve is built with, if any is missing.
#
#   deploy/install-deps.sh [--test]      --test: also what only the tests need
#
# Works for root and for a user with sudo. Changes nothing when all are there.
set -euo pipefail

build=(
  bazel-bootstrap bazel-platforms bazel-rules-java bazel-rules-proto bazel-skylib build-essential
  libabsl-dev libprotobuf-dev protobuf-compiler libgrpc++-dev protobuf-compiler-grpc
  libzmq3-dev libsqlite3-dev libssl-dev libxxhash-dev libspdlog-dev libfmt-dev libcli11-dev
  libyaml-cpp-dev libsimdjson-dev libboost-dev libcurl4-openssl-dev libjq-dev libxml2-dev libpq-dev
  tzdata
)
test=(
  clang libclang-rt-14-dev libgtest-dev libgmock-dev procps python3 python3-grpcio python3-protobuf
  binutils dpkg-dev iproute2 mount nftables pkg-config postgresql-15 strace systemd util-linux
)

wanted=("${build[@]}")
[ "${1:-}" != --test ] || wanted+=("${test[@]}")
# Node from elsewhere will do as well.
if [ "${1:-}" = --test ] && ! PATH=/usr/local/bin:/usr/bin:/bin command -v node >/dev/null; then wanted+=(nodejs); fi

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || { echo "install-deps: needs a Debian 12 system (no apt-get here)" >&2; exit 1; }
if [ "$(id -u)" = 0 ]; then as_root=(env); else
  command -v sudo >/dev/null || { echo "install-deps: needs root or sudo to install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo env)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "install-deps: installing ${#missing[@]} packages: ${missing[*]}"
if ! { "${as_root[@]}" apt-get update -q &&
       "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } \
     >"$log" 2>&1 </dev/null; then
  tail -n 15 "$log" >&2
  echo "install-deps: apt-get failed; its last lines are above" >&2
  exit 1
fi
