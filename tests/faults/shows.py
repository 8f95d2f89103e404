"""The long runs: what the promise of exactly-once recording is shown by, on real processes and with real time constants.

    tests/faults/run --show 2              one of them
    tests/faults/run --show all            all of them
    tests/faults/run --show 2 --size 0.01  with a hundredth of the tasks, rounds, …

Each prints its figures and a verdict. Numbers are those of the list that defines them:

    2  a million tasks in flight; the master killed five times, each worker twice
    3  the master killed while 100 commands run, back after 10 s
    4  everything killed at once, fifty rounds under load
    5  fdatasync fails at the N-th call, for every N up to 60
    6  memory of the master with a million queued tasks of 1 KiB and 100 result streams that nobody reads
    7  time from the master's death to accepting and assigning, with a million tasks pending, in three shapes
"""

import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import threading
import time

import api
import flow
import oracle
from harness import Load, Run, until
from rows_store import POWER_CUT, lose_what_was_not_synced, traced

SHOWS = {}


def show(number, what):
    """Registers the decorated function; it gets the run and a function that makes numbers smaller by --size."""
    def register(function):
        SHOWS[str(number)] = (what, function)
        return function
    return register


def sized(size):
    return lambda full, least=1: max(least, round(full * size))


def peak_bytes(pid):
    """VmHWM of a process."""
    return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) << 10


def start_ticks(pid):
    """When a process began, in ticks since boot; 0 if it is not there."""
    try:
        return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[19])
    except OSError:
        return 0


# ---- 2 ----


class Killer:
    """Kills workers and knows which process was killed when."""

    def __init__(self, run, cluster):
        self.run, self.cluster = run, cluster
        self.killed = {}  # Worker process -> CLOCK_MONOTONIC nanoseconds.

    def kill_worker(self, name):
        pid = until(lambda: self.cluster.proper(name), f"a worker proper of {name}")
        self.killed[pid] = time.monotonic_ns()
        if self.run.random.random() < 0.5:
            os.kill(pid, signal.SIGKILL)  # Its supervisor starts another and hands in the crash note.
            return "process"
        self.cluster.processes[name].kill()
        os.kill(pid, signal.SIGKILL)
        self.cluster.processes[name].wait(30)
        self.cluster.start_worker(name)
        return "process and supervisor"

    def kill_master(self):
        self.cluster.kill("master")
        away = self.run.random.choice([0, 0, self.run.random.uniform(0, 2)])
        time.sleep(away)
        self.cluster.start_master()
        return f"back after {away:.1f} s"


@show(2, "a million tasks in flight, five deaths of the master and two of each worker: each recorded once, none run again in vain")
def million_in_flight(run: Run, count):
    total = count(1_000_000, 2000)
    # Half a minute of work on 8 slots, however many tasks: time to be killed in.
    payload = lambda i: b"sleep=%.6f %d/%d" % (240 / total, run.seed, i)  # noqa: E731
    with run.cluster(start=False, worker_env={"REEVE_JOURNAL_SYNC": "0"}) as cluster:
        cluster.ignores_ceilings = True  # Item 6 measures memory.
        cluster.start_master()
        cluster.wait_for_master()
        client, killer = cluster.client(), Killer(run, cluster)
        job = flow.create(client)
        appended = append_across_a_death(run, cluster, client, killer, job, payload, total)
        for name in ("worker-1", "worker-2"):
            cluster.start_worker(name)
        began = time.monotonic()
        kill_at_random_moments(run, client, killer, job, total, ["master"] * 4 + ["worker-1", "worker-2"] * 2)
        record = flow.Record(total).read(client, job, lambda i: api.expected(payload(i)))
        took = time.monotonic() - began
        right = record.judge(run, appended, f"job {job}")
        run.equal(client.get(job).counts.succeeded, total, "tasks counted as succeeded")
        judge_executions(run, cluster, killer, job, total)
        run.figure(f"{right:,} of {appended:,} acknowledged tasks have one recorded result with the right content, "
                   f"{took:.1f} s from the first worker to the last result read")


