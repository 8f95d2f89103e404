"""Reeve beside other systems: the same small tasks, two worker processes each, on this machine, in one run. See README.md.

A round measures everything once, Reeve and gearmand in turn, so that a machine that drifts is unfair to nobody; figures are medians of
the rounds with their range. Every result is checked for count and content; a row that lacks one says FAILED, and the exit code is 1.
What is started is bounded in time and stopped at the end, also by Ctrl-C.
"""

import argparse
import collections
import contextlib
import ctypes
import dataclasses
import functools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = pathlib.Path(os.environ.get("REEVE_PROGRAMS") or
                        pathlib.Path(os.environ.get("TEST_SRCDIR", ".")) / os.environ.get("TEST_WORKSPACE", ""))
PYTHON = ["/usr/bin/python3", "-B"]
WORKERS = 2
FIRST_PORT, LAST_PORT = 29_000, 29_900  # Reeve's own clusters choose below 28,000.
WITHIN = 120.0  # Seconds for one measurement.
STOP_WITHIN = 10.0

# Debian packages of each system; those without one are there wherever the tests are.
PACKAGES = {
    "reeve": [],
    "gearman": ["gearman-job-server", "libgearman-dev", "g++"],
    "celery": ["python3-celery", "python3-redis", "redis-server"],
    "dask": ["python3-distributed"],
    "executor": [],
    "pool": [],
    "parallel": ["parallel"],
    "xargs": [],
}


class Failed(Exception):
    """A measurement is worth nothing; says why."""


class Interrupted(Exception):
    """A signal asks for the end."""

    def __init__(self, number):
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


# ---- Processes ----


def interrupt(number, _):
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # The first one stops everything, within bounds.
    raise Interrupted(number)


def stop(process):
    """Asks the process to end, and kills what is left of its session."""
    if process.poll() is not None:
        return
    process.terminate()
    end = time.monotonic() + STOP_WITHIN
    # Not reaped before the group is killed, so that its number is nobody else's.
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None and time.monotonic() < end:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def adopt_orphans():
    """What our children leave behind becomes our child, not init's."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as pids:
        return [int(pid) for pid in pids.read().split()]


def await_orphans():
    """Waits for those that end by themselves (members of a cluster whose `reeve bench` was ended), and kills the rest."""
    end = time.monotonic() + STOP_WITHIN
    while children():
        for pid in children():
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)


def until(condition, what, within=30.0):
    """Waits until `condition` returns something true."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not within {within:g} s: {what}")
        time.sleep(0.02)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port():
    ports = list(range(FIRST_PORT, LAST_PORT))
    random.shuffle(ports)
    for port in ports:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise Failed(f"no free port between {FIRST_PORT} and {LAST_PORT}")


