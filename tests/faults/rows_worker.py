"""Rows in which workers die, hang, crash or are drained: F5 to F7, F10 to F12, F33, F34, F38."""

import os
import signal
import threading
import time

import api
import oracle
from harness import Load, Run, base, row, until
from rows_store import JOURNALED


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
        idle = cluster.kill_proper("worker-1")
        client.submit(run.payloads(100))
        until(lambda: cluster.proper("worker-1") not in (0, idle) and
              {w.pid for w in client.list_workers()} == cluster.living(), "the killed worker's successor")
        cluster.wait_for_workers(2)
        job = client.submit(run.payloads(8, b"sleep=1 "))
        until(lambda: len(journal_of(cluster).executions(job.job_id)) == 8, "8 executions")
        killed = time.monotonic()
        cluster.kill_worker("worker-2")  # Supervisor and all: nobody starts it again.
        journal = cluster.check(client, executions=2)
        again = [i for i, n in journal.executions(job.job_id).items() if n == 2]
        run.expect(1 <= len(again) <= 4, f"what ran on the dead worker, and nothing else, ran again: {again}")
        # Begun again: the living worker is busy for up to a second more.
        took = max([journal.started[job.job_id, i][1][2] / 1e9 - killed for i in again], default=0)
        run.expect(took < run.seconds(15 + 1) + 2, f"requeued within lease + 1 s: {took:.1f} s")
        run.figure(f"ran again {took:.1f} s after the death")


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


@row("F6", "SIGSTOP worker beyond its lease, then CONT: a zombie's result")
def zombie_result_is_discarded(run: Run):
    with run.cluster(workers=2, slots=2) as cluster:
        client = cluster.client()
        job = client.submit(run.payloads(4, b"sleep=%.2f " % (run.seconds(15) / 3)))
        until(lambda: len(journal_of(cluster).executions(job.job_id)) == 4, "4 executions")
        stopped = cluster.proper("worker-2")
        os.kill(stopped, signal.SIGSTOP)
        until(lambda: len(client.list_workers()) == 1, "the lease's end", run.seconds(15) + 10)
        run.expect(client.wait(job.job_id, 30) is not None, "the job ends without the stopped worker")
        recorded = {i: r[0].worker for i, r in client.results(job.job_id)[0].items()}
        late = client.cluster().superseded_result_count
        os.kill(stopped, signal.SIGCONT)
        cluster.wait_for_workers(2)
        until(lambda: client.cluster().superseded_result_count > late, "late results are counted")
        journal = cluster.check(client, executions=2, living_rerun=True)
        run.equal({i: r[0].worker for i, r in client.results(job.job_id)[0].items()}, recorded, "results after the zombie's word")
        run.equal(sorted(journal.executions(job.job_id).values()), [1, 1, 2, 2], "executions")
        client.submit(run.payloads(50))  # And the zombie is a worker again.
        cluster.check(client, executions=2, living_rerun=True)
        until(lambda: all(w.held_count == 0 for w in client.list_workers()), "the worker forgets what was superseded")


@row("F7", "worker's loop hangs while its I/O threads live; a thread hangs beyond its time limit")
def hung_worker_is_noticed(run: Run):
    with run.cluster(workers=1, slots=2) as cluster:
        client = cluster.client()
        hang = run.seconds(15) + 3
        cluster.start_worker("worker-2", env={"REEVE_FAILPOINTS": f"worker.assigned=stall:{hang}:3"})
        cluster.wait_for_workers(2)
        client.submit(run.payloads(200))
        hung = until(lambda: next((w for w in client.list_workers() if w.state == api.pb.worker.Worker.SUSPECT), None)
                     or len(client.list_workers()) == 1, "suspicion", run.seconds(5) + 5)
        run.expect(hung, "the hung worker is suspected")
        cluster.check(client, executions=2, living_rerun=True)
        until(lambda: cluster.client() and len(client.list_workers()) == 2, "the hung worker's return", hang + 20)
    with run.cluster(workers=1, slots=2) as cluster:
        client = cluster.client()
        limit = api.pb.job.JobSpec().time_limit.__class__(nanos=300_000_000)
        job = client.submit([b"stubborn=3 a", b"b"], time_limit=limit, max_attempts=1)
        ended = client.wait(job.job_id, 30)
        run.expect(ended is not None, "a task beyond its time limit ends")
        found, _ = client.results(job.job_id)
        run.equal(found[0][0].reason, api.pb.task.Task.TIMEOUT, "reason")
        client.submit(run.payloads(30))
        cluster.check(client, executions=2, may_fail=True)