def append_across_a_death(run, cluster, client, killer, job, payload, total):
    """Acknowledged tasks: all of them, although the master dies once among the appends."""
    appender = flow.Appender(client, job, payload)
    thread = threading.Thread(target=appender.append_until, args=(total,))
    at = int(total * run.random.uniform(0.05, 0.95))
    began = time.monotonic()
    thread.start()
    until(lambda: appender.acknowledged >= at, f"{at} tasks acknowledged", 300)
    print(f"    master killed with {appender.acknowledged:,} tasks acknowledged, {killer.kill_master()}", flush=True)
    thread.join(600)
    run.equal(appender.acknowledged, total, "acknowledged tasks")
    run.violations += appender.wrong
    flow.close(client, job)
    run.equal(client.get(job).counts.total, total, "tasks of the job")
    print(f"    {total:,} tasks acknowledged and unfinished after {time.monotonic() - began:.1f} s", flush=True)
    return appender.acknowledged


def kill_at_random_moments(run, client, killer, job, total, victims):
    run.random.shuffle(victims)
    for share, victim in zip(sorted(run.random.uniform(0, 0.95) for _ in victims), victims):
        until(lambda: client.get(job).counts.succeeded >= share * total, f"{share:.0%} of the tasks", 300)
        time.sleep(run.random.uniform(0, 0.2))
        left = total - client.get(job).counts.succeeded
        run.expect(left > 0, f"{victim} is killed while tasks are unfinished")
        how = killer.kill_master() if victim == "master" else killer.kill_worker(victim)
        print(f"    {victim} killed with {left:,} tasks unfinished, {how}", flush=True)


def judge_executions(run, cluster, killer, job, total):
    journal = flow.Executions(cluster.journal, job, total)
    needless = journal.needless(killer.killed)
    never = total - sum(journal.ended)
    run.expect(never == 0, f"{never} tasks are recorded and were never executed to their end")
    run.expect(not needless, f"{len(needless)} tasks were executed again although their process was alive: {needless[:5]}")
    run.figure(f"{len(journal.again):,} tasks executed more than once, all begun before by a process that was killed: "
               f"{'yes' if not needless else 'NO'}")


# ---- 3 ----

COMMAND = """
set -- $(cat /proc/$$/stat) "$1"
start=${22}
while [ $# -gt 1 ]; do shift; done
echo "$REEVE_TASK_INDEX $$ $start" >> "$JOURNAL"
sleep "$1"
echo "$$ $start"
"""


