"""Rows in which the disk is slow, full, broken or loses what was not synced: F25 to F29."""

import collections
import contextlib
import os
import shutil
import struct
import subprocess
import tempfile
import time

import api
import oracle
from harness import Load, Run, Skip, base, row, until

JOURNALED = 'j() { echo "$1 $REEVE_JOB_ID $REEVE_TASK_INDEX $REEVE_ATTEMPT $$ 0" >> "$JOURNAL"; }; j s; '
POWER_CUT = base.RUNFILES / "tests/faults/libpower_cut.so"


def can_inject():
    """Why strace cannot inject faults here; "" if it can. It may be missing, forbidden to trace (a container, a sandbox), or too old."""
    if shutil.which("strace") is None:
        return "there is no strace"
    probe = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]
    plain = subprocess.run([*probe, "true"], capture_output=True, text=True)
    if plain.returncode != 0:
        return f"strace cannot trace: {plain.stderr.strip()[:200]}"
    with tempfile.NamedTemporaryFile() as file:
        failed = subprocess.run([*probe, "sync", "-d", file.name], capture_output=True, text=True)
    return "" if failed.returncode != 0 else "strace traces, but its faults do not arrive"


def traced(*injections, only=None, log="/dev/null"):
    """The command prefix that injects faults into system calls, or Skip. `log`: a file that gets a line a call."""
    reason = can_inject()
    if reason:
        raise Skip(reason)
    prefix = ["strace", "-f", "-qq", "-o", str(log), "--seccomp-bpf"]
    calls = ",".join(sorted({i.split(":")[0] for i in injections}))
    prefix += ["-e", f"trace={calls}"]
    for injection in injections:
        prefix += ["-e", f"inject={injection}"]
    return prefix + (["-P", str(only)] if only else [])


def traced_master(cluster):
    """Process id of the master below strace; 0 if it has ended."""
    children = cluster.children(cluster.processes["master"].pid)
    return children[0] if children else 0


@row("F25", "slow store: fdatasync takes 50 ms more: commits grow, heartbeats and leases do not suffer")
def slow_store_delays_nobody_else(run: Run):
    quick, slow = syncs_of_a_load(run, 0), syncs_of_a_load(run, 50_000)
    run.figure(f"for the same load {quick} fdatasyncs, {slow} when each takes 50 ms more")
    run.expect(slow < 0.7 * quick, f"commits grow: {slow} fdatasyncs against {quick}")


def syncs_of_a_load(run, delay_us):
    """How often the master syncs for a load that is always the same, when each sync takes longer by `delay_us`."""
    with run.cluster(start=False, workers=2) as cluster:
        log = cluster.folder / "syncs"
        cluster.master_prefix = traced(f"fdatasync:delay_enter={delay_us + 1}", log=log)
        cluster.start()
        client = cluster.client()
        with Load(client, run, threads=8, batches=12, prefix=b"sleep=0.01 ") as load:
            while any(t.is_alive() for t in load.threads):
                states = [w.state for w in client.list_workers()]
                run.equal(states, [api.pb.worker.Worker.ONLINE] * 2, "workers beside a slow store")
                time.sleep(0.05)
        cluster.check(client, executions=1)
        run.equal(load.acknowledged(), 8 * 12, "submissions acknowledged")
        os.kill(traced_master(cluster), 9)
        return sum("fdatasync(" in line for line in open(log))


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)


@row("F26", "disk full: the store's, submissions refused first, results from the reserve; a worker's, with its spool and scratch folders")
def full_disk_is_planned_for(run: Run):
    full_disk_of_the_store(run)
    full_disk_of_a_worker(run)