@row("LEASE", "a lease is revoked between arrival and commit of its result")
def lease_revoked_under_a_result(run: Run):
    # Arrived, not admitted: the session is over before the result is stepped. The task runs again and is recorded once.
    stall = run.seconds(15) + 1
    env = {"REEVE_FAILPOINTS": f"collector.decoded=stall:{stall}:{run.random.randint(2, 10)}"}
    die_while_stalled(run, env, executions=2)
    # Admitted, not committed: finishing runs have left the lease and do not run again; what else the dead worker held does.
    env = {"REEVE_FAILPOINTS": f"store.commit.before=stall:{stall}:{run.random.randint(8, 20)}"}
    die_while_stalled(run, env, executions=2)


def die_while_stalled(run, env, executions):
    with run.cluster(workers=2, slots=2, master_env=env) as cluster:
        client = cluster.client()
        with Load(client, run):
            until(lambda: "failpoint fires" in cluster.log("master"), f"{env}")
            cluster.kill_worker("worker-1")
            cluster.start_worker("worker-3")
        cluster.check(client, executions=executions)


@row("F8", "collector stalls 10 s; its socket is rebuilt")
def collector_stalls_and_is_rebuilt(run: Run):
    stall = max(2, run.seconds(10))
    with run.cluster(workers=2, master_env={"REEVE_FAILPOINTS": f"collector.frame=stall:{stall}:{run.random.randint(3, 30)}"}) as cluster:
        client = cluster.client()
        with Load(client, run):
            until(lambda: "failpoint fires" in cluster.log("master"), "the stall")
            end = time.monotonic() + stall * 0.9
            while time.monotonic() < end:
                states = [w.state for w in client.list_workers()]
                run.equal(states, [api.pb.worker.Worker.ONLINE] * 2, "workers during the stall")
                time.sleep(0.05)
        cluster.check(client, executions=1)
    points = ",".join(f"collector.frame=error:{n}" for n in sorted(run.random.sample(range(3, 60), 4)))
    with run.cluster(workers=2, master_env={"REEVE_FAILPOINTS": points}) as cluster:
        client = cluster.client()
        with Load(client, run):
            until(lambda: cluster.log("master").count("failpoint fires") == 4, "four rebuilds")
        cluster.check(client, executions=1)


@row("F8r", "relay killed -9 mid-flow and replaced; then silent")
def relay_dies_and_is_silent(run: Run):
    with run.cluster(start=False, workers=4) as cluster:
        cluster.worker_flags = ["--collector", cluster.relay]
        cluster.start_relay()
        cluster.start()
        client = cluster.client()
        with Load(client, run):
            for kills in range(1, 4):
                enough = len(client.submissions) + run.random.randint(5, 20)
                until(lambda: len(client.submissions) > enough, "some load")
                cluster.kill("relay")
                cluster.start_relay()
                until(lambda: cluster.log("relay").count("relay serves") == kills + 1, "another relay")
        cluster.check(client, executions=1)
        with Load(client, run):
            enough = len(client.submissions) + run.random.randint(5, 20)
            until(lambda: len(client.submissions) > enough, "some load")
            cluster.processes["relay"].send_signal(signal.SIGSTOP)
            began = time.monotonic()
            until(lambda: any("results go another way" in cluster.log(f"worker-{i}") for i in range(1, 5)), "workers go past the relay")
            run.figure(f"past the silent relay after {time.monotonic() - began:.1f} s")
        cluster.check(client, executions=1)
        cluster.processes["relay"].send_signal(signal.SIGCONT)