@show(3, "the master killed while 100 commands run, back after 10 s: the same 100 processes, each recorded once")
def commands_outlive_the_master(run: Run, count):
    commands, away = count(100, 4), run.seconds(10)
    with run.cluster(slots=(commands + 1) // 2) as cluster:
        client, journal = cluster.client(), cluster.folder / "commands"
        # A third ends while the master is away, the others after it is back.
        seconds = [away * run.random.choice([0.5, 1.5, 2]) + 3 for _ in range(commands)]
        job = client.command(COMMAND, [f"{s:.2f}" for s in seconds], environment={"JOURNAL": str(journal)})
        running = until(lambda: executions_of_commands(journal, commands), f"{commands} commands run")
        run.equal(len(running), commands, "processes that run")
        for index, (pid, start) in running.items():
            run.equal(start_ticks(pid), start, f"start time of the process of command {index}")
        cluster.kill("master")
        print(f"    master killed with {commands} commands running", flush=True)
        time.sleep(away)
        same = sum(start_ticks(pid) == start for pid, start in running.values())
        cluster.start_master()
        cluster.wait_for_master()
        run.expect(client.wait(job.job_id, 60) is not None, "all commands end")
        results, _ = client.results(job.job_id)
        once = sum(is_of(results.get(i, []), *running[i]) for i in range(commands))
        run.equal(once, commands, "commands recorded once, in success, by the process that ran before the master died")
        lines = journal.read_text().splitlines()
        run.equal(len(lines), commands, "executions")
        run.figure(f"{once} of {commands} commands recorded once by the process (pid, start time) that ran when the master died; "
                   f"{same} of them still ran when it came back after {away:g} s; {len(lines)} executions")


def executions_of_commands(path, wanted):
    """{index: (pid, start time)} once there are so many."""
    if not path.exists():
        return None
    lines = [line.split() for line in path.read_text().splitlines()]
    return {int(i): (int(pid), int(start)) for i, pid, start in lines} if len(lines) >= wanted else None


def is_of(results, pid, start):
    return len(results) == 1 and results[0].state == api.pb.task.Task.SUCCEEDED and results[0].output == b"%d %d\n" % (pid, start)


# ---- 4 ----


@show(4, "everything killed at once, fifty rounds under load: nothing acknowledged is missing")
def everything_dies(run: Run, count):
    rounds = count(50, 3)
    payload = lambda i: b"%d/%d" % (run.seed, i)  # noqa: E731
    with run.cluster() as cluster:
        cluster.ignores_ceilings = True
        client, stopping = cluster.client(), threading.Event()
        job = flow.create(client, "echo")  # The small jobs are in the journal; so many tasks would be too much for it.
        appender = flow.Appender(client, job, payload, batch=50)
        thread = threading.Thread(target=appender.append_until, args=(10_000_000, 1200, stopping.is_set))
        with Load(client, run, tasks=10, threads=3, batches=2000) as load:
            thread.start()
            for number in range(rounds):
                one_round(run, cluster, load, appender)
                if number % 10 == 9:
                    print(f"    {number + 1} rounds, {appender.acknowledged:,} tasks appended", flush=True)
            stopping.set()
            thread.join(120)
        flow.close(client, job)
        run.violations += appender.wrong
        run.equal(client.get(job).counts.total, appender.acknowledged, "tasks of the job")
        record = flow.Record(appender.acknowledged).read(client, job, payload)
        right = record.judge(run, appender.acknowledged, f"job {job}")
        oracle.check(cluster, client, run.violations, executions=rounds + 1, within=120)
        small = [s for s in client.submissions if s.job_id]
        run.figure(f"{rounds} rounds, the store whole after each; {right:,} of {appender.acknowledged:,} acknowledged appended tasks and "
                   f"{len(small)} acknowledged jobs of {sum(len(s.payloads) for s in small)} tasks recorded once with the right content")


def one_round(run, cluster, load, appender):
    jobs, tasks = load.acknowledged(), appender.acknowledged
    time.sleep(run.random.uniform(0.02, 0.5))
    cluster.kill_everything()
    check_store(run, cluster)
    cluster.start_master()
    for i in (1, 2):
        cluster.start_worker(f"worker-{i}")
    if run.random.random() < 0.3:  # It dies again before anybody is served.
        return
    cluster.wait_for_master()
    until(lambda: appender.acknowledged > tasks and (load.acknowledged() > jobs or not any(t.is_alive() for t in load.threads)),
          "acknowledgements after the restart")


def check_store(run, cluster):
    """SQLite's own check of a copy of the store as the dead left it."""
    copy = cluster.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(cluster.state, copy)
    with contextlib.closing(sqlite3.connect(copy / "reeve.db")) as store:
        run.equal(store.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity of the store")


# ---- 5 ----


@show(5, "fdatasync fails at the N-th call, for every N up to 60: no acknowledgement for what is not there after recovery")
def failing_sync(run: Run, count):
    most = count(60, 3)
    counts = {"at start": 0, "in service": 0}
    acknowledged = 0
    for n in range(1, most + 1):
        for attach in (False, True):
            # Calls are counted in each thread. Of a traced start, the opening of the store has the first few.
            if attach and counts["at start"] < n:
                continue
            when, tasks = fail_sync(run, n, attach)
            counts[when] += 1
            acknowledged += tasks
        if n % 10 == 0:
            print(f"    up to N = {n}: the master ended {counts['at start']} times at its start and {counts['in service']} times in "
                  f"service, {acknowledged:,} acknowledged tasks checked", flush=True)
    run.figure(f"N = 1 to {most}: the master ended with 70 {counts['at start']} times at its start and {counts['in service']} times in "
               f"service; {acknowledged:,} tasks acknowledged around it are there after recovery from what was synced")


def fail_sync(run, n, attach):
    """Returns: when the master died, and how many tasks were acknowledged."""
    with run.cluster(start=False, workers=1) as cluster:
        log = cluster.folder / "power.log"
        cluster.master_env = {"LD_PRELOAD": str(POWER_CUT), "POWER_CUT_LOG": str(log), "POWER_CUT_FOLDER": str(cluster.state)}
        cluster.start_master()  # A store of its own first: the fault is of a running system, not of its making.
        cluster.wait_for_master()
        if not attach:
            cluster.kill("master")
            cluster.start_master(prefix=traced(f"fdatasync:error=EIO:when={n}"))
        process = cluster.processes["master"]
        served = serves(cluster, process)
        if served:
            cluster.start_worker("worker-1")
            tracer = trace(process.pid, n) if attach else None
            client = cluster.client()
            with Load(client, run, threads=3) as load:
                until(lambda: process.poll() is not None, f"the end of the master when fdatasync {n} fails", 60)
                if tracer is not None:
                    tracer.wait(20)
                recover(run, cluster, process, log, n)
                before = load.acknowledged()
                until(lambda: load.acknowledged() > before, "acknowledgements after recovery")
        else:
            recover(run, cluster, process, log, n)
            cluster.start_worker("worker-1")
            client = cluster.client()
            client.submit(run.payloads(10))
        cluster.check(client, executions=3)
        return "in service" if served else "at start", sum(len(s.payloads) for s in client.submissions if s.job_id)


def serves(cluster, process):
    """Waits until the master serves or has ended."""
    while process.poll() is None:
        with contextlib.suppress(AssertionError):
            cluster.wait_for_master(0.5)
            return True
    return False


def trace(pid, n):
    """Attaches to a master that serves; the N-th fdatasync of each of its threads from now on fails."""
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync",
                               "-e", f"inject=fdatasync:error=EIO:when={n}", "-p", str(pid)])

    def attached():
        texts = [open(f"/proc/{pid}/task/{t}/status").read() for t in os.listdir(f"/proc/{pid}/task")]
        return all(f"TracerPid:\t{tracer.pid}\n" in text for text in texts)
    until(attached, "strace is attached")
    return tracer


