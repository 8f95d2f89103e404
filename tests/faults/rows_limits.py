"""Rows at the edges: sizes, counts, watchers that do not read, descriptors and memory that run out: F21, F22, F24, F31, F33."""

import contextlib
import os
import selectors
import subprocess
import threading
import time

import api
import oracle
import proxy
from harness import JOURNAL_WORKER, Load, Run, Skip, base, row, until
from rows_store import POWER_CUT

LIMIT = 3 << 20


@row("F21", "payloads and results at the limit, one below, one above; empty, not UTF-8, NUL")
def sizes_at_the_limit(run: Run):
    with run.cluster(workers=1) as cluster:
        client = cluster.client()
        for size in (LIMIT - 1, LIMIT):
            job = client.submit([bytes(size)], handler="echo")
            run.expect(client.wait(job.job_id) is not None, f"a payload of {size} bytes is run")
            run.equal(client.results(job.job_id)[0][0][0].output, bytes(size), f"its result of {size} bytes")
        refused(run, client, [bytes(LIMIT + 1)], "INPUT_TOO_LARGE")
        odd = [b"", b"\0", b"a\0b", b"\xff\xfe\xfd", bytes(range(256))]
        job = client.submit(odd)
        client.wait(job.job_id)
        run.equal([r[0].output for _, r in sorted(client.results(job.job_id)[0].items())], [api.expected(p) for p in odd], "odd payloads")
        for size, reason in ((LIMIT, 0), (LIMIT + 1, api.pb.task.Task.RESULT_TOO_LARGE)):
            job = client.submit([b"big=%d x" % size])
            run.expect(client.wait(job.job_id) is not None, f"a result of {size} bytes ends")
            run.equal(client.results(job.job_id)[0][0][0].reason, reason, f"reason of a result of {size} bytes")
            run.equal(oracle.Journal(cluster.journal).executions(job.job_id)[0], 1, f"executions of a result of {size} bytes")
        cluster.check(client, executions=1, may_fail=True)


def refused(run, client, payloads, reason):
    try:
        client.submit(payloads)
        run.expect(False, f"{reason} was expected")
    except api.grpc.RpcError as error:
        run.equal(error.code(), api.grpc.StatusCode.INVALID_ARGUMENT, f"code of {reason}")


@row("F22", "an array of 1 M; the limit, and one above; cancelled half-way")
def large_arrays(run: Run):
    with run.cluster(workers=2) as cluster:
        client = cluster.client()

        def array(count, handler="echo"):
            return client.once(client.jobs.CreateJob, api.pb.services.CreateJobRequest(
                request_id=client.new_id(), spec=client.spec(handler), array=api.pb.job.ArraySpec(count=count)), 30)
        began = time.monotonic()
        job = array(1_000_000)
        took = time.monotonic() - began
        run.expect(took < 1, f"1 M is accepted within 1 s: {took:.2f} s")
        best = 60
        half = until(lambda: client.get(job.job_id).counts.succeeded > 100_000, "work", 60)
        run.expect(half, "")
        for one in (job, array(100_000_000)):
            submission = api.Submission("", [], job_id=one.job_id)
            began = time.monotonic()
            try:
                client.cancel(submission)
            except api.grpc.RpcError as error:  # The first may have ended already.
                run.equal(error.code(), api.grpc.StatusCode.FAILED_PRECONDITION, "answer to the cancel")
            ended = client.wait(one.job_id, 20)
            took = time.monotonic() - began
            best = min(best, took)
            run.expect(ended is not None and took < 10, f"cancelled within 10 s even on a busy machine: {took:.2f} s")
            if ended is not None:
                counts = ended.counts
                run.equal(counts.succeeded + counts.failed + counts.cancelled, counts.total, f"tasks of job {one.job_id}")
        run.expect(best < 2, f"the faster of two cancels took less than 2 s: {best:.2f} s")
        try:
            array(100_000_001)
            run.expect(False, "an array above the limit was accepted")
        except api.grpc.RpcError as error:
            run.equal(error.code(), api.grpc.StatusCode.INVALID_ARGUMENT, "answer to an array above the limit")
        cluster.check(client, submissions=[])


