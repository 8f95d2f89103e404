#!/bin/sh -e
# reduce.sh: the sums of what the tasks before printed, which lies in $REEVE_RESULTS_DIR/JOB/INDEX.
awk '{ files += $1; lines += $2; bytes += $3 } END { print files, "files,", lines, "lines,", bytes, "bytes" }' "$REEVE_RESULTS_DIR"/sizes/*
awk '{ sum[$2] += $1 } END { for (word in sum) print sum[word], word }' "$REEVE_RESULTS_DIR"/words/* | LC_ALL=C sort -k1,1nr -k2
