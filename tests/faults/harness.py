"""What a row stands on: its seed, a cluster that can be hurt, and the table at the end."""

import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import api  # noqa: E402
import cluster as base  # noqa: E402
import oracle  # noqa: E402

RELAY = base.RUNFILES / "relay/reeve-collector"
JOURNAL_WORKER = base.RUNFILES / "tests/faults/journal_worker"
ROWS = {}


def row(name, what):
    """Registers the decorated function as a row of the fault matrix."""
    def register(function):
        ROWS[name] = (what, function)
        return function
    return register


class Skip(Exception):
    """The row cannot run here; says why."""


class FaultCluster(base.Cluster):
    """Master and journal workers; names are `master`, `worker-1`, …"""

    def __init__(self, run, workers=2, slots=4, env=(), master_env=(), worker_env=(), start=True, master_flags=(), program=None,
                 worker_flags=(), master_prefix=(), drain=None):
        self.run = run
        self.master_env, self.worker_env = dict(master_env), dict(worker_env)
        self.worker_flags, self.master_prefix = list(worker_flags), list(master_prefix)
        self.program = program or JOURNAL_WORKER
        self.ignores_ceilings = False
        self.worker_address = None  # Where workers look for the master, if not at its own address.
        self.token = None
        self.clients = []
        self.names = {}  # Of workers, by process id.
        super().__init__(workers, slots, master_flags, start=False,
                         env={"REEVE_TIME_SCALE": str(run.scale), **dict(env)})
        self.env["REEVE_JOURNAL"] = str(self.journal)
        if start:
            self.start()

    @property
    def journal(self):
        return self.folder / "journal"

    # ---- Processes ----

    def spawn(self, name, argv, env=(), prefix=()):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen([str(a) for a in [*prefix, *argv]], env={**self.env, **dict(env)},
                                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        return self.processes[name]

    def start_master(self, env=None, prefix=None, init=True):
        flags = ["--init"] if init else []
        return self.spawn("master", [base.MASTER, "--port", self.port, "--state-dir", self.state, *flags, *self.master_flags],
                          self.master_env if env is None else env, self.master_prefix if prefix is None else prefix)

    def start_worker(self, name, slots=None, env=None, prefix=(), flags=(), program=None):
        return self.spawn(name, [program or self.program, "--master", self.worker_address or self.address, "--slots",
                                 slots or self.slots, "--state-dir", self.folder / name, "--token-file", self.state / "token",
                                 *self.worker_flags, *flags], self.worker_env if env is None else env, prefix)

    def start_relay(self):
        """For workers with `--collector` and `self.relay`."""
        return self.spawn("relay", [RELAY, "--master", f"127.0.0.1:{self.port + 2}", "--port", self.port + 3])

    @property
    def relay(self):
        return f"tcp://127.0.0.1:{self.port + 3}"

    def start(self):
        self.start_unattended()
        self.wait_for_workers(self.workers)

    def start_unattended(self):
        """Without waiting for the workers: the master may die of their joining."""
        self.start_master()
        self.wait_for_master()
        for i in range(1, self.workers + 1):
            self.start_worker(f"worker-{i}")

    def wait_for_master(self, within=30):
        try:
            return until(self.ask_master, "the master serves", within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log('master')[-2000:]}") from None

    def ask_master(self):
        """What the master says of its cluster; None if it does not answer now."""
        if not (self.state / "token").exists():
            return None
        self.token = (self.state / "token").read_text().strip()
        probe = api.Client(self.address, self.token, random.Random(0))
        try:
            return probe.once(probe.clusters.GetCluster, api.pb.services.GetClusterRequest(), 1)
        except api.grpc.RpcError:
            return None
        finally:
            probe.close()

    def wait_for_workers(self, count, within=30):
        client = self.client()
        online = api.pb.worker.Worker.ONLINE
        until(lambda: sum(w.state == online for w in client.list_workers()) == count, f"{count} workers online", within)
        self.note_names(client.list_workers())

    def note_names(self, workers):
        for worker in workers:
            self.names.setdefault(worker.pid, set()).add(worker.worker)

    def living(self):
        """Process ids of the workers proper."""
        return {self.proper(name) for name, process in self.processes.items()
                if name not in ("master", "relay") and process.poll() is None}

    def restart_master(self, env=()):
        self.processes["master"].wait(30)
        self.start_master(env=dict(env))
        return self.wait_for_master()

    def client(self):
        client = api.Client(self.address, self.token, self.run.random)
        self.clients.append(client)
        return client

    def children(self, pid):
        try:
            return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]
        except OSError:
            return []

    def proper(self, name):
        """The worker proper below a supervisor; 0 while there is none."""
        parent = self.processes[name].pid
        for pid in self.children(parent):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{parent}/exe"):
                    return pid
        return 0

    # ---- Injuries ----

    def kill(self, name):
        """kill -9 of the process; of a worker its supervisor."""
        self.processes[name].kill()
        self.processes[name].wait(30)

    def kill_proper(self, name):
        """kill -9 of the worker proper alone: its supervisor starts another. Returns: its process id."""
        pid = until(lambda: self.proper(name), f"a worker proper of {name}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    def kill_worker(self, name):
        """kill -9 of supervisor and worker proper at once."""
        pid = self.proper(name)
        self.processes[name].kill()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.processes[name].wait(30)

    def kill_everything(self):
        names = list(self.processes)
        self.run.random.shuffle(names)
        pids = [self.proper(n) for n in names if n != "master"]
        for name in names:
            self.processes[name].kill()
        for pid in filter(None, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in names:
            self.processes[name].wait(30)

    def signal_worker(self, name, number):
        """To the worker proper."""
        os.kill(self.proper(name), number)

    # ---- The end ----

    def check(self, client, **bounds):
        return oracle.check(self, client, self.run.violations, **bounds)

    def check_store(self):
        """Ends the master and has SQLite look at every page and index of its store."""
        self.kill("master")
        store = sqlite3.connect(self.state / "reeve.db")
        self.run.equal([line for line, in store.execute("PRAGMA integrity_check")], ["ok"], "integrity of the store")
        store.close()

    def stop(self):
        for client in self.clients:
            client.close()
        for process in self.processes.values():
            for pid in [process.pid, *self.children(process.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    if process.poll() is None:
                        os.kill(pid, signal.SIGCONT)
        if self.run.keep:
            print(f"    kept: {self.folder}")
            base.shutil.rmtree = lambda *a, **k: None
        for name, process in self.processes.items():
            if name != "master" and process.poll() is None:
                pid = self.proper(name)
                process.terminate()
                process.terminate()
        for name, process in self.processes.items():
            if name != "master" and process.poll() is None:
                try:
                    process.wait(3)
                except subprocess.TimeoutExpired:
                    self.kill_worker(name)
        super().stop()


def until(condition, what, within=30):
    """Waits until `condition` returns something true, and returns it."""
    end = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(0.01)


@dataclasses.dataclass
class Run:
    """One run of one row."""
    name: str
    seed: int
    scale: float
    keep: bool = False
    violations: list = dataclasses.field(default_factory=list)
    figures: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.random = random.Random(f"{self.name}/{self.seed}")

    def cluster(self, **kwargs):
        return FaultCluster(self, **kwargs)

    def seconds(self, real):
        """A time of the design, as it is in this run."""
        return real * self.scale

    def expect(self, true, what):
        if not true:
            self.violations.append(what)

    def equal(self, found, wanted, what):
        self.expect(found == wanted, f"{what}: {found!r}, {wanted!r} was expected")

    def figure(self, text):
        """A measured number, for the report."""
        self.figures.append(text)

    def payloads(self, count, prefix=b"", low=0, high=200):
        return [prefix + b"%d." % i + self.random.randbytes(self.random.randint(low, high)) for i in range(count)]


class Load:
    """Clients that submit small jobs for as long as the block runs, each with one request id until it is answered."""

    def __init__(self, client, run, tasks=20, threads=2, prefix=b"", batches=200, low=0, high=200, pause=0.002, **fields):
        self.client, self.run, self.tasks, self.prefix, self.fields = client, run, tasks, prefix, fields
        self.stopping, self.pause = False, pause
        self.batches = [[run.payloads(run.random.randint(1, tasks), prefix, low, high) for _ in range(batches)] for _ in range(threads)]
        self.threads = [threading.Thread(target=self.work, args=(b,), daemon=True) for b in self.batches]

    def work(self, batches):
        for payloads in batches:
            if self.stopping:
                return
            with contextlib.suppress(api.grpc.RpcError):
                self.client.submit(payloads, **self.fields)
            time.sleep(self.pause)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join(90)

    def acknowledged(self):
        return sum(1 for s in list(self.client.submissions) if s.job_id)


def execute(name, seed, scale, keep):
    """Runs a row once. Returns the Run, and why it was skipped if it was."""
    run = Run(name, seed, scale, keep)
    try:
        ROWS[name][1](run)
    except Skip as reason:
        return run, str(reason)
    except Exception as error:  # A row that breaks is a violation, not the end of the table.
        run.violations.append(f"{type(error).__name__}: {error}")
        traceback.print_exc()
    return run, ""


def main(arguments, long_runs):
    names = arguments.row or sorted(ROWS, key=lambda name: (len(name) > 3, int(name[1:]) if name[1:].isdigit() else 0))
    results = []
    for name in names:
        seeds = [arguments.seed] if arguments.seed is not None else range(1, arguments.seeds + 1)
        runs, violations, skipped, began = 0, 0, "", time.monotonic()
        for seed in seeds:
            print(f"== {name} seed {seed}: {ROWS[name][0]}", flush=True)
            run, skipped = execute(name, seed, arguments.scale, arguments.keep)
            for figure in run.figures:
                print(f"    {figure}")
            if skipped:
                print(f"    skipped: {skipped}", flush=True)
                break
            runs += 1
            violations += len(run.violations)
            for violation in run.violations[:20]:
                print(f"    VIOLATION {violation}", flush=True)
            if run.violations:
                print(f"    again: tests/faults/run --row {name} --seed {seed} --scale {arguments.scale:g}", flush=True)
        results.append((name, runs, violations, skipped, time.monotonic() - began))
    print(f"\n{'row':8} {'runs':>5} {'violations':>10} {'seconds':>8}  skipped")
    for name, runs, violations, skipped, seconds in results:
        print(f"{name:8} {runs:5} {violations:10} {seconds:8.1f}  {skipped}")
    bad = sum(v for _, _, v, _, _ in results)
    print(f"{len(results)} rows, {sum(r for _, r, _, _, _ in results)} runs, {bad} violations, "
          f"{sum(bool(s) for *_, s, _ in results)} skipped")
    return 1 if bad else 0