class Bench:
    """What the measurements of a run share: a folder, an environment, and how large they are."""

    def __init__(self, folder, scale):
        self.folder, self.scale = pathlib.Path(folder), scale
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(folder), "LANG": "C.UTF-8",
                    "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name].replace("suppressions=bazel/", f"suppressions={PROGRAMS}/bazel/")

    def count(self, tasks):
        return max(20, round(tasks * self.scale))

    def last_words(self, name):
        return " | ".join((self.folder / f"{name}.log").read_text(errors="replace").split("\n")[-4:]).strip(" |")

    @contextlib.contextmanager
    def process(self, name, argv, env=(), **kwargs):
        """Runs it for as long as the block, in a session of its own: Ctrl-C is for us alone."""
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(a) for a in argv], stderr=log, env={**self.env, **dict(env)}, cwd=self.folder,
                                       start_new_session=True, **{"stdin": subprocess.DEVNULL, "stdout": log, **kwargs})
        try:
            yield process
        finally:
            stop(process)

    @contextlib.contextmanager
    def server(self, name, argv, port, env=()):
        """A process that is ready once its port answers."""
        with self.process(name, argv, env) as process:
            until(lambda: process.poll() is not None or answers(port), f"{name} answers")
            if process.poll() is not None:
                raise Failed(f"{name} ended: {self.last_words(name)}")
            yield process

    def run(self, name, argv, text=None):
        """Runs a command to its end. Returns: its output."""
        with self.process(name, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                output, _ = process.communicate(text, timeout=WITHIN)
            except subprocess.TimeoutExpired:
                raise Failed(f"{name}: not within {WITHIN:g} s") from None
        if process.returncode != 0:
            raise Failed(f"{name}: exit code {process.returncode}: {self.last_words(name)}")
        return output

    def run_client(self, name, argv):
        """Runs a client that prints a JSON document a line. Returns: those."""
        return [json.loads(line) for line in self.run(name, argv).splitlines()]

    @functools.cache
    def compiled(self, name):
        program = self.folder / name
        self.run("g++", ["g++", "-std=c++17", "-O2", HERE / f"{name}.cc", "-o", program, "-lgearman", "-pthread"])
        return program


# ---- Measurements ----


@dataclasses.dataclass
class Row:
    """A line of the table. A sample is {"tasks", "verified", "seconds"}, with {"p50_us", "p99_us"} for single calls."""
    system: str
    what: str
    durable: bool = False
    samples: list = dataclasses.field(default_factory=list)
    failure: str = ""

    def rates(self):
        return [s["tasks"] / s["seconds"] for s in self.samples]

    def median(self, key):
        return statistics.median(s[key] for s in self.samples) if self.samples and key in self.samples[0] else None


@dataclasses.dataclass
class Measure:
    """Function of a Bench: returns one sample for each of its rows."""
    peer: str
    rows: list
    function: object

    def run(self, bench):
        try:
            samples = self.function(bench)
            for row, sample in zip(self.rows, samples, strict=True):
                if sample["verified"] != sample["tasks"]:
                    row.failure = f"{sample['verified']} of {sample['tasks']} results are right"
                row.samples.append(sample)
        except (Failed, OSError, ValueError, KeyError) as error:
            reason = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
            for row in self.rows:
                row.failure = row.failure or reason


MEASURES = []  # In the order of a round.


def measure(peer, *rows):
    def register(function):
        MEASURES.append(Measure(peer, list(rows), function))
        return function
    return register


def reeve(bench, benchmark, tasks, *flags):
    """A run of `reeve bench` with a cluster of its own."""
    output = bench.run("reeve", [PROGRAMS / "client/reeve", "bench", benchmark, "--local", WORKERS, "--tasks", tasks, "--json", *flags])
    report = json.loads(output)
    sample = {"tasks": report["tasks"], "verified": report["results_verified"], "seconds": report["runs"][0]["seconds"]}
    if benchmark == "latency":
        sample.update(p50_us=report["p50_us"], p99_us=report["p99_us"])
    return sample


@contextlib.contextmanager
def gearmand(bench, *flags):
    """The job server and its workers. Yields: its port."""
    port, worker = free_port(), bench.compiled("gearman_worker")
    argv = ["gearmand", "--listen", "127.0.0.1", "--port", port, "--log-file", "stderr", *flags]
    with contextlib.ExitStack() as running:
        running.enter_context(bench.server("gearmand", argv, port))
        for i in range(WORKERS):
            running.enter_context(bench.process(f"gearman_worker-{i}", [worker, port]))
        until(lambda: gearman_workers(port) == WORKERS, "gearman's workers are there")
        yield port


def gearman_workers(port):
    """How many can work on `echo`, as the job server's text protocol says."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"status\n")
        lines = connection.makefile()
        for line in iter(lines.readline, ".\n"):
            name, _, _, workers = line.split("\t")
            if name == "echo":
                return int(workers)
    return 0


# gearmand at its best on two cores: one thread for input and output instead of its default of four, and two connections of the client.
# None, one, two or four threads, one to four connections, 20 to 500 tasks in flight and four workers were no faster beyond the noise.
GEARMAN_BEST = ["--threads", 1]


def gearman_tasks(bench, flags, clients):
    with gearmand(bench, *flags) as port:
        argv = [bench.compiled("gearman_client"), port, "throughput", bench.count(200_000), clients, 100]
        return bench.run_client("gearman_client", argv)


def gearman_calls(bench, flags):
    with gearmand(bench, *flags) as port:
        return bench.run_client("gearman_client", [bench.compiled("gearman_client"), port, "latency", bench.count(5_000)])


REEVE_TASKS = Row("Reeve", "tasks, 1,000 a message", durable=True)
GEARMAN_TASKS = Row("gearmand, tuned", "tasks, 100 in flight a connection")
REEVE_CALLS_EPHEMERAL = Row("Reeve, ephemeral", "single calls")
GEARMAN_CALLS = Row("gearmand, tuned", "single calls")
REEVE_CALLS = Row("Reeve", "single calls", durable=True)
GEARMAN_DEFAULT_TASKS = Row("gearmand", "tasks, 100 in flight")
GEARMAN_DEFAULT_CALLS = Row("gearmand", "single calls")

measure("reeve", REEVE_TASKS)(lambda bench: [reeve(bench, "throughput", bench.count(1_000_000))])
measure("gearman", GEARMAN_TASKS)(lambda bench: gearman_tasks(bench, GEARMAN_BEST, clients=2))
measure("reeve", Row("Reeve, ephemeral", "tasks, 1,000 a message"))(
    lambda bench: [reeve(bench, "throughput", bench.count(1_000_000), "--durability", "ephemeral")])
measure("gearman", GEARMAN_DEFAULT_TASKS)(lambda bench: gearman_tasks(bench, [], clients=1))
measure("reeve", REEVE_CALLS_EPHEMERAL)(lambda bench: [reeve(bench, "latency", bench.count(5_000), "--durability", "ephemeral")])
measure("gearman", GEARMAN_CALLS)(lambda bench: gearman_calls(bench, GEARMAN_BEST))
measure("reeve", REEVE_CALLS)(lambda bench: [reeve(bench, "latency", bench.count(5_000))])
measure("gearman", GEARMAN_DEFAULT_CALLS)(lambda bench: gearman_calls(bench, []))
measure("reeve", Row("Reeve", "commands (/bin/true)", durable=True))(lambda bench: [reeve(bench, "spawn", bench.count(2_000))])


def commands(bench, name, argv, count):
    """Runs `/bin/echo NUMBER` for each line; what comes out is what went in, in any order."""
    lines = ["%016d" % i for i in range(count)]
    began = time.monotonic()
    output = bench.run(name, argv, "\n".join(lines) + "\n").splitlines()
    seconds = time.monotonic() - began
    times = collections.Counter(output)
    once = sum(times.pop(line, 0) == 1 for line in lines)
    return [{"tasks": count, "verified": once - times.total(), "seconds": seconds}]  # Less what nobody asked for.


@measure("xargs", Row("xargs -P2", "commands (/bin/echo)"))
def xargs(bench):
    return commands(bench, "xargs", ["xargs", f"-P{WORKERS}", "-n1", "/bin/echo"], bench.count(2_000))


@measure("parallel", Row("GNU parallel -j2", "commands (/bin/echo)"))
def parallel(bench):
    return commands(bench, "parallel", ["parallel", "--will-cite", f"-j{WORKERS}", "/bin/echo"], bench.count(1_000))


def python_client(bench, peer, tasks=0, calls=0, chunk=1, port=None):
    argv = [*PYTHON, HERE / "python_peers.py", peer, "--tasks", tasks, "--calls", calls, "--chunk", chunk]
    return bench.run_client(f"{peer}_client", [*argv, *(["--port", port] if port else [])])


def python_pool(bench, peer, tasks):
    return python_client(bench, peer, bench.count(tasks), bench.count(5_000))


def python_pool_chunked(bench, peer, tasks):
    """As many tasks a message as Reeve's client sends, but at least two messages for each worker."""
    count = bench.count(tasks)
    return python_client(bench, peer, count, chunk=min(1_000, count // (2 * WORKERS)))


EXECUTOR, POOL = "ProcessPoolExecutor", "multiprocessing.Pool"
measure("executor", Row(EXECUTOR, "tasks, chunksize 1"), Row(EXECUTOR, "single calls"))(lambda b: python_pool(b, "executor", 20_000))
measure("executor", Row(EXECUTOR, "tasks, chunksize to 1,000"))(lambda b: python_pool_chunked(b, "executor", 1_000_000))
measure("pool", Row(POOL, "tasks, imap, chunksize 1"), Row(POOL, "single calls"))(lambda b: python_pool(b, "pool", 100_000))
measure("pool", Row(POOL, "tasks, imap, chunksize to 1,000"))(lambda b: python_pool_chunked(b, "pool", 1_000_000))


@measure("celery", Row("Celery, Redis", "tasks, one group"), Row("Celery, Redis", "single calls"))
def celery(bench):
    port = free_port()
    redis = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", bench.folder]
    worker = [*PYTHON, "-m", "celery", "-A", "python_peers", "worker", "--concurrency", WORKERS, "--loglevel", "WARNING",
              "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with bench.server("redis", redis, port), bench.process("celery", worker, {"REEVE_PEERS_PORT": str(port)}):
        return python_client(bench, "celery", bench.count(3_000), bench.count(500), port=port)


@measure("dask", Row("Dask distributed", "tasks, one map"), Row("Dask distributed", "single calls"))
def dask(bench):
    port = free_port()
    scheduler = [*PYTHON, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
    worker = [*PYTHON, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--host", "127.0.0.1", "--nthreads", 1,
              "--no-nanny", "--no-dashboard", "--local-directory"]
    with contextlib.ExitStack() as running:
        running.enter_context(bench.server("dask", scheduler, port))
        for i in range(WORKERS):
            running.enter_context(bench.process(f"dask_worker-{i}", [*worker, bench.folder / f"dask-{i}"]))
        return python_client(bench, "dask", bench.count(3_000), bench.count(500), port=port)


# ---- Packages ----


def version_of(package):
    """Of an installed Debian package; empty if it is not."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package], capture_output=True, text=True)
    status, _, version = asked.stdout.partition(" ")
    return version if status == "installed" else ""


def missing(peer):
    return [package for package in PACKAGES[peer] if not version_of(package)]


def run_apt(argv):
    # Unlike subprocess.run, this leaves it to apt how it ends after Ctrl-C.
    with subprocess.Popen(argv, stdout=sys.stderr, stdin=subprocess.DEVNULL) as process:
        process.wait()


def install(peers):
    """What the peers lack. A peer whose packages cannot be had is skipped later, with the reason."""
    wanted = [(peer, missing(peer)) for peer in peers if missing(peer)]
    if not wanted:
        return
    as_root = ["env"] if os.geteuid() == 0 else ["sudo", "env"]
    apt = [*as_root, "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    run_apt([*apt, "update"])
    for peer, packages in wanted:
        print(f"peers: installing for {peer}: {' '.join(packages)}", file=sys.stderr, flush=True)
        run_apt([*apt, "install", "-y", "--no-install-recommends", *packages])


def reasons_to_skip(peers):
    """By peer."""
    reasons = {peer: f"not installed: {' '.join(missing(peer))} (see --install)" for peer in peers if missing(peer)}
    if "reeve" in peers and not (PROGRAMS / "client/reeve").exists():
        reasons["reeve"] = f"no programs in {PROGRAMS} (see peers.sh)"
    return reasons


# ---- The report ----


def ratio(name, ours, theirs, value, bar=None, at_least=False):
    """Of two rows, round by round."""
    if not ours.samples or not theirs.samples or ours.failure or theirs.failure:
        return None
    values = [value(a) / value(b) for a, b in zip(ours.samples, theirs.samples)]
    median = statistics.median(values)
    met = None if bar is None else (median >= bar if at_least else median <= bar)
    return {"name": name, "value": median, "min": min(values), "max": max(values), "bar": bar, "met": met}


def ratios():
    def rate(sample):
        return sample["tasks"] / sample["seconds"]

    def p50(sample):
        return sample["p50_us"]

    found = [
        ratio("tasks/s, Reeve durable : gearmand tuned, at least", REEVE_TASKS, GEARMAN_TASKS, rate, 20, at_least=True),
        ratio("p50, Reeve ephemeral : gearmand tuned, at most", REEVE_CALLS_EPHEMERAL, GEARMAN_CALLS, p50, 2),
        ratio("p50, Reeve durable : gearmand tuned", REEVE_CALLS, GEARMAN_CALLS, p50),
        ratio("tasks/s, Reeve durable : gearmand as installed, at least", REEVE_TASKS, GEARMAN_DEFAULT_TASKS, rate, 20,
              at_least=True),
        ratio("p50, Reeve ephemeral : gearmand as installed, at most", REEVE_CALLS_EPHEMERAL, GEARMAN_DEFAULT_CALLS, p50, 2),
        ratio("p50, Reeve durable : gearmand as installed", REEVE_CALLS, GEARMAN_DEFAULT_CALLS, p50),
    ]
    return [each for each in found if each]


def describe(row):
    """For the JSON document."""
    rates = row.rates()
    return {
        "system": row.system, "what": row.what, "durable": row.durable, "failure": row.failure or None,
        "runs": [{**sample, "tasks_per_second": rate} for sample, rate in zip(row.samples, rates)],
        "median_tasks_per_second": statistics.median(rates) if rates else None,
        "min_tasks_per_second": min(rates, default=None), "max_tasks_per_second": max(rates, default=None),
        "p50_us": row.median("p50_us"), "p99_us": row.median("p99_us"),
    }


def cells(row):
    """For the table."""
    def whole(number):
        return "-" if number is None else f"{number:,.0f}"

    rates = row.rates()
    if row.failure or not rates:
        return [row.system, row.what, "-", "FAILED", "-", "-", "-", "-"]  # The reason is below the table.
    return [row.system, row.what, whole(row.samples[0]["tasks"]), whole(statistics.median(rates)),
            f"{whole(min(rates))} to {whole(max(rates))}", whole(row.median("p50_us")), whole(row.median("p99_us")),
            "yes" if row.durable else "no"]


def print_table(rows, skipped, found):
    table = [["system", "what", "tasks", "tasks/s", "range", "p50 us", "p99 us", "durable"], *map(cells, rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        print("  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))))
    for row in filter(lambda row: row.failure, rows):
        print(f"FAILED   {row.system}, {row.what}: {row.failure}")
    for peer, reason in skipped.items():
        print(f"skipped  {peer}: {reason}")
    for each in found:
        verdict = "" if each["bar"] is None else f" {each['bar']}: {'met' if each['met'] else 'NOT MET'}"
        print(f"ratio    {each['value']:6.2f}  ({each['min']:.2f} to {each['max']:.2f})  {each['name']}{verdict}")


def store_file_system(folder):
    """Where `reeve bench` keeps its store: on tmpfs durable means nothing."""
    return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()


def report(arguments, rows, skipped):
    found, store = ratios(), store_file_system("/tmp")
    if arguments.json:
        versions = {p: version_of(p) for peer in arguments.only for p in PACKAGES[peer] if version_of(p)}
        print(json.dumps({"benchmark": "peers", "runs": arguments.runs, "tasks_scale": arguments.tasks_scale, "workers": WORKERS,
                          "cores": os.cpu_count(), "store_file_system": store, "versions": versions, "rows": list(map(describe, rows)),
                          "skipped": [{"peer": p, "reason": r} for p, r in skipped.items()], "ratios": found}))
    else:
        print_table(rows, skipped, found)
    if store in ("tmpfs", "ramfs"):
        print(f"peers: /tmp is {store}: a sync costs nothing there, so no durable figure is worth anything", file=sys.stderr)


def parse(argv):
    parser = argparse.ArgumentParser(prog="tests/bench/peers.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(PACKAGES), help=f"of {', '.join(PACKAGES)}")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="rounds (default 3)")
    parser.add_argument("--tasks-scale", type=float, default=1.0, metavar="F", help="factor for all counts, for a quick check")
    parser.add_argument("--install", action="store_true", help="apt-get install what is missing first")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    arguments = parser.parse_args(argv)
    arguments.only = [name for names in arguments.only for name in names.split(",")]
    unknown = [name for name in arguments.only if name not in PACKAGES]
    if unknown:
        parser.error(f"--only: {', '.join(unknown)}: not one of {', '.join(PACKAGES)}")
    if arguments.runs < 1 or not arguments.tasks_scale > 0:
        parser.error("--runs and --tasks-scale are above 0")
    return arguments


def run_rounds(arguments, measures):
    adopt_orphans()
    folder = tempfile.mkdtemp(prefix="reeve-peers-")
    try:
        bench = Bench(folder, arguments.tasks_scale)
        for i in range(arguments.runs):
            for each in measures:
                print(f"peers: round {i + 1}: {each.rows[0].system}, {each.rows[0].what}", file=sys.stderr, flush=True)
                each.run(bench)
    finally:
        await_orphans()
        shutil.rmtree(folder, ignore_errors=True)


def main(argv=None):
    arguments = parse(argv)
    if arguments.install:
        install(arguments.only)
    skipped = reasons_to_skip(arguments.only)
    measures = [m for m in MEASURES if m.peer in arguments.only and m.peer not in skipped]
    rows = [row for each in measures for row in each.rows]
    run_rounds(arguments, measures)
    report(arguments, rows, skipped)
    return 0 if rows and not any(row.failure for row in rows) else 1


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        sys.exit(main())
    except Interrupted as interrupted:
        print(f"peers: {interrupted}", file=sys.stderr)
        sys.exit(128 + interrupted.number)