def recover(run, cluster, process, log, n):
    """The master ended because of the fault; what was not synced is lost, in part, before it starts again."""
    run.equal(process.poll(), 70, f"exit code when fdatasync {n} fails")
    lose_what_was_not_synced(run, log, cluster.state)
    cluster.start_master(prefix=[])
    cluster.wait_for_master()


# ---- 6 ----

BOUND = 512 << 20


@show(6, "memory of the master: a million queued tasks of 1 KiB and 100 result streams that nobody reads, under 512 MiB")
def memory_is_bounded(run: Run, count):
    total, streams, ended = count(1_000_000, 2000), count(100, 10), count(100_000, 1000)
    payload = lambda i: b"%d/%d." % (run.seed, i) + b"x" * (1010 - len(str(i)))  # noqa: E731
    with run.cluster() as cluster:
        cluster.ignores_ceilings = True  # Judged here.
        client, master = cluster.client(), cluster.processes["master"].pid
        first = fill(client, ended, payload)
        flow.Record(ended).read(client, first, payload).judge(run, ended, f"job {first}")
        stalled = [stall(run, cluster, first, i) for i in range(streams)]
        stop_workers(cluster)
        job = flow.create(client, "echo")
        appender = flow.Appender(client, job, payload)
        appender.append_until(total)
        flow.close(client, job)
        run.equal(client.get(job).counts.ready, total, "queued tasks")
        queued = peak_bytes(master)
        stalled += [stall(run, cluster, job, i) for i in range(streams)]
        for name in ("worker-1", "worker-2"):
            cluster.start_worker(name)
        record = flow.Record(total).read(client, job, payload)
        right = record.judge(run, total, f"job {job}")
        peak = peak_bytes(master)
        for i in (0, 1):
            rest = read_on(stalled[i])
            run.equal(rest, ended, f"results that stalled stream {i} gets once it is read")
        for stream in stalled:
            stream.cancel()
        run.expect(queued < BOUND, f"VmHWM {queued >> 20} MiB with {total:,} queued tasks")
        run.expect(peak < BOUND, f"VmHWM {peak >> 20} MiB after {total:,} tasks were run beside {2 * streams} stalled streams")
        run.figure(f"VmHWM of the master {queued >> 20} MiB with {total:,} queued tasks of 1 KiB and {streams} stalled result streams; "
                   f"{peak >> 20} MiB once {right:,} of them have run beside {2 * streams} stalled streams")


