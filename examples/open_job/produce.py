"""produce.py JOB DONE NAME PRODUCERS: appends a hundred items to JOB, and then a mark to DONE. Who sees the marks of all closes both jobs.

Everything may be repeated: what is appended by the same name at the same offset counts once, and closing twice changes nothing.
"""

import base64
import json
import subprocess
import sys

job, done, name, producers = sys.argv[1:]


def call(method, *requests):
    """Returns the answer of a call of the API; the last one of a stream."""
    text = "\n".join(map(json.dumps, requests))
    answer = subprocess.run(["reeve", "--json", "api", "call", f"reeve.v1.JobService/{method}", "-"], input=text, stdout=subprocess.PIPE, text=True,
                            check=True)
    return answer.stdout


def append(to, items):
    appends = [{"offset": i, "task_count": 1, "input_bytes": [len(item)], "inputs": base64.b64encode(item.encode()).decode()}
               for i, item in enumerate(items)]
    call("AppendTasks", {"job_id": to, "appender_id": name}, *appends)


append(job, [f"{name}-{i}" for i in range(100)])
append(done, [name])
if int(json.loads(call("GetJob", {"job_id": done}))["counts"]["total"]) == int(producers):
    print(name, "closes the jobs")
    for each in (job, done):
        call("CloseJob", {"request_id": f"close {each}", "job_id": each})
