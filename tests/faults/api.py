"""A client of the public API that keeps a history: what it asked for, and what it was told.

Clients of a cluster under fire repeat a call with the same request id until it is answered; each try is noted as `invoke`, then
`ok`, `fail` (the master said no) or `unknown` (nobody knows: UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED).
"""

import dataclasses
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import grpc

UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED)
# A master that was just killed is reached again at once, not after gRPC's seconds of back-off (see also Client.connect).
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 200),
           ("grpc.max_receive_message_length", 8 << 20), ("grpc.use_local_subchannel_pool", 1)]

pb = None  # The generated modules, after load().


def load(proto_folder):
    """Generates and imports Python modules from the protos alone."""
    global pb
    if pb is not None:
        return
    generated = pathlib.Path(tempfile.mkdtemp(prefix="reeve-protos-"))
    protos = sorted(str(p.relative_to(proto_folder)) for p in (pathlib.Path(proto_folder) / "reeve").rglob("*.proto"))
    subprocess.run(["protoc", f"-I{proto_folder}", f"--python_out={generated}", f"--grpc_out={generated}",
                    "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *protos], check=True)
    sys.path.insert(0, str(generated))
    from reeve.link.v1 import link_pb2
    from reeve.v1 import batch_pb2, job_pb2, services_pb2, services_pb2_grpc, task_pb2, worker_pb2

    class Modules:
        batch, job, services, stubs, task, worker, link = (batch_pb2, job_pb2, services_pb2, services_pb2_grpc, task_pb2, worker_pb2,
                                                           link_pb2)
    pb = Modules


def expected(payload):
    """What the handler `journal` returns."""
    return hashlib.sha256(payload).hexdigest().encode() + b" " + payload


@dataclasses.dataclass
class Submission:
    """One logical submission, however often it was tried."""
    request_id: str
    payloads: list
    handler: str = "journal"
    job_id: int = 0  # Set once acknowledged.
    tries: int = 0
    refused: str = ""
    cancelled: bool = False


@dataclasses.dataclass
class Result:
    state: int
    reason: int
    output: bytes
    attempt: int
    worker: str


class Client:
    def __init__(self, address, token, random, authority=None):
        self.address = address
        self.authority = authority  # PEM of a cluster that is encrypted.
        self.metadata = [("authorization", f"Bearer {token}")]
        self.random = random
        self.history = []  # (time, what, request_id, text)
        self.submissions = []
        self.other_jobs = set()  # Made by calls that are not in `submissions`.
        self.lock = threading.Lock()
        self.channels = []
        self.connect()

    def connect(self):
        """Anew: a channel that found nobody looks again only after some five seconds, whatever back-off it was given."""
        if self.authority is None:
            channel = grpc.insecure_channel(self.address, options=CHANNEL)
        else:
            channel = grpc.secure_channel(self.address, grpc.ssl_channel_credentials(self.authority), options=CHANNEL)
        self.jobs = pb.stubs.JobServiceStub(channel)
        self.tasks = pb.stubs.TaskServiceStub(channel)
        self.workers = pb.stubs.WorkerServiceStub(channel)
        self.clusters = pb.stubs.ClusterServiceStub(channel)
        self.channels.append(channel)  # Calls may be on the ones before.
        self.connected = time.monotonic()

    def connect_soon(self):
        with self.lock:
            if time.monotonic() - self.connected > 0.1:
                self.connect()

    def close(self):
        for channel in self.channels:
            channel.close()

    def note(self, what, request_id, text=""):
        with self.lock:
            self.history.append((time.monotonic(), what, request_id, text))

    def new_id(self):
        with self.lock:
            return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def once(self, method, request, timeout=5):
        return method(request, metadata=self.metadata, timeout=timeout)

    def until_answered(self, method, request, within=60, timeout=5, request_id=""):
        """Repeats the call, like `jobs.GetJob`, while its outcome is unknown. Raises RpcError when the master says no."""
        service, name = method.split(".")
        end = time.monotonic() + within
        while True:
            self.note("invoke", request_id)
            try:
                answer = self.once(getattr(getattr(self, service), name), request, timeout)
                self.note("ok", request_id)
                return answer
            except grpc.RpcError as error:
                unknown = error.code() in UNKNOWN
                self.note("unknown" if unknown else "fail", request_id, f"{error.code().name} {error.details()}")
                if not unknown or time.monotonic() > end:
                    raise
                if "failed to connect" in (error.details() or ""):
                    self.connect_soon()
            time.sleep(0.02)

    def spec(self, handler="journal", **fields):
        return pb.job.JobSpec(handler=handler, **fields)

    def create_request(self, submission, **fields):
        lengths = [len(p) for p in submission.payloads]
        return pb.services.CreateJobRequest(
            request_id=submission.request_id, spec=self.spec(submission.handler, **fields),
            batch=pb.batch.TaskBatch(task_count=len(lengths), input_bytes=lengths, inputs=b"".join(submission.payloads)))

    def submit(self, payloads, handler="journal", within=60, **fields):
        """Creates a job of `payloads`; returns once it is acknowledged."""
        submission = Submission(self.new_id(), list(payloads), handler)
        with self.lock:
            self.submissions.append(submission)
        try:
            job = self.until_answered("jobs.CreateJob", self.create_request(submission, **fields), within, 5, submission.request_id)
            submission.job_id = job.job_id
        except grpc.RpcError as error:
            if error.code() not in UNKNOWN:
                submission.refused = f"{error.code().name}: {error.details()}"
            raise
        return submission

    def command(self, script, inputs, within=60, environment=None, **fields):
        """Creates a job of shell commands, one per input (in $1)."""
        submission = Submission(self.new_id(), [i.encode() for i in inputs], "exec")
        with self.lock:
            self.submissions.append(submission)
        command = pb.job.Command(argv=["/bin/sh", "-c", script, "task", "{}"], environment=environment or {})
        request = self.create_request(submission, command=command, **fields)
        submission.job_id = self.until_answered("jobs.CreateJob", request, within, 5, submission.request_id).job_id
        return submission

    def get(self, job_id):
        return self.until_answered("jobs.GetJob", pb.services.GetJobRequest(job_id=job_id))

    def cancel(self, submission):
        request = pb.services.CancelJobRequest(request_id=self.new_id(), job_id=submission.job_id)
        submission.cancelled = True
        return self.until_answered("jobs.CancelJob", request)

    def task(self, job_id, index):
        return self.until_answered("tasks.GetTask", pb.services.GetTaskRequest(job_id=job_id, index=index))

    def wait(self, job_id, within=60):
        """Returns the job once it has ended; None if it has not within the time."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            job = self.get(job_id)
            if job.state in (pb.job.Job.SUCCEEDED, pb.job.Job.FAILED, pb.job.Job.CANCELLED):
                return job
            time.sleep(0.05)
        return None

    def list_workers(self):
        return list(self.until_answered("workers.ListWorkers", pb.services.ListWorkersRequest(page_size=1000)).workers)

    def list_jobs(self):
        """The ids of all jobs."""
        jobs, token = [], ""
        while True:
            answer = self.until_answered("jobs.ListJobs", pb.services.ListJobsRequest(page_size=1000, page_token=token))
            jobs += [job.job_id for job in answer.jobs]
            token = answer.next_page_token
            if not token:
                return jobs

    def cluster(self):
        return self.until_answered("clusters.GetCluster", pb.services.GetClusterRequest())

    def results(self, job_id, within=60):
        """All results of an ended job as {index: [Result, …]}, resumed by cursor, and the cancelled runs."""
        found, cursor = {}, 0
        end = time.monotonic() + within
        while True:
            try:
                request = pb.services.StreamResultsRequest(job_id=job_id, cursor=cursor, follow=True)
                for batch in self.jobs.StreamResults(request, metadata=self.metadata, timeout=max(1, end - time.monotonic())):
                    take(batch, found)
                    cursor = batch.cursor or cursor
                    if batch.HasField("end"):
                        return found, [(r.first, r.count) for r in batch.end.cancelled]
            except grpc.RpcError as error:
                if error.code() not in UNKNOWN or time.monotonic() > end:
                    raise
                time.sleep(0.05)


def column(values, count, default):
    values = list(values)
    return values * count if len(values) == 1 else values or [default] * count


def take(batch, found):
    """Adds the entries of a batch that count to `found`."""
    count = sum(batch.count) if len(batch.count) else sum(r.count for r in batch.runs)
    lengths = column(batch.output_bytes, count, 0)
    states = column(batch.state, count, pb.task.Task.SUCCEEDED) if len(batch.state) != count else list(batch.state)
    reasons = list(batch.reason) if len(batch.reason) == count else [0] * count
    attempts = column(batch.attempt, count, 1)
    offsets = [0]
    for length in lengths:
        offsets.append(offsets[-1] + length)
    for run in batch.runs:
        for i in range(run.count):
            at = run.position + i
            output = batch.output[offsets[at]:offsets[at + 1]]
            found.setdefault(run.first + i, []).append(Result(states[at], reasons[at], output, attempts[at], batch.worker))