def fill(client, total, payload):
    """A closed job of `total` echoes."""
    job = flow.create(client, "echo")
    flow.Appender(client, job, payload).append_until(total)
    flow.close(client, job)
    return job


def stall(run, cluster, job, number):
    """A result stream on a connection of its own of which nothing is read; every second one by index."""
    services = api.pb.services.StreamResultsRequest
    request = services(job_id=job, follow=True, order=services.BY_INDEX if number % 2 else services.AS_COMPLETED)
    reader = cluster.client()
    return reader.jobs.StreamResults(request, metadata=reader.metadata, timeout=1800)


def stop_workers(cluster):
    for name in ("worker-1", "worker-2"):
        cluster.processes[name].terminate()
        cluster.processes[name].wait(30)
    cluster.wait_for_workers(0)


def read_on(stream):
    """Reads a stream to its end. Returns: results that it gave."""
    results = 0
    for batch in stream:
        results += sum(r.count for r in batch.runs)
        if batch.HasField("end"):
            return results
    return -1


# ---- 7 ----

BAR, AIM, DEATHS = 10, 2, 5
FOREVER = b"sleep=100000 "


@show(7, "from kill -9 of the master with a million tasks pending to accepting and assigning again, in three shapes: 10 s, aim 2 s")
def restart_time(run: Run, count):
    for shape, make in (("one array", pending_array), ("streamed payloads", pending_stream), ("one-task jobs", pending_jobs)):
        with run.cluster(worker_flags=["--drain-timeout", "0"]) as cluster:
            cluster.ignores_ceilings = True
            client = cluster.client()
            tasks = make(client, count)
            until(lambda: client.cluster().unfinished_task_count == tasks, f"{tasks} pending tasks")
            until(lambda: all(held(client).values()), "the workers have work")
            lives = [one_restart(run, cluster, client, i) for i in range(DEATHS)]
            run.equal(client.cluster().unfinished_task_count, tasks + DEATHS, "pending tasks after the restarts")
            report(run, f"{tasks:,} tasks pending as {shape}", lives)
            for name in cluster.processes:
                if name != "master":
                    cluster.kill_worker(name)


def pending_array(client, count):
    tasks = count(1_000_000, 1000)
    request = api.pb.services.CreateJobRequest(request_id=client.new_id(), spec=client.spec(shared_input=FOREVER),
                                               array=api.pb.job.ArraySpec(step=1, count=tasks))
    client.until_answered("jobs.CreateJob", request)
    return tasks


def pending_stream(client, count):
    tasks = count(1_000_000, 1000)
    job = flow.create(client)
    flow.Appender(client, job, lambda i: FOREVER + b"%d" % i).append_until(tasks)
    return tasks  # Left open.


