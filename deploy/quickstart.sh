#!/usr/bin/env bash
# Installs what is missing, builds Reeve, starts a local cluster of one master and two workers, digests every header under
# /usr/include on their thread pools, compares the checksums with sha256sum, and stops the cluster.
#
#   deploy/quickstart.sh
#
# Works on Debian 12 for root and for a user with sudo. A second run takes seconds to start.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== packages"
deploy/install-deps.sh

echo "== build (the first time takes some minutes)"
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/reeve/bazel
bazel build --disk_cache="$cache" //client:reeve //master:reeve-master //worker:reeve-worker
bin=$(bazel info bazel-bin 2>/dev/null)
reeve=$bin/client/reeve

folder=$(mktemp -d)
stop() {
  "$reeve" down --state-dir "$folder/state" >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
# A cluster of its own, whatever else runs here.
port=$((20000 + RANDOM % 20000))
export REEVE_MASTER=127.0.0.1:$port REEVE_TOKEN_FILE=$folder/state/token XDG_CONFIG_HOME=$folder/config

echo "== cluster: one master, two workers"
"$reeve" up --detach --workers 2 --state-dir "$folder/state" --port "$port" >"$folder/up.log" 2>&1 || {
  cat "$folder/up.log" >&2
  echo "quickstart: the cluster did not start; see above" >&2
  exit 1
}

echo "== digest of every header under /usr/include, one task per file"
find /usr/include -type f -name '*.h*' | sort >"$folder/files"
start=$(date +%s.%N)
status=0
"$reeve" --quiet map --ordered --handler digest --lines "$folder/files" --joblog "$folder/log.tsv" >"$folder/results" || status=$?
end=$(date +%s.%N)

# The same sums, made directly.
tr '\n' '\0' <"$folder/files" | xargs -0 sha256sum | sed 's/^\([0-9a-f]*\)  /\1 /' >"$folder/direct"
sed -n 's/^{"path":"\(.*\)","sha256":"\([0-9a-f]*\)".*/\2 \1/p' "$folder/results" >"$folder/mapped"

tasks=$(wc -l <"$folder/files")
failed=$(awk -F '\t' 'NR > 1 && $3 != "SUCCEEDED"' "$folder/log.tsv" | wc -l)
echo
awk -v tasks="$tasks" -v failed="$failed" -v start="$start" -v end="$end" 'BEGIN {
  printf "tasks      %d\nfailures   %d\nseconds    %.2f\nrate       %.0f tasks/s\n", tasks, failed, end - start, tasks / (end - start) }'
awk -F '\t' 'NR > 1 { count[$8]++; all++ } END { for (w in count) printf "%-10s %.0f %% of the tasks\n", w, 100 * count[w] / all }' \
  "$folder/log.tsv" | sort
if cmp -s "$folder/direct" "$folder/mapped"; then
  echo "checksums  $(wc -l <"$folder/mapped") of $tasks equal to sha256sum run directly"
else
  echo "checksums  DIFFER from sha256sum run directly in $(diff "$folder/direct" "$folder/mapped" | grep -c '^[<>]') lines"
  status=1
fi

echo
echo "== stop"
"$reeve" down --state-dir "$folder/state"
exit "$status"
