#!/bin/sh -e
# report.sh: what is to be read, in the file report and as the result.
{
  echo "The headers here: $(head -n 1 "$REEVE_RESULTS_DIR/reduce/0")"
  tail -n +2 "$REEVE_RESULTS_DIR/reduce/0" | head -n 10
} | tee report.new
mv report.new report
