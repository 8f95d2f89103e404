"""The oracle: after a fault, does what the cluster says agree with what clients were told and handlers saw?

  (a) every acknowledged submission exists, whole, and no other does but one whose outcome no client was told
  (b) each task has exactly one terminal state           (c) a result is f(payload)
  (d) a recorded success is of an attempt that was executed to its end, on the worker that the record names
  (e) executions stay within the row's bound, and none but the last was in a worker process that still lives (but for attempts that failed)
  (f) nothing is stuck                                   (g) memory, descriptors and threads stay low
  (h) no sanitizer complains (at the cluster's stop)

(d) is what can be seen from outside of "the lease of a recorded result was current when it was admitted"; a result under a lease that
was revoked a moment before, of the right attempt and worker, looks the same. The simulation checks that at each admission.
"""

import collections
import os
import time

import api

MAX_RSS = 512 << 20
MAX_DESCRIPTORS = 512
MAX_THREADS = 256


class Journal:
    """What the handlers of a host did: executions by (job, index)."""

    def __init__(self, path):
        self.started = collections.defaultdict(list)  # (job, index) -> [(attempt, pid, ns)]
        self.ended = collections.defaultdict(list)
        if not os.path.exists(path):
            return
        with open(path) as lines:
            for line in lines:
                word = line.split()
                if len(word) != 6:
                    continue  # A process was killed while it wrote.
                what, job, index, attempt, pid, when = word
                into = self.started if what == "s" else self.ended
                into[int(job), int(index)].append((int(attempt), int(pid), int(when)))

    def executions(self, job_id):
        return {index: len(runs) for (job, index), runs in self.started.items() if job == job_id}


def check_submission(client, journal, submission, executions, within, violations, may_fail=False, living=(), names=None):
    """Checks (a) to (f) for one acknowledged submission. `living`: process ids; `names`: those each process id was seen under."""
    name = f"job {submission.job_id}"
    try:
        job = client.wait(submission.job_id, within)
    except api.grpc.RpcError as error:
        violations.append(f"(a) {name} was acknowledged and is not there: {error.code().name}")
        return
    if job is None:
        job = client.get(submission.job_id)
        violations.append(f"(f) {name} has not ended within {within} s: {str(job.counts).split()}")
        return
    count = len(submission.payloads)
    if job.counts.total != count:
        violations.append(f"(a) {name} has {job.counts.total} tasks, {count} were acknowledged")
    found, cancelled = client.results(submission.job_id, within)
    gone = {i for first, n in cancelled for i in range(first, first + n)}
    if gone and not submission.cancelled:
        violations.append(f"(b) {name} has cancelled tasks and nobody cancelled it")
    for index in range(count):
        times = len(found.get(index, ())) + (index in gone)
        if times != 1:
            violations.append(f"(b) {name}/{index} has {times} terminal states")
            continue
        for result in found.get(index, ()):
            if result.state == api.pb.task.Task.SUCCEEDED:
                check_success(journal, submission, index, result, names or {}, violations)
            elif result.state == api.pb.task.Task.FAILED and not may_fail:
                violations.append(f"(b) {name}/{index} failed: {api.pb.task.Task.Reason.Name(result.reason)}")
    if max(found, default=0) >= count:
        violations.append(f"(b) {name} has results beyond its tasks")
    for index, times in journal.executions(submission.job_id).items():
        if times > executions:
            violations.append(f"(e) {name}/{index} was executed {times} times, at most {executions} are allowed: "
                              f"{runs_of(journal, submission.job_id, index)}")
        lived = [attempt for attempt, pid, _ in journal.started[submission.job_id, index] if pid in living]
        # An attempt that failed on request is repeated for good reason; the same attempt twice never is.
        needed = len(set(lived)) if fails_on_request(submission, index) else 1
        if len(lived) > needed:
            violations.append(f"(e) {name}/{index} ran again though its worker lives: {runs_of(journal, submission.job_id, index)}")


