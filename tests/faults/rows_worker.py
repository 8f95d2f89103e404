"""Rows in which workers die, hang, crash or are drained: F5 to F7, F10 to F12, F33, F34, F38."""

import os
import signal
import threading
import time

import api
import oracle
from harness import Load, Run, base, row, until


def journal_of(cluster):
    return oracle.Journal(cluster.journal)


@row("F5", "kill -9 worker: idle, between ASSIGN and start, running, result sent not acked, in drain")
def kill_worker_in_each_state(run: Run):
    kill_idle_and_running(run)
    for point, most in (("worker.assigned", 2), ("worker.results", 2), ("worker.results_sent", 2), ("worker.drain", 2)):
        kill_at(run, point, most)


def kill_idle_and_running(run):
    with run.cluster(workers=2, slots=4) as cluster:
        client = cluster.client()
        cluster.kill_proper("worker-1")  # Idle.
        client.submit(run.payloads(100))
        job = client.submit(run.payloads(8, b"sleep=1 "))
        until(lambda: len(journal_of(cluster).executions(job.job_id)) == 8, "8 executions")
        killed = time.monotonic()
        cluster.kill_worker("worker-2")  # Supervisor and all: nobody starts it again.
        journal = cluster.check(client, executions=2)
        took = time.monotonic() - killed
        run.expect(took < run.seconds(15 + 1) + 15, f"requeued within lease + 1 s: {took:.1f} s")
        again = [i for i, n in journal.executions(job.job_id).items() if n == 2]
        run.expect(1 <= len(again) <= 4, f"what ran on the dead worker, and nothing else, ran again: {again}")


def kill_at(run, point, most):
    hit = 1 if point == "worker.drain" else run.random.randint(1, 5)
    with run.cluster(workers=1, slots=4) as cluster:
        client = cluster.client()
        cluster.start_worker("worker-2", env={"REEVE_FAILPOINTS": f"{point}=kill:{hit}"})
        cluster.wait_for_workers(2)
        with Load(client, run, prefix=b"sleep=0.01 " if point == "worker.drain" else b""):
            if point == "worker.drain":
                until(lambda: len(client.submissions) > 5, "some load")
                cluster.processes["worker-2"].terminate()
                until(lambda: cluster.processes["worker-2"].poll() is not None, "the end of the draining worker")
            else:
                until(lambda: "failpoint fires" in cluster.log("worker-2"), f"{point}")
                until(lambda: "worker died" in cluster.log("worker-2"), "the supervisor's word")
        cluster.check(client, executions=most)