@row("F10", "SIGSEGV in a handler's thread")
def segfault_names_its_task(run: Run):
    with run.cluster(workers=1, slots=4) as cluster:
        client = cluster.client()
        neighbours = client.submit(run.payloads(3, b"sleep=1 "), max_attempts=1)
        until(lambda: len(journal_of(cluster).executions(neighbours.job_id)) == 3, "3 executions")
        guilty = client.submit([b"segv guilty"], max_attempts=1)
        more = client.submit(run.payloads(20))
        ended = client.wait(guilty.job_id, 60)
        run.expect(ended is not None, "the guilty task ends")
        if ended is not None:
            found, _ = client.results(guilty.job_id)
            run.equal(found[0][0].reason, api.pb.task.Task.POISONED, "reason of the guilty")
        for innocent in (neighbours, more):
            job = client.wait(innocent.job_id, 60)
            run.expect(job is not None and job.counts.succeeded == job.counts.total, f"neighbours are requeued free: {job and job.counts}")
        cluster.check(client, executions=5, may_fail=True)
        run.expect("worker died" in cluster.log("worker-1"), "the supervisor says that the worker died")


def time_of(client, submission):
    began = time.monotonic()
    client.wait(submission.job_id, 60)
    return time.monotonic() - began


@row("F11", "a poison task takes its worker down each time: it is found, and the others go on at 80 % of their rate or more")
def poison_is_found(run: Run):
    for word in (b"segv poison", b"kill poison"):  # With a crash note, and without one.
        with run.cluster(workers=2, slots=2) as cluster:
            client = cluster.client()
            tasks = run.payloads(200, b"sleep=0.1 ")
            alone = time_of(client, client.submit(tasks))
            poison = client.submit([word])
            others = client.submit(tasks)
            beside = time_of(client, others)
            run.figure(f"{len(tasks)} tasks alone: {alone:.1f} s, beside {word.decode()!r}: {beside:.1f} s")
            run.expect(alone > 0.8 * beside, f"the rate of others beside {word.decode()!r} is {alone / beside:.0%} of theirs alone")
            ended = client.wait(poison.job_id, 90)
            run.expect(ended is not None, f"{word!r} ends")
            if ended is None:
                continue
            run.equal(client.results(poison.job_id)[0][0][0].reason, api.pb.task.Task.POISONED, f"reason of {word!r}")
            # Three crashes, and before them, when nobody names it, three suspicions.
            deaths = journal_of(cluster).executions(poison.job_id)[0]
            run.expect(deaths <= (3 if word.startswith(b"segv") else 6), f"{word!r} took {deaths} workers down")
            run.expect(client.wait(others.job_id, 60) is not None, "the others end")
            cluster.check(client, executions=8, may_fail=True)


@row("F12", "commands that exit, are killed, write a lot, ignore SIGTERM, leave processes behind")
def bad_commands_have_typed_reasons(run: Run):
    reason = api.pb.task.Task.Reason
    with run.cluster(workers=1, slots=4) as cluster:
        client = cluster.client()
        environment = {"JOURNAL": str(cluster.journal), "MARK": f"mark-{run.random.getrandbits(40)}"}

        def command(script, wanted, **fields):
            job = client.command(JOURNALED + script, ["x"], environment=environment, **fields)
            run.expect(client.wait(job.job_id, 40) is not None, f"`{script}` ends")
            result = client.results(job.job_id)[0][0][0]
            run.equal(reason.Name(result.reason), wanted, f"reason of `{script}`")
            return result
        command("exit 3", "EXIT_NONZERO")
        command("kill -SEGV $$", "SIGNALLED")
        command("kill -9 $$", "SIGNALLED")
        big = 1 << (30 if run.scale >= 1 else 26)
        result = command(f"j e; head -c {big} /dev/zero", "REASON_UNSPECIFIED")
        run.expect(len(result.output) <= (1 << 20) + 4096, f"output is capped: {len(result.output)} bytes")
        limit = api.pb.job.JobSpec().time_limit.__class__(nanos=500_000_000)
        command("sleep 300 & sleep 300; echo", "TIMEOUT", time_limit=limit)
        command("j e; (setsid sleep 303 &) ; (sleep 301 &) ; sleep 302 >/dev/null 2>&1 & echo gone", "REASON_UNSPECIFIED")
        began = time.monotonic()
        command("trap '' TERM; while :; do sleep 1; done", "TIMEOUT", time_limit=limit)
        took = time.monotonic() - began
        run.expect(took < 10 + 0.5 + 4, f"who ignores SIGTERM is gone within the grace + 2 s: {took:.1f} s")
        until(lambda: not marked(environment["MARK"]), f"descendants are gone: {marked(environment['MARK'])}", 5)
        failing = client.submit([b"throw x", b"fail y"], max_attempts=1)
        client.wait(failing.job_id, 30)
        run.equal([reason.Name(r[0].reason) for _, r in sorted(client.results(failing.job_id)[0].items())], ["HANDLER_ERROR"] * 2,
                  "reasons of handlers that throw or fail")
        cluster.check(client, executions=2, may_fail=True)


