"""A cluster of real processes on loopback, and the command line against it.

Everything lives in a folder of its own, HOME too, and is stopped at the end. Nothing waits for time: conditions have a deadline.
"""

import collections
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

RUNFILES = pathlib.Path(os.environ.get("TEST_SRCDIR", ".")) / os.environ.get("TEST_WORKSPACE", "")
REEVE = RUNFILES / "client/reeve"
MASTER = RUNFILES / "master/reeve-master"
WORKER = RUNFILES / "worker/reeve-worker"
DEADLINE = 60.0


def wait_for(condition, what):
    """Waits until `condition` returns something true, and returns it."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE} s: {what}")


# Below the ports the kernel gives to outgoing connections, any of which could take a free one before its use, and beside
# those of `reeve --local`.
FIRST_PORT, LAST_PORT, PORT_BLOCK = 30_000, 32_700, 8
_port_blocks = collections.deque(maxlen=64)


def free_ports(count=4):
    """The first of `count` ports in a row, at most eight, that no other test uses.

    A block of ports is held by the name of a socket, which the kernel keeps apart by network namespace, as it does ports, until the
    process has taken 64 more.
    """
    assert count <= PORT_BLOCK
    blocks = list(range(FIRST_PORT, LAST_PORT, PORT_BLOCK))
    random.shuffle(blocks)
    for first in blocks:
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0reeve-test-ports-{first}")
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
            continue
        _port_blocks.append(holder)
        return first
    raise AssertionError(f"no {count} free ports in a row from {FIRST_PORT} to {LAST_PORT}")


def is_gone(pid):
    """The process has ended, or waits for a parent to notice."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Cluster:
    def __init__(self, workers=2, slots=4, master_flags=(), start=True, env=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="reeve-test-", dir=os.environ.get("TEST_TMPDIR")))
        self.port = free_ports()
        self.address = f"127.0.0.1:{self.port}"
        self.env = {"HOME": str(self.folder), "PATH": "/usr/local/bin:/usr/bin:/bin", "REEVE_MASTER": self.address,
                    "REEVE_TOKEN_FILE": str(self.state / "token"), "LANG": "C.UTF-8"}
        self.env.update(env)
        for name in ("TSAN_OPTIONS", "ASAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name].replace("suppressions=bazel/", f"suppressions={RUNFILES}/bazel/")
        self.workers, self.slots, self.master_flags = workers, slots, list(master_flags)
        self.processes = {}
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def state(self):
        return self.folder / "state"

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def spawn(self, name, argv):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen([str(a) for a in argv], env=self.env, stdin=subprocess.DEVNULL,
                                                    stdout=log, stderr=log, cwd=self.folder)
        return self.processes[name]

    def start_master(self):
        return self.spawn("master", [MASTER, "--port", self.port, "--state-dir", self.state, "--init", *self.master_flags])

    def start_worker(self, name, slots=None, program=WORKER, flags=()):
        return self.spawn(name, [program, "--master", self.address, "--slots", slots or self.slots, "--state-dir",
                                 self.folder / name, "--token-file", self.state / "token", *flags])

    def start(self):
        self.start_master()
        wait_for(lambda: (self.state / "token").exists() and self.reeve("cluster", "info").returncode == 0, "master")
        for i in range(1, self.workers + 1):
            self.start_worker(f"worker-{i}")
        self.wait_for_workers(self.workers)

    def wait_for_workers(self, count):
        wait_for(lambda: self.reeve("worker", "list").stdout.count("ONLINE") == count, f"{count} workers\n" + self.log("worker-1"))

    def stop(self):
        for name, process in sorted(self.processes.items(), reverse=True):
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        for name in self.processes:
            if "ThreadSanitizer" in self.log(name) or "AddressSanitizer" in self.log(name):
                sys.stderr.write(self.log(name))
                raise AssertionError(f"a sanitizer complained about {name}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *args):
        return [str(REEVE), *(arg if isinstance(arg, bytes) else str(arg) for arg in args)]

    def reeve(self, *args, stdin=None, timeout=300, text=True, cwd=None, env=None):
        """Runs `reeve ARGS` to its end."""
        return subprocess.run(self.command(*args), env={**self.env, **(env or {})}, input=stdin,
                              stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, text=text,
                              timeout=timeout, cwd=cwd or self.folder)

    def popen(self, *args, **kwargs):
        return subprocess.Popen(self.command(*args), env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
