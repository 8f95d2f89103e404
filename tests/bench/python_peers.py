"""Measures one Python system for peers.py: sends `echo` tasks of 16 bytes, checks every result, then makes single calls.

  python_peers.py executor|pool|celery|dask --tasks N --chunk N --calls N [--port PORT]

Prints one JSON document a line: {"tasks", "verified", "seconds"} for the tasks, if there are any, and the same with {"p50_us", "p99_us"}
for the calls. Celery's workers import this file too (`celery -A python_peers`), with REEVE_PEERS_PORT naming the port of Redis.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import time

WORKERS = 2
WITHIN = 100  # Seconds that a client waits for a result.


def echo(payload):
    return payload


def celery_app(port):
    import celery
    url = f"redis://127.0.0.1:{port}/0"
    made = celery.Celery("python_peers", broker=url, backend=url)
    # As quick as Celery gets with results: many tasks are fetched at once, and nobody is told of their progress.
    made.conf.update(worker_prefetch_multiplier=64, worker_send_task_events=False, task_track_started=False)
    return made, made.task(echo, name="echo")


if "REEVE_PEERS_PORT" in os.environ:
    app, _ = celery_app(os.environ["REEVE_PEERS_PORT"])


class Executor:
    """concurrent.futures.ProcessPoolExecutor."""

    def __init__(self, arguments):
        self.chunk = arguments.chunk
        self.pool = concurrent.futures.ProcessPoolExecutor(WORKERS)

    def map(self, payloads):
        return self.pool.map(echo, payloads, chunksize=self.chunk)

    def call(self, payload):
        return self.pool.submit(echo, payload).result(WITHIN)

    def stop(self):
        self.pool.shutdown()


class Pool:
    """multiprocessing.Pool."""

    def __init__(self, arguments):
        self.chunk = arguments.chunk
        self.pool = multiprocessing.Pool(WORKERS)

    def map(self, payloads):
        return self.pool.imap(echo, payloads, chunksize=self.chunk)

    def call(self, payload):
        return self.pool.apply_async(echo, (payload,)).get(WITHIN)

    def stop(self):
        self.pool.close()
        self.pool.join()


class Celery:
    """One group of tasks, joined; workers and Redis run already."""

    def __init__(self, arguments):
        self.app, self.echo = celery_app(arguments.port)

    def map(self, payloads):
        import celery
        return celery.group(self.echo.s(p) for p in payloads).apply_async().get(timeout=WITHIN)

    def call(self, payload):
        return self.echo.delay(payload).get(timeout=WITHIN)

    def stop(self):
        self.app.close()


class Dask:
    """Client.map and gather; scheduler and workers run already."""

    def __init__(self, arguments):
        import distributed
        self.client = distributed.Client(f"tcp://127.0.0.1:{arguments.port}", timeout=30, set_as_default=False)
        self.client.wait_for_workers(WORKERS, timeout=30)

    def map(self, payloads):
        # Not pure: else equal calls are one task.
        return self.client.gather(self.client.map(echo, payloads, pure=False))

    def call(self, payload):
        return self.client.submit(echo, payload, pure=False).result(WITHIN)

    def stop(self):
        self.client.close()


def payloads_of(count, first=0):
    return ["%016d" % i for i in range(first, first + count)]


def percentile(values, share):
    """As `reeve bench` computes it."""
    return sorted(values)[int(share * (len(values) - 1))]


def measure_tasks(peer, count):
    payloads = payloads_of(count)
    began = time.monotonic()
    results = list(peer.map(payloads))
    seconds = time.monotonic() - began
    verified = sum(map(str.__eq__, payloads, results)) if len(results) == count else 0
    return {"tasks": count, "verified": verified, "seconds": seconds}


def measure_calls(peer, count):
    latencies, verified, began = [], 0, time.monotonic()
    for payload in payloads_of(count):
        sent = time.monotonic()
        result = peer.call(payload)
        latencies.append((time.monotonic() - sent) * 1e6)
        verified += result == payload
    return {"tasks": count, "verified": verified, "seconds": time.monotonic() - began,
            "p50_us": percentile(latencies, 0.5), "p99_us": percentile(latencies, 0.99)}


def main():
    peers = {"executor": Executor, "pool": Pool, "celery": Celery, "dask": Dask}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=peers)
    parser.add_argument("--tasks", type=int, default=0)
    parser.add_argument("--chunk", type=int, default=1, help="tasks a message, of executor and pool")
    parser.add_argument("--calls", type=int, default=0)
    parser.add_argument("--port", type=int, help="of Redis or of Dask's scheduler")
    arguments = parser.parse_args()
    peer = peers[arguments.peer](arguments)
    # Connections are open and worker processes are there before anything is timed.
    list(peer.map(payloads_of(2 * WORKERS * arguments.chunk)))
    if arguments.tasks:
        print(json.dumps(measure_tasks(peer, arguments.tasks)), flush=True)
    if arguments.calls:
        print(json.dumps(measure_calls(peer, arguments.calls)), flush=True)
    peer.stop()


if __name__ == "__main__":
    main()
