"""Rows in which the master dies, hangs or starts again: F1 to F4, F9, F32, F35."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import api
from harness import Load, Run, base, row, until

# Points at which the master dies in F1, and how often each is passed before.
DEATHS = ["store.commit.before", "store.commit.inside", "store.commit.after", "loop.replied", "loop.assigned", "loop.acknowledged"]


@row("F1", "kill -9 master: before commit, in it, after commit before ack, after ack, in checkpoint, in recovery")
def kill_master_at_each_point(run: Run):
    for point in DEATHS:
        die_and_go_on(run, {"REEVE_FAILPOINTS": f"{point}=kill:{run.random.randint(3, 40)}"})
    for point in ("store.checkpoint.before", "store.checkpoint.after"):
        die_in_checkpoint(run, point)
    for point in ("store.load.epoch", "store.load.jobs", "master.recovered"):
        die_in_recovery(run, point)


def die_and_go_on(run, env):
    with run.cluster(start=False, workers=2, master_env=env) as cluster:
        cluster.start_unattended()
        client = cluster.client()
        with Load(client, run) as load:
            until(lambda: cluster.processes["master"].poll() is not None, f"the master's death at {env}")
            run.equal(cluster.processes["master"].returncode, -9, "exit code")
            began = time.monotonic()
            cluster.start_master(env={})
            cluster.wait_for_master()
            took = time.monotonic() - began
            run.expect(took < 10, f"ready within target P11's bar of 10 s: {took:.1f} s")
            run.figure(f"ready {took:.2f} s after its start")
            before = load.acknowledged()
            until(lambda: load.acknowledged() > before + 5, "acknowledgements after the restart")
        cluster.check(client, executions=1)


def die_in_checkpoint(run, point):
    """Checkpoints are made when nothing waits; in the middle of one, pages are on their way into the database."""
    with run.cluster(start=False, workers=2, master_env={"REEVE_FAILPOINTS": f"{point}=kill:2"}) as cluster:
        cluster.start_unattended()
        client = cluster.client()
        end = time.monotonic() + 30
        while cluster.processes["master"].poll() is None and time.monotonic() < end:
            with contextlib.suppress(api.grpc.RpcError):  # It dies while it is asked.
                client.submit(run.payloads(20), within=1)
                until(lambda: cluster.processes["master"].poll() is not None or time.monotonic() > end or not client_busy(client), "", 40)
                time.sleep(1.2)  # Longer than the store thread waits before it looks for idle work.
        run.equal(cluster.processes["master"].poll(), -9, f"exit code at {point}")
        cluster.start_master(env={})
        cluster.wait_for_master()
        client.submit(run.payloads(20))
        cluster.check(client, executions=1)


def client_busy(client):
    return client.once(client.clusters.GetCluster, api.pb.services.GetClusterRequest()).unfinished_task_count > 0


def die_in_recovery(run, point):
    with run.cluster(workers=2) as cluster:
        client = cluster.client()
        with Load(client, run):
            until(lambda: len(client.submissions) > 20, "some load")
            cluster.kill("master")
            epochs = []
            for _ in range(2):
                cluster.start_master(env={"REEVE_FAILPOINTS": f"{point}=kill"})
                run.equal(cluster.processes["master"].wait(30), -9, f"exit code at {point}")
            cluster.start_master(env={})
            epochs.append(cluster.wait_for_master().epoch)
        run.expect(epochs[0] >= 4, f"the epoch rises with each start that got so far: {epochs}")
        cluster.check(client, executions=1)


@row("F2", "kill -9 master with 100 running tasks, back in 10 s")
def running_tasks_outlive_the_master(run: Run):
    with run.cluster(workers=2, slots=50) as cluster:
        client = cluster.client()
        away = run.seconds(10)
        job = client.submit(run.payloads(100, b"sleep=%.2f " % (away * 1.5 + 1)))
        until(lambda: len(base_journal(cluster).started) == 100, "100 executions")
        early = client.submit(run.payloads(50))  # Waits for slots: made meanwhile or after.
        cluster.kill("master")
        time.sleep(away)
        cluster.start_master()
        cluster.wait_for_master()
        journal = cluster.check(client, executions=1)
        run.equal(sum(journal.executions(job.job_id).values()), 100, "executions")
        run.expect(early.job_id > 0, "the second job was acknowledged")
        ended_away = client.cluster()
        run.equal(ended_away.epoch, 2, "epoch")


def base_journal(cluster):
    import oracle
    return oracle.Journal(cluster.journal)


@row("F3", "worker comes back after the re-attach window has closed")
def worker_returns_after_the_window(run: Run):
    with run.cluster(workers=2, slots=4) as cluster:
        client = cluster.client()
        window = run.seconds(30)
        job = client.submit(run.payloads(8, b"sleep=%.2f " % (window + run.seconds(15) + 2)))
        until(lambda: len(base_journal(cluster).started) == 8, "8 executions")
        late = f"worker-{run.random.randint(1, 2)}"
        cluster.kill("master")
        pid = cluster.proper(late)
        os.kill(pid, signal.SIGSTOP)
        cluster.start_master()
        cluster.wait_for_master()
        time.sleep(window + run.seconds(5))
        os.kill(pid, signal.SIGCONT)
        journal = cluster.check(client, executions=2, within=90, living_rerun=True)
        late_runs = {i for i in range(8) if journal.started[job.job_id, i][0][1] == pid}
        again = {i for i, n in journal.executions(job.job_id).items() if n > 1}
        run.equal(len(late_runs), 4, "runs of the late worker")
        run.expect(again <= late_runs, f"only the late worker's runs {late_runs} may run again: {again}")


@row("F4", "SIGSTOP master 60 s, then CONT")
def stopped_master_goes_on(run: Run):
    with run.cluster(workers=2, slots=4) as cluster:
        client = cluster.client()
        client.submit(run.payloads(8, b"sleep=%.2f " % (run.seconds(60) + 1)))
        client.submit(run.payloads(40, b"sleep=0.05 "))
        until(lambda: len(base_journal(cluster).started) >= 8, "executions")
        os.kill(cluster.processes["master"].pid, signal.SIGSTOP)
        time.sleep(run.seconds(60))
        os.kill(cluster.processes["master"].pid, signal.SIGCONT)
        cluster.check(client, executions=1)
        run.equal(cluster.client().cluster().worker_count, 2, "workers")


@row("F9", "kill -9 everything at once, fifty rounds under load")
def everything_dies_again_and_again(run: Run, rounds=50):
    with run.cluster(workers=2, slots=4) as cluster:
        client = cluster.client()
        deaths = 0
        with Load(client, run, tasks=10, threads=3, batches=5000, pause=0.02) as load:
            for _ in range(rounds):
                before = load.acknowledged()
                time.sleep(run.random.uniform(0.02, 0.25))
                cluster.kill_everything()
                deaths += 1
                cluster.start_master()
                for i in (1, 2):
                    cluster.start_worker(f"worker-{i}")
                cluster.wait_for_master()
                if run.random.random() < 0.7:  # Otherwise it dies again before anybody is served.
                    until(lambda: load.acknowledged() > before or not any(t.is_alive() for t in load.threads), "an acknowledgement")
        # Everything dies each time, so a task may begin in each round; (e) still wants every process but the last dead.
        cluster.check(client, executions=rounds, within=120)
        cluster.check_store()
        run.figure(f"{deaths} rounds, {load.acknowledged()} submissions acknowledged, "
                   f"{sum(len(s.payloads) for s in client.submissions if s.job_id)} tasks")


@row("F32", "port conflict: second master on the same port, on the same state folder")
def second_master_is_refused(run: Run):
    with run.cluster(workers=1) as cluster:
        client = cluster.client()

        def second(port, folder):
            began = time.monotonic()
            done = subprocess.run([base.MASTER, "--port", str(port), "--state-dir", folder, "--init"], env=cluster.env,
                                  capture_output=True, text=True, timeout=60)
            return done, time.monotonic() - began
        best = 60
        for port, folder, word in [(cluster.port + 100, cluster.state, "in use by process"),
                                   (cluster.port, cluster.folder / "other", "cannot listen"),
                                   (cluster.port - 1, cluster.folder / "more", "cannot listen"),
                                   (cluster.port + 1, cluster.folder / "third", "cannot listen")]:
            done, took = second(port, folder)
            run.equal(done.returncode, 78, f"exit code of a master on port +{port - cluster.port}")
            run.expect(word in done.stderr, f"the reason is told: {done.stderr!r}")
            best = min(best, took)
            run.expect(took < 10, f"refused within 10 s even on a busy machine: {took:.2f}")
        run.expect(best < 1, f"the fastest refusal of four took less than 1 s: {best:.2f}")
        client.submit(run.payloads(20))
        cluster.check(client, executions=1)


@row("F35", "duplicate submit x100 at once, across a master's death, and with another payload")
def one_request_is_one_job(run: Run):
    env = {"REEVE_FAILPOINTS": f"store.commit.{run.random.choice(['before', 'after'])}=kill:{run.random.randint(4, 8)}"}
    with run.cluster(start=False, workers=1, master_env=env) as cluster:
        cluster.start_unattended()
        client = cluster.client()
        submission = api.Submission(client.new_id(), run.payloads(10))
        request, jobs = client.create_request(submission), []

        def submit():
            jobs.append(client.until_answered("jobs.CreateJob", request, 60).job_id)
        threads = [threading.Thread(target=submit) for _ in range(100)]
        for i, thread in enumerate(threads):
            thread.start()
            if i % 10 == 0 and cluster.processes["master"].poll() is None:
                client.until_answered("clusters.GetCluster", api.pb.services.GetClusterRequest()) if i < 2 else None
        other = [api.Submission(client.new_id(), run.payloads(1)) for _ in range(5)]

        def submit_others():
            for one in other:
                one.job_id = client.until_answered("jobs.CreateJob", client.create_request(one)).job_id
        helper = threading.Thread(target=submit_others)
        helper.start()
        until(lambda: cluster.processes["master"].poll() is not None, "the master's death")
        cluster.start_master(env={})
        cluster.wait_for_master()
        for thread in [*threads, helper]:
            thread.join(90)
        run.equal(len(jobs), 100, "answers")
        run.equal(len(set(jobs)), 1, "jobs of one request id")
        try:
            changed = api.Submission(submission.request_id, run.payloads(10))
            client.once(client.jobs.CreateJob, client.create_request(changed))
            run.expect(False, "the same id with another payload was accepted")
        except api.grpc.RpcError as error:
            run.equal(error.code(), api.grpc.StatusCode.ALREADY_EXISTS, "answer to another payload")
        submission.job_id = jobs[0]
        client.submissions.append(submission)
        client.submissions += other
        cluster.check(client, executions=1)
