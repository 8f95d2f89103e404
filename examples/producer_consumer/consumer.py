"""consumer.py JOB FILE: writes results to FILE as they come, a line for each message. Started again it goes on behind the last line."""

import json
import os
import sys

from reeve_api import connect, services_pb2


def cursor_of(path):
    """The place behind the last whole line; half a line, left by a kill, is cut off."""
    if not os.path.exists(path):
        return 0
    with open(path, "r+b") as file:
        lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        file.truncate(sum(map(len, whole)))
    return json.loads(whole[-1])["cursor"] if whole else 0


def outputs(batch):
    """The outputs in a message: for each run of tasks, `count` of them from `position` on; one length is that of all."""
    total = sum(batch.count)
    lengths = list(batch.output_bytes) * (total if len(batch.output_bytes) == 1 else 1)
    for run in batch.runs:
        for i in range(run.position, run.position + run.count):
            begin = sum(lengths[:i])
            yield batch.output[begin:begin + lengths[i]].decode()


job, path = int(sys.argv[1]), sys.argv[2]
jobs, call = connect()
cursor = cursor_of(path)
print("begin at", cursor, flush=True)
with open(path, "a") as file:
    for batch in jobs.StreamResults(services_pb2.StreamResultsRequest(job_id=job, cursor=cursor, follow=True), **call):
        # Results and cursor are one write: what is in the file is what will not be asked for again.
        file.write(json.dumps({"cursor": batch.cursor, "outputs": list(outputs(batch))}) + "\n")
        file.flush()