def fails_on_request(submission, index):
    return submission.handler == "journal" and submission.payloads[index].startswith((b"fail ", b"throw "))


def is_of_another(worker, pids, names):
    """The name was seen with other processes, and with none of these. (A worker whose lease was lost has a new name afterwards.)"""
    mine = {name for pid in pids for name in names.get(pid, ())}
    others = {name for pid, seen in names.items() if pid not in pids for name in seen}
    return all(pid in names for pid in pids) and worker not in mine and worker in others


def runs_of(journal, job_id, index):
    return ", ".join(f"#{attempt} in process {pid}" for attempt, pid, _ in journal.started[job_id, index])


def check_success(journal, submission, index, result, names, violations):
    payload = submission.payloads[index]
    if submission.handler == "journal" and result.output != api.expected(payload) and b"big=" not in payload:
        violations.append(f"(c) job {submission.job_id}/{index}: the result is not that of its input")
    if submission.handler not in ("journal", "exec"):
        return
    ended = [pid for attempt, pid, _ in journal.ended.get((submission.job_id, index), ()) if attempt == result.attempt]
    if not ended:
        violations.append(f"(d) job {submission.job_id}/{index}: attempt {result.attempt} is recorded as succeeded and was never executed "
                          "to its end")
    elif submission.handler == "journal" and is_of_another(result.worker, ended, names):
        violations.append(f"(d) job {submission.job_id}/{index} is recorded from {result.worker} and was executed elsewhere")


def check(cluster, client, violations, executions=1, within=60, may_fail=False, submissions=None, living_rerun=False):
    """Checks everything acknowledged to `client`. `living_rerun`: the fault is one after which work of a worker that lives is given to
    another (it was stopped, hung or cut off for longer than its lease)."""
    end = time.monotonic() + within
    acknowledged = [s for s in (client.submissions if submissions is None else submissions) if s.job_id]
    for submission in acknowledged:
        client.wait(submission.job_id, max(0.1, end - time.monotonic()))
    journal = Journal(cluster.journal)
    cluster.note_names(client.list_workers())
    for submission in acknowledged:
        check_submission(client, journal, submission, executions, max(1, end - time.monotonic()), violations, may_fail, {} if living_rerun else cluster.living(),
                         cluster.names)
    check_same_request_same_job(client, violations)
    if submissions is None:
        check_no_other_job(client, cluster.clients, violations)
    check_ceilings(cluster, violations)
    return journal


def check_same_request_same_job(client, violations):
    jobs = collections.Counter(s.job_id for s in client.submissions if s.job_id)
    for job, times in jobs.items():
        if times > 1:
            violations.append(f"(a) {times} submissions were answered with job {job}")


def check_no_other_job(client, clients, violations):
    """A request that was repeated until it was answered made one job: none is there that nobody was told of."""
    told = {s.job_id for c in clients for s in c.submissions if s.job_id} | {job for c in clients for job in c.other_jobs}
    untold = sum(1 for c in clients for s in c.submissions if not s.job_id and not s.refused)
    others = [job for job in client.list_jobs() if job not in told]
    if len(others) > untold:
        violations.append(f"(a) {len(others)} jobs are there that no client was told of, for {untold} requests without an answer: "
                          f"{others[:10]}")


def status(pid):
    """Resident bytes, descriptors and threads of a process; None if it is gone."""
    try:
        fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
        return (int(fields["VmRSS"].split()[0]) << 10, len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"]))
    except (OSError, KeyError):
        return None


def check_ceilings(cluster, violations):
    for name, process in cluster.processes.items() if not cluster.ignores_ceilings else ():
        for pid in [process.pid, *cluster.children(process.pid)]:
            now = status(pid)
            if now is None:
                continue
            for value, most, what in zip(now, (MAX_RSS, MAX_DESCRIPTORS, MAX_THREADS), ("resident bytes", "descriptors", "threads")):
                if value > most:
                    violations.append(f"(g) {name}: {value} {what}")