def full_disk_of_a_worker(run):
    """Results stay in memory, a command without room for its scratch folder fails with a reason, and space that returns is used."""
    with contextlib.ExitStack() as stack:
        cluster = run.cluster(start=False, workers=1)
        state = stack.enter_context(small_disk(cluster.folder / "worker-1", "4m,nr_inodes=100"))
        stack.enter_context(cluster)
        cluster.start()
        client = cluster.client()
        # A folder that nobody touched would serve the next command, too.
        client.command(JOURNALED + "j e; touch $REEVE_SCRATCH_DIR/used; echo before", ["x"], environment={"JOURNAL": str(cluster.journal)})
        filler = state / "filler"
        fill(filler, 0)
        subprocess.run(["sh", "-c", f"i=0; while mkdir {state}/inode-$i; do i=$((i+1)); done"], capture_output=True, timeout=30)
        results = client.submit(run.payloads(30, b"big=200000 "))
        run.expect(client.wait(results.job_id, 20) is not None, "6 MB of results from a worker with a full disk")
        command = client.command(JOURNALED + "j e; echo during", ["x"], environment={"JOURNAL": str(cluster.journal)}, max_attempts=1)
        ended = client.wait(command.job_id, 20)
        run.expect(ended is not None, "a command on a worker with a full disk ends")
        run.equal(api.pb.task.Task.Reason.Name(client.results(command.job_id)[0][0][0].reason), "RESOURCES", "reason of a command")
        subprocess.run(["sh", "-c", f"rmdir {state}/inode-*; rm {filler}"], check=True)
        after = client.command(JOURNALED + "j e; echo after", ["x"], environment={"JOURNAL": str(cluster.journal)})
        ended = client.wait(after.job_id, 20)
        run.equal(ended and ended.counts.succeeded, 1, "commands that succeed when space has returned")
        run.equal("worker died" in cluster.log("worker-1"), False, "death of the worker")
        cluster.check(client, executions=1, may_fail=True)


def full_disk_of_the_store(run):
    with contextlib.ExitStack() as stack:
        cluster = run.cluster(start=False, workers=2)
        stack.enter_context(small_disk(cluster.state, "24m"))
        stack.enter_context(cluster)
        cluster.start()
        client = cluster.client()
        client.submit(run.payloads(100))
        waiting = client.submit(run.payloads(40, b"sleep=0.2 "))
        until(lambda: executions_of(cluster, waiting) > 0, "work")
        reserve, fillers = cluster.state / "reserve", [cluster.state / name for name in ("filler", "more")]
        run.expect(reserve.exists(), "there is a reserve")
        fill(fillers[0], 512 << 10)
        answers = collections.Counter()
        for _ in range(40):
            try:
                client.submit([run.random.randbytes(60_000)], within=2)
                answers["taken"] += 1
            except api.grpc.RpcError as error:
                answers[error.code().name] += 1
        run.equal(dict(answers), {"RESOURCE_EXHAUSTED": 40}, "answers to submissions on a disk that is nearly full")
        fill(fillers[1], 0)  # Now not a page is free.
        ended = client.wait(waiting.job_id, 20)
        run.expect(ended is not None, "results are still recorded on a full disk")
        run.expect(not reserve.exists(), "the reserve was given up for them")
        run.equal(cluster.processes["master"].poll(), None, "exit code of the master on a full disk")
        for filler in fillers:
            filler.unlink()
        until(lambda: submits(client, run), "submissions are taken again when space returns", 20)
        until(reserve.exists, "a new reserve", 20)
        run.equal(client.cluster().epoch, 1, "epoch: the master was not started again")
        cluster.check(client, executions=1)


def executions_of(cluster, submission):
    return len(oracle.Journal(cluster.journal).executions(submission.job_id))


def fill(path, leave):
    """Takes all free bytes of the folder's disk but `leave`."""
    subprocess.run(["fallocate", "-l", str(free_bytes(path.parent) - leave), str(path)], check=True)


def free_bytes(folder):
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def submits(client, run):
    try:
        return client.submit(run.payloads(5), within=5).job_id
    except api.grpc.RpcError:
        time.sleep(0.1)
        return 0


