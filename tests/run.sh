#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests, then fuzzes each target for a moment (not with arguments).
# The last line counts them: `N passed, N failed`.
#
#   tests/run.sh [BAZEL-TEST-ARGUMENT...]      e.g. tests/run.sh --config=tsan
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== packages"
deploy/install-deps.sh --test

echo "== build and test: bazel test //..."
events=$(mktemp)
trap 'rm -f "$events"' EXIT
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/reeve/bazel
status=0
bazel test --disk_cache="$cache" --build_event_json_file="$events" --keep_going "$@" //... || status=$?

fuzzed=$(mktemp)
trap 'rm -f "$events" "$fuzzed"' EXIT
if [ $# = 0 ]; then
  echo "== fuzz: tests/fuzz/run --runs 20000"
  tests/fuzz/run --runs 20000 2>&1 | tee "$fuzzed" || true
  grep -q '^[0-9]* passed, [0-9]* failed$' "$fuzzed" || echo "failed: tests/fuzz/run" >>"$fuzzed"
fi

echo "== summary"
python3 - "$events" "$status" "$fuzzed" <<'PYTHON'
import json, sys

passed, failed, names = 0, 0, []
for line in open(sys.argv[1]):
    event = json.loads(line)
    if "testSummary" in event:
        if event["testSummary"].get("overallStatus") in ("PASSED", "FLAKY"):
            passed += 1
        else:
            failed += 1
            names.append(event["id"]["testSummary"]["label"])
    elif event.get("id", {}).get("targetCompleted") and "aborted" in event:
        failed += 1
        names.append(event["id"]["targetCompleted"]["label"])
for line in open(sys.argv[3]):
    if line.startswith("passed: "):
        passed += 1
    elif line.startswith("failed: "):
        failed += 1
        names.append("fuzz " + line.split(": ", 1)[1].strip())
for name in names:
    print("failed:", name)
if int(sys.argv[2]) != 0 and failed == 0:
    print("bazel ended with", sys.argv[2])
    failed = 1
print(f"{passed} passed, {failed} failed")
sys.exit(0 if failed == 0 and passed > 0 else 1)
PYTHON