def marked(mark):
    """Processes whose environment holds the mark."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark.encode() in open(f"/proc/{pid}/environ", "rb").read():
                found.append(int(pid))
        except OSError:
            pass
    return found


@row("F36", "cancel against start, finish, retry and re-attach")
def cancel_is_final(run: Run):
    with run.cluster(workers=2, slots=4) as cluster:
        client = cluster.client()
        for round_ in range(30):
            prefix = run.random.choice([b"", b"sleep=0.05 ", b"fail ", b"sleep=0.3 "])
            job = client.submit(run.payloads(run.random.randint(1, 40), prefix))
            time.sleep(run.random.uniform(0, 0.15))
            if round_ in (9, 19):  # The cancel meets a master that has just come back.
                cluster.kill("master")
                cluster.start_master()
                cluster.wait_for_master()
            try:
                answered = client.cancel(job)
                run.expect(answered.state in (api.pb.job.Job.CANCELLING, api.pb.job.Job.CANCELLED), f"state {answered.state}")
            except api.grpc.RpcError as error:
                job.cancelled = False
                run.equal(error.code(), api.grpc.StatusCode.FAILED_PRECONDITION, "answer to a cancel that came too late")
                continue
            if run.random.random() < 0.2:
                cluster.kill_proper(f"worker-{run.random.randint(1, 2)}")
            ended = client.wait(job.job_id, 60)
            run.equal(ended and ended.state, api.pb.job.Job.CANCELLED, "state after an accepted cancel")
        cluster.check(client, executions=6, may_fail=True)


@row("F38", "SIGTERM drain under load, of worker and master, during a partition, twice")
def drain_is_bounded_and_free(run: Run):
    with run.cluster(workers=2, slots=4, worker_flags=["--drain-timeout", "2"]) as cluster:
        client = cluster.client()
        with Load(client, run, prefix=b"sleep=0.02 ", max_attempts=1) as load:
            until(lambda: load.acknowledged() > 5, "load")
            drained = drain(run, cluster, "worker-2", 1, 2 + 5)
            run.equal(drained, 0, "exit code of a drained worker")
            cluster.start_worker("worker-3")
            cluster.wait_for_workers(2)
            run.equal(drain(run, cluster, "worker-3", 2, 5), 0, "exit code after two signals")
            cluster.start_worker("worker-4")
            began = time.monotonic()
            cluster.processes["master"].terminate()
            run.equal(cluster.processes["master"].wait(20), 0, "exit code of the master")
            run.expect(time.monotonic() - began < 12, f"the master ends within its bound: {time.monotonic() - began:.1f} s")
            cluster.processes["worker-1"].terminate()  # While there is no master: it may not wait for ever.
            try:
                cluster.processes["worker-1"].wait(2 + 5 + 3)
            except Exception:
                run.expect(False, "a worker that drains without a master ends within grace + 5 s")
                cluster.kill_worker("worker-1")
            cluster.start_master()
            cluster.wait_for_master()
            cluster.wait_for_workers(1)
        # max_attempts=1: a drain that cost an attempt would show as a failed task.
        cluster.check(client, executions=3)


def drain(run, cluster, name, signals, within):
    began = time.monotonic()
    for _ in range(signals):
        cluster.processes[name].terminate()
        time.sleep(0.05)
    code = cluster.processes[name].wait(60)
    took = time.monotonic() - began
    run.expect(took < within, f"{name} ends within {within} s: {took:.1f} s")
    return code