def fail_at(run, cluster, call, n):
    """A life of the master in which the N-th call of a kind fails with EIO. Returns: its exit code; None if it did not come that far."""
    only = cluster.state / "reeve.db" if call == "openat" else None
    log = len(cluster.log("master"))
    process = cluster.start_master(prefix=traced(f"{call}:error=EIO:when={n}", only=only))
    # Each fdatasync is a commit, and the load never ends: it comes. The others are rarer.
    end = time.monotonic() + (20 if call == "fdatasync" else 1.5)
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    code = process.poll()
    if code is None:
        run.expect(call != "fdatasync", f"the master outlives the failure of {call} number {n}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(traced_master(cluster), 9)
        process.wait(20)
        return None
    served = "master serves" in cluster.log("master")[log:]
    run.expect(code == 70 or code in (73, 78) and not served, f"exit code when {call} number {n} fails: {code}, served: {served}")
    return code


@row("F27", "EIO on the N-th fdatasync of a thread, for every N up to 60; on a sample of the first 40 pwrite64, of openat and ftruncate")
def failing_disk_ends_the_master(run: Run):
    reason = can_inject()
    if reason:
        raise Skip(reason)
    # One store and one worker for all of it: each life of the master is the recovery from the one before.
    with run.cluster(workers=1) as cluster:
        client = cluster.client()
        cluster.processes["master"].terminate()
        cluster.processes["master"].wait(20)
        calls = [("fdatasync", n) for n in range(1, 61)]
        calls += [("pwrite64", n) for n in run.random.sample(range(1, 41), 4 if run.scale < 1 else 40)]
        calls += [(call, n) for call in ("openat", "ftruncate") for n in (1, 2)]  # Of the store's files only, and there are few.
        run.random.shuffle(calls)
        codes = collections.Counter()
        with Load(client, run, tasks=3, threads=2, batches=30_000, low=0, high=20) as load:
            for call, n in calls:
                codes[call, fail_at(run, cluster, call, n)] += 1
            cluster.start_master(prefix=[])
            cluster.wait_for_master()
        run.figure(f"{load.acknowledged()} submissions acknowledged; " +
                   ", ".join(f"{call}: {'lived' if code is None else f'exit {code}'} {n} times"
                             for (call, code), n in sorted(codes.items(), key=str)))
        run.equal(sum(n for (call, code), n in codes.items() if call == "fdatasync" and code is not None), 60, "failed fdatasyncs")
        cluster.check(client, executions=1, within=120)
        cluster.check_store()


@row("F28", "torn and lost writes: the log cut at each of its 4 KiB boundaries, bits flipped in log and database")
def damaged_files_are_recovered_or_refused(run: Run):
    with run.cluster(workers=2) as cluster:
        client = cluster.client()
        jobs = [client.submit(run.payloads(20)) for _ in range(4 if run.scale < 1 else 30)]
        for job in jobs:
            client.wait(job.job_id)
        cluster.kill_everything()
        saved = cluster.folder / "saved"
        shutil.copytree(cluster.state, saved)
        size = (saved / "reeve.db-wal").stat().st_size if (saved / "reeve.db-wal").exists() else 0
        run.expect(size > 0, "there is a log to damage")
        cuts = [("cut", at) for at in range(0, size, 4096)]
        run.figure(f"{len(cuts)} cuts")
        flips = [("flip", run.random.randrange(size * 8)) for _ in range(6)] + [("flip-db", run.random.randrange(8 * (saved / "reeve.db").stat().st_size)) for _ in range(6)]
        for kind, at in cuts + flips:
            shutil.rmtree(cluster.state)
            shutil.copytree(saved, cluster.state)
            damage(cluster.state, kind, at)
            process = cluster.start_master(init=False)
            until(lambda: process.poll() is not None or cluster.ask_master(), f"{kind} {at}: the master serves or ends", 15)
            code = process.poll()
            if code is not None:
                run.expect(code in (70, 73, 78), f"{kind} {at}: exit code {code}")
                run.expect("reeve.db" in cluster.log("master") or "commit failed" in cluster.log("master"), f"{kind} {at}: a clear message")
            else:
                nothing_wrong_is_served(run, client, jobs, f"{kind} {at}")
            if process.poll() is None:
                process.kill()
                process.wait(20)


def damage(folder, kind, at):
    path = folder / ("reeve.db" if kind == "flip-db" else "reeve.db-wal")
    content = bytearray(path.read_bytes())
    if kind == "cut":
        del content[at:]
    else:
        content[at // 8] ^= 1 << (at % 8)
    path.write_bytes(content)


def nothing_wrong_is_served(run, client, jobs, what):
    """A prefix of the history may be missing; what is served must be right."""
    for job in jobs:
        try:
            view = client.once(client.jobs.GetJob, api.pb.services.GetJobRequest(job_id=job.job_id))
            if view.counts.total not in (0, len(job.payloads)):
                run.expect(False, f"{what}: job {job.job_id} has {view.counts.total} tasks")
            request = api.pb.services.StreamResultsRequest(job_id=job.job_id, follow=False)
            found = {}
            for batch in client.jobs.StreamResults(request, metadata=client.metadata, timeout=10):
                api.take(batch, found)
            for index, results in found.items():
                run.expect(len(results) == 1 and results[0].output == api.expected(job.payloads[index]),
                           f"{what}: job {job.job_id}/{index} is served with a wrong result")
        except api.grpc.RpcError as error:
            refused = error.code() in (api.grpc.StatusCode.NOT_FOUND, api.grpc.StatusCode.DATA_LOSS, *api.UNKNOWN)
            run.expect(refused, f"{what}: job {job.job_id}: {error.code().name} {error.details()}")


@row("F29", "power cut: what was not synced is lost, in part")
def power_cut_loses_nothing_acknowledged(run: Run):
    if not POWER_CUT.exists():
        raise Skip("libpower_cut.so is not built")
    with run.cluster(start=False, workers=2) as cluster:
        log = cluster.folder / "power.log"
        env = {"LD_PRELOAD": str(POWER_CUT), "POWER_CUT_LOG": str(log), "POWER_CUT_FOLDER": str(cluster.state)}
        cluster.master_env = env
        cluster.start()
        client = cluster.client()
        rounds = 4 if run.scale < 1 else 20
        with Load(client, run, threads=3) as load:
            for _ in range(rounds):
                before = load.acknowledged()
                until(lambda: load.acknowledged() > before + run.random.randint(2, 20) or not any(t.is_alive() for t in load.threads),
                      "acknowledgements")
                cluster.kill("master")
                lost = lose_what_was_not_synced(run, log, cluster.state)
                run.figure(f"{lost} writes lost")
                cluster.start_master()
                cluster.wait_for_master()
        cluster.check(client, executions=1)
        cluster.check_store()


def records(log):
    content, at = log.read_bytes(), 0
    while at + 17 <= len(content):
        what, (length, where, count) = content[at:at + 1], struct.unpack("<IQI", content[at + 1:at + 17])
        end = at + 17 + length + count
        if end > len(content):
            return
        yield what, content[at + 17:at + 17 + length].decode(), where, content[at + 17 + length:end]
        at = end


def lose_what_was_not_synced(run, log, folder):
    """Makes the files what a disk without power would hold, and begins a new log from there. Returns: writes lost."""
    durable, pending, lost = {}, {}, 0

    def apply(content, what, where, data):
        if what == b"t":
            del content[where:]
            content.extend(bytes(where - len(content)))
        else:
            content.extend(bytes(max(0, where - len(content))))
            content[where:where + len(data)] = data
    for what, path, where, data in records(log):
        if what == b"s":
            for entry in pending.pop(path, []):
                apply(durable.setdefault(path, bytearray()), *entry)
        else:
            pending.setdefault(path, []).append((what, where, data))
    for path, entries in pending.items():
        for entry in entries:
            if run.random.random() < 0.5:
                apply(durable.setdefault(path, bytearray()), *entry)
            else:
                lost += 1
    log.unlink()
    for path, content in durable.items():
        if os.path.exists(path) and not path.endswith("-shm"):
            with open(path, "wb") as file:
                file.write(content)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder / "reeve.db-shm")
    # The next life starts from these contents: they are its first synced writes.
    with open(log, "ab") as file:
        for path, content in durable.items():
            if path.endswith("-shm") or not os.path.exists(path):
                continue
            name = path.encode()
            for what, data in ((b"w", bytes(content)), (b"s", b"")):
                file.write(what + struct.pack("<IQI", len(name), 0, len(data)) + name + data)
    return lost