def one_task(client):
    batch = api.pb.batch.TaskBatch(task_count=1, input_bytes=[len(FOREVER)], inputs=FOREVER)
    return api.pb.services.CreateJobRequest(request_id=client.new_id(), spec=client.spec(), batch=batch)


def pending_jobs(client, count):
    tasks = count(100_000, 200)

    def create(_):
        client.once(client.jobs.CreateJob, one_task(client), 60)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(create, range(tasks)))
    return tasks


def held(client):
    """How many tasks each worker holds, by process id."""
    return {w.pid: w.held_count for w in client.list_workers()}


def one_restart(run, cluster, client, number):
    """Kills the master and starts it at once. A worker that it has never seen comes at the same time: what that one begins can
    only have been assigned by the new life. Returns: seconds until a job was accepted, until a pending task was assigned and
    begun, until the old workers are back, and the peak memory of the new life."""
    pids = set(held(client))
    began = time.monotonic()
    cluster.kill("master")
    cluster.start_master()
    name = f"fresh-{number}"
    cluster.start_worker(name)
    accepting = threading.Thread(target=lambda: times.append(accepted(client, began)))
    times = []
    accepting.start()
    until(lambda: has_begun(cluster, name), f"{name} begins a task", 120)
    assigning = time.monotonic() - began
    accepting.join(120)
    until(lambda: pids <= set(held(client)), "the old workers are back", 60)
    back = time.monotonic() - began
    peak = peak_bytes(cluster.processes["master"].pid)
    cluster.processes[name].terminate()
    cluster.processes[name].wait(30)
    del cluster.processes[name]
    until(lambda: set(held(client)) == pids, f"{name} has left")
    return times[0], assigning, back, peak


def accepted(client, began):
    """Python's gRPC connects again only while a call waits for that; calls that fail at once would wait for nothing."""
    request = one_task(client)
    while True:
        try:
            client.jobs.CreateJob(request, metadata=client.metadata, timeout=120, wait_for_ready=True)
            return time.monotonic() - began
        except api.grpc.RpcError as error:
            if error.code() not in api.UNKNOWN:
                raise


def has_begun(cluster, name):
    pid = cluster.proper(name)
    return pid and f" {pid} " in cluster.journal.read_text()


def report(run, what, lives):
    def three(values):
        return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"
    accepting, assigning, back, peaks = zip(*lives)
    ready = [max(pair) for pair in zip(accepting, assigning)]
    run.expect(max(ready) < BAR, f"{what}: ready after {max(ready):.2f} s, at most {BAR} s are allowed")
    run.figure(f"{what}: accepting after {three(accepting)}, assigning after {three(assigning)}, old workers back after {three(back)}; "
               f"median and range of {len(lives)}, aim {AIM} s {'met' if statistics.median(ready) < AIM else 'NOT met'}; "
               f"VmHWM of the new life up to {max(peaks) >> 20} MiB")


# ---- The end ----


def main(arguments):
    names = list(SHOWS) if arguments.show == "all" else [arguments.show]
    bad = 0
    for name in names:
        what, function = SHOWS[name]
        run = Run(f"show-{name}", arguments.seed or 1, arguments.scale, arguments.keep)
        print(f"== {name}: {what} (seed {run.seed}, size {arguments.size:g})", flush=True)
        began = time.monotonic()
        try:
            function(run, sized(arguments.size))
        except Exception as error:  # Said as a violation, so that the others are run.
            run.violations.append(f"{type(error).__name__}: {error}")
        for figure in run.figures:
            print(f"    {figure}")
        for violation in run.violations[:20]:
            print(f"    VIOLATION {violation}")
        bad += len(run.violations)
        verdict = "shown" if not run.violations else f"NOT shown, {len(run.violations)} violations"
        print(f"    {name}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if bad else 0
