"""Jobs of very many tasks: an appender that resumes where the master left off, and lean readers of results and journal.

`api.Client` and `oracle.Journal` keep an object for each task; here a task costs a few bytes.
"""

import array
import contextlib
import threading
import time
import uuid

import api

BATCH = 1000
WINDOW = 16  # Messages on their way at once.


def create(client, handler="journal", within=60, **fields):
    """An open job without tasks. Returns: its number."""
    request = api.pb.services.CreateJobRequest(request_id=client.new_id(), spec=client.spec(handler, **fields), open=True)
    job_id = client.until_answered("jobs.CreateJob", request, within).job_id
    client.other_jobs.add(job_id)
    return job_id


def close(client, job_id):
    return client.until_answered("jobs.CloseJob", api.pb.services.CloseJobRequest(request_id=client.new_id(), job_id=job_id))


class Appender:
    """Appends payload(0), payload(1), … to a job of which it is the only appender, so that offsets are indexes.

    `acknowledged` rises with each answer and never counts what was not answered. A stream that is cut is opened again; the master
    says from where.
    """

    def __init__(self, client, job_id, payload, batch=BATCH):
        self.client, self.job_id, self.payload, self.batch = client, job_id, payload, batch
        self.name = str(uuid.UUID(int=client.random.getrandbits(128), version=4))
        self.acknowledged = 0
        self.wrong = []  # Answers that contradict what was sent.

    def append_until(self, total, within=600, stopping=lambda: False):
        """Returns once `total` tasks are acknowledged, or, with `stopping`, what was sent before it said so."""
        end = time.monotonic() + within
        while self.acknowledged < total:
            if time.monotonic() > end:
                raise AssertionError(f"{self.acknowledged} of {total} tasks acknowledged within {within} s")
            try:
                self.one_stream(total, end, stopping)
                if stopping():
                    return
            except api.grpc.RpcError as error:
                if error.code() not in api.UNKNOWN:
                    raise
                self.client.connect_soon()
                time.sleep(0.02)

    def one_stream(self, total, end, stopping):
        opened, room, over = threading.Event(), threading.Semaphore(WINDOW), threading.Event()

        def requests():
            yield api.pb.services.AppendTasksRequest(job_id=self.job_id, appender_id=self.name)
            opened.wait()
            at = self.acknowledged
            while at < total and not over.is_set() and not stopping():
                if not room.acquire(timeout=0.2):
                    continue
                payloads = [self.payload(i) for i in range(at, min(total, at + self.batch))]
                yield api.pb.services.AppendTasksRequest(task_count=len(payloads), input_bytes=[len(p) for p in payloads],
                                                         inputs=b"".join(payloads), offset=at)
                at += len(payloads)
        try:
            for answer in self.client.jobs.AppendTasks(requests(), metadata=self.client.metadata, timeout=end - time.monotonic()):
                self.take(answer)
                opened.set() if not opened.is_set() else room.release()
        finally:
            over.set()
            opened.set()

    def take(self, answer):
        if answer.committed_offset < self.acknowledged:
            self.wrong.append(f"offset {answer.committed_offset} after {self.acknowledged} was acknowledged")
        if answer.task_count and answer.first_index + answer.task_count != answer.committed_offset:
            self.wrong.append(f"tasks up to {answer.committed_offset} were given the indexes {answer.first_index} + {answer.task_count}")
        self.acknowledged = answer.committed_offset


class Record:
    """What is recorded of a job: how often each index ended, and whether in success with the output expected."""

    def __init__(self, total):
        self.times = bytearray(total)
        self.wrong, self.failed, self.beyond = [], [], 0

    def read(self, client, job_id, expected, within=300):
        """Reads the whole stream from its beginning, resumed by cursor when it is cut. `expected(index)` is the output due."""
        cursor, end = 0, time.monotonic() + within
        while True:
            try:
                request = api.pb.services.StreamResultsRequest(job_id=job_id, cursor=cursor, follow=True)
                for batch in client.jobs.StreamResults(request, metadata=client.metadata, timeout=max(1, end - time.monotonic())):
                    self.take(batch, expected)
                    cursor = batch.cursor or cursor
                    if batch.HasField("end"):
                        return self
            except api.grpc.RpcError as error:
                if error.code() not in api.UNKNOWN or time.monotonic() > end:
                    raise
                client.connect_soon()
                time.sleep(0.05)

    def take(self, batch, expected):
        output, at, lengths = batch.output, 0, list(batch.output_bytes)
        entries = sum(batch.count)
        lengths = lengths * entries if len(lengths) == 1 else lengths or [0] * entries
        starts = array.array("Q", [0])
        for length in lengths:
            at += length
            starts.append(at)
        states = list(batch.state)
        for run in batch.runs:
            for i in range(run.count):
                index, at = run.first + i, run.position + i
                if index >= len(self.times):
                    self.beyond += 1
                    continue
                self.times[index] = min(255, self.times[index] + 1)
                if states and states[at if len(states) > 1 else 0] != api.pb.task.Task.SUCCEEDED:
                    self.failed.append(index)
                elif output[starts[at]:starts[at + 1]] != expected(index):
                    self.wrong.append(index)

    def judge(self, run, acknowledged, what):
        """Expects one right success for each acknowledged index. Returns: how many have one."""
        missing = [i for i, n in enumerate(self.times) if n == 0 and i < acknowledged]
        twice = [i for i, n in enumerate(self.times) if n > 1]
        for indexes, why in ((missing, "have no recorded result"), (twice, "are recorded more than once"),
                             (self.wrong, "have the wrong content"), (self.failed, "failed")):
            run.expect(not indexes, f"{what}: {len(indexes)} tasks {why}, {indexes[:5]} first")
        run.expect(self.beyond == 0, f"{what}: {self.beyond} results of tasks that were never sent")
        return sum(self.times[i] == 1 for i in range(acknowledged)) - len(self.wrong) - len(self.failed)


class Executions:
    """The journal of one job: for each index its executions in order of their start, and which of them ended."""

    def __init__(self, path, job_id, total):
        self.first_pid = array.array("L", bytes(8 * total))
        self.ended = bytearray(total)
        self.again = {}  # index -> [(ns, pid), …], all of them, of indexes executed more than once.
        first_ns = array.array("Q", bytes(8 * total))
        job = str(job_id)
        with contextlib.suppress(FileNotFoundError), open(path) as lines:
            for line in lines:
                word = line.split()
                if len(word) != 6 or word[1] != job:
                    continue  # Of another job, or of a process killed while it wrote.
                index, pid, ns = int(word[2]), int(word[4]), int(word[5])
                if word[0] == "e":
                    self.ended[index] = 1
                elif self.first_pid[index] == 0:
                    self.first_pid[index], first_ns[index] = pid, ns
                else:
                    self.again.setdefault(index, [(first_ns[index], self.first_pid[index])]).append((ns, pid))
        for runs in self.again.values():
            runs.sort()

    def needless(self, killed):
        """Executions that came although the process of an earlier one was alive: [(index, pid alive, pid again), …].

        `killed`: when each killed process was killed, CLOCK_MONOTONIC nanoseconds by pid.
        """
        found = []
        for index, runs in self.again.items():
            for (_, earlier), (ns, later) in zip(runs, runs[1:]):
                if killed.get(earlier, ns + 1) > ns:
                    found.append((index, earlier, later))
        return found
