#!/usr/bin/env bash
# Installs what workers and plug-ins of your own are built with: headers, library, pkg-config file.
#
#   deploy/install-sdk.sh [PREFIX]      default: /usr/local
#
# A worker:    g++ -std=c++20 mine.cc $(pkg-config --cflags --libs reeve-worker) -o mine
# A plug-in:   gcc -shared -fPIC mine.c $(pkg-config --cflags reeve-worker) -o libmine.so
set -euo pipefail
prefix=${1:-/usr/local}
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)
cd "$(dirname "$0")/.."
deploy/install-deps.sh
bazel build //worker/sdk
tar -C "$prefix" --no-same-owner -xf "$(bazel info bazel-bin 2>/dev/null)/worker/sdk/reeve-sdk.tar"
echo "installed: $prefix/include/reeve, $prefix/lib/libreeve-worker.a, $prefix/lib/pkgconfig/reeve-worker.pc"
