"""producer.py JOB: appends the numbers 0 to 999 to an open job, ten each 20 ms, and closes it. Started again it goes on where it was."""

import queue
import sys
import time
import uuid

from reeve_api import connect, services_pb2

TOTAL, TOGETHER = 1000, 10
job = int(sys.argv[1])
jobs, call = connect()

messages = queue.SimpleQueue()
answers = jobs.AppendTasks(iter(messages.get, None), **call)
messages.put(services_pb2.AppendTasksRequest(job_id=job, appender_id="numbers"))
committed = next(answers).committed_offset  # What an earlier life of this program got through.
print("begin at", committed, flush=True)
while committed < TOTAL:
    numbers = [str(i).encode() for i in range(committed, committed + TOGETHER)]
    messages.put(services_pb2.AppendTasksRequest(offset=committed, task_count=len(numbers), input_bytes=map(len, numbers), inputs=b"".join(numbers)))
    committed = next(answers).committed_offset
    time.sleep(0.02)
messages.put(None)
jobs.CloseJob(services_pb2.CloseJobRequest(request_id=str(uuid.uuid4()), job_id=job), **call)