@row("F23", "submit flood of ten times the capacity")
def flood_is_refused_with_a_hint(run: Run):
    capacity = 100
    with run.cluster(workers=1, slots=2, master_flags=["--max-active-jobs", capacity]) as cluster:
        client = cluster.client()
        before = oracle.status(cluster.processes["master"].pid)[0]
        admitted, refusals, times = 0, 0, []
        for _ in range(10 * capacity):
            began = time.monotonic()
            try:
                client.submit([b"sleep=%.2f x" % 0.05])
                admitted += 1
                times.append(time.monotonic() - began)
            except api.grpc.RpcError as error:
                refusals += 1
                run.equal(error.code(), api.grpc.StatusCode.RESOURCE_EXHAUSTED, "answer above the capacity")
                details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
                run.expect(b"RetryInfo" in details and b"QUEUE_FULL" in details, f"the refusal has a reason and a hint: {details!r}")
        grown = oracle.status(cluster.processes["master"].pid)[0] - before
        worst = sorted(times)[len(times) * 99 // 100]
        run.figure(f"{admitted} admitted, {refusals} refused, p99 of the admitted {worst * 1000:.0f} ms, memory +{grown >> 20} MiB")
        run.expect(refusals > 0 and admitted >= capacity, f"{admitted} admitted, {refusals} refused")
        run.expect(worst < 0.5, f"p99 of the admitted: {worst:.2f} s")
        run.expect(grown < 64 << 20, f"memory grew by {grown >> 20} MiB")
        cluster.check(client, executions=1)


@row("F24", "100 watchers that never read, one that reads a little")
def watchers_that_do_not_read(run: Run):
    with run.cluster(workers=2) as cluster:
        client = cluster.client()
        jobs = [client.submit([run.random.randbytes(100_000) for _ in range(25)], handler="echo") for _ in range(40)]
        streams = []
        for i in range(100):
            request = api.pb.services.StreamResultsRequest(job_id=jobs[i % len(jobs)].job_id, follow=True)
            streams.append(client.jobs.StreamResults(request, metadata=client.metadata, timeout=120))
        slow = client.jobs.StreamResults(api.pb.services.StreamResultsRequest(job_id=jobs[0].job_id, follow=True), metadata=client.metadata)
        next(slow)
        before = time.monotonic()
        fast = cluster.client().submit(run.payloads(500))
        run.expect(client.wait(fast.job_id, 30) is not None, "others are served")
        run.figure(f"500 tasks beside 100 watchers in {time.monotonic() - before:.2f} s, master at "
                   f"{oracle.status(cluster.processes['master'].pid)[0] >> 20} MiB")
        cluster.check(client)
        for stream in [*streams, slow]:
            stream.cancel()


@row("F31", "descriptors run out: too few at start, and a flood beyond them on each port; memory allocation fails at the N-th call")
def resources_run_out(run: Run):
    for limit in (16, 64, 511):
        with run.cluster(start=False, master_prefix=["prlimit", f"--nofile={limit}:{limit}"]) as cluster:
            run.equal(cluster.start_master().wait(20), 78, f"exit code with {limit} descriptors")
            run.expect("open files" in cluster.log("master"), "the reason is told")
    with run.cluster(start=False, workers=1, master_prefix=["prlimit", "--nofile=512:512"]) as cluster:
        cluster.start()
        client = cluster.client()
        client.submit(run.payloads(20))
        for port in range(cluster.port, cluster.port + 3):
            flood_port(run, cluster, client, port)
        client = cluster.client()  # Whoever comes after the flood is served.
        client.submit(run.payloads(50))
        cluster.start_worker("worker-2")
        cluster.wait_for_workers(2)
        cluster.check(client, executions=1)
    if not POWER_CUT.exists():
        raise Skip("libpower_cut.so is not built")
    for at in sorted(run.random.sample(range(1, 3000), 4)):
        with run.cluster(start=False, workers=1) as cluster:
            mark = cluster.folder / "fail-now"
            cluster.master_env = {"LD_PRELOAD": str(POWER_CUT), "FAIL_MALLOC_AT": str(at), "FAIL_MALLOC_WHEN": str(mark)}
            cluster.start()
            client = cluster.client()
            with Load(client, run) as load:
                until(lambda: load.acknowledged() > 3, "load")
                mark.write_text("")
                with contextlib.suppress(AssertionError):  # It may have been an allocation that may fail.
                    until(lambda: cluster.processes["master"].poll() is not None, "the master's end", 5)
                if cluster.processes["master"].poll() is not None:
                    cluster.start_master(env={})
                    cluster.wait_for_master()
            cluster.check(client, executions=2)


def flood_port(run, cluster, client, port, count=700):
    """Opens more connections than the master has descriptors: the rest is refused, who was there is served, and nothing spins."""
    master = cluster.processes["master"].pid
    flood, refusals = [], 0
    for _ in range(count):
        with contextlib.suppress(OSError):
            flood.append(proxy.socket.create_connection(("127.0.0.1", port), 5))
    spent = cpu_seconds(master)
    time.sleep(1)
    spent = cpu_seconds(master) - spent
    for one in flood:
        one.setblocking(False)
        try:
            while one.recv(1000):
                pass
            refusals += 1
        except BlockingIOError:
            pass
        except OSError:
            refusals += 1
    refusals += count - len(flood)
    run.expect(refusals >= count - 512, f"what exceeds the descriptors is refused: {refusals} of {count} on port +{port - cluster.port}")
    run.expect(oracle.status(master)[1] < 512, "some descriptors are left")
    run.expect(spent < 0.5, f"a flood on port +{port - cluster.port} costs {spent:.1f} s of CPU in 1 s")
    run.equal([w.state for w in client.list_workers()], [api.pb.worker.Worker.ONLINE], "worker during the flood")
    client.submit(run.payloads(50))
    for one in flood:
        one.close()
    until(lambda: oracle.status(master)[1] < 200, "the flood's descriptors are given back", 20)


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Stubs:
    """Many idle workers in this process: they say Hello when asked who they are, and a heartbeat a second."""

    def __init__(self, port, count, token):
        self.port, self.token = port, token.encode()
        self.links, self.joined, self.epochs = [None] * count, set(), [0] * count
        self.selector = selectors.DefaultSelector()

    def connect(self):
        for i in range(len(self.links)):
            if self.links[i] is not None:
                continue
            with contextlib.suppress(OSError):
                self.links[i] = proxy.Dealer(self.port)
                self.links[i].socket.setblocking(False)
                self.selector.register(self.links[i].socket, selectors.EVENT_READ, i)
                self.hello(i)

    def hello(self, i):
        body = api.pb.link.Hello(number=1, last_page=True, token=self.token, worker_id=f"stub-{i}", process_id=f"p{i}", min_protocol=1,
                                 max_protocol=1, hostname="stub").SerializeToString()
        self.links[i].send(proxy.frames_of(proxy.TYPES["HELLO"], 0, 1000 + i, body))

    def beat(self):
        for i in list(self.joined):
            with contextlib.suppress(OSError):
                self.links[i].send(proxy.frames_of(proxy.TYPES["HEARTBEAT"], self.epochs[i], 1000 + i, b""))

    def drop(self):
        """Cuts all connections at once; the next connect makes new ones."""
        for i, link in enumerate(self.links):
            if link is not None:
                self.selector.unregister(link.socket)
                link.close()
                self.links[i] = None
        self.joined.clear()

    def turn(self, seconds):
        for key, _ in self.selector.select(seconds):
            i = key.data
            link = self.links[i]
            try:
                data = link.socket.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self.selector.unregister(link.socket)
                link.close()
                self.links[i] = None
                self.joined.discard(i)
                continue
            link.stream.rewrite(data, lambda m: link.received.append(m) or [])
            for frames in link.received:
                type_ = proxy.type_of(frames)
                if type_ == proxy.TYPES["WELCOME"]:
                    self.epochs[i] = int.from_bytes(frames[0][8:16], "little")
                    self.joined.add(i)
                elif type_ == proxy.TYPES["WHO_ARE_YOU"]:
                    self.hello(i)
            link.received.clear()


class Watch:
    """Looks at the real worker of the cluster for as long as the stubs come in."""

    def __init__(self, client, cluster):
        self.client, self.pid, self.seen, self.stopping = client, cluster.proper("worker-1"), set(), False
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.stopping:
            mine = [w.state for w in self.client.list_workers() if w.pid == self.pid]
            self.seen.add(mine[0] if mine else 0)
            time.sleep(0.02)

    def end(self):
        self.stopping = True
        self.thread.join(30)
        return {state for state in self.seen if state != api.pb.worker.Worker.ONLINE}


@row("F33", "1,000 workers connect at once, and again without a word, and again to a new master; another's heartbeats and runs do not suffer")
def many_workers_reconnect(run: Run):
    count = 1000
    with run.cluster(workers=1, env={"REEVE_TIME_SCALE": "1"}) as cluster:
        cluster.ignores_ceilings = True  # A thousand connections are a thousand descriptors.
        client = cluster.client()
        job = client.submit(run.payloads(4, b"sleep=12 "))
        stubs = Stubs(cluster.port + 1, count, cluster.token)
        for round_ in range(3):
            if round_ == 1:
                stubs.drop()
            elif round_ == 2:
                cluster.kill("master")
                stubs.joined.clear()
                cluster.start_master()
                cluster.wait_for_master()
                until(lambda: any(w.pid == cluster.proper("worker-1") for w in client.list_workers()), "the other worker's return")
            watch = Watch(client, cluster)
            began = time.monotonic()
            beat = began
            while len(stubs.joined) < count or any(l is None for l in stubs.links):
                stubs.connect()
                stubs.turn(0.01)
                if time.monotonic() - beat > 1:
                    beat = time.monotonic()
                    stubs.beat()
                if time.monotonic() - began > 30:
                    break
            took = time.monotonic() - began
            run.equal(watch.end(), set(), f"states of the other worker in round {round_ + 1} but ONLINE")
            run.figure(f"round {round_ + 1}: {len(stubs.joined)} of {count} attached after {took:.1f} s")
            run.expect(len(stubs.joined) == count and took < 10, f"all attached within 10 s: {len(stubs.joined)} after {took:.1f} s")
        cluster.wait_for_master()
        until(lambda: client.cluster().worker_count >= count, "1,000 workers")
        for link in filter(None, stubs.links):
            link.close()
        cluster.check(client, executions=1)
        run.equal(sum(oracle.Journal(cluster.journal).executions(job.job_id).values()), 4, "executions")
