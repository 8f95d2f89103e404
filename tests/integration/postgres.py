"""A PostgreSQL server of a test's own, on loopback and on a socket in its folder."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from cluster import free_ports, is_gone, wait_for

PROGRAMS = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
SETTINGS = ["fsync=off", "max_connections=60", "autovacuum=off", "log_min_messages=fatal", "max_prepared_transactions=4"]


def as_nobody(folder):
    """The prefix for programs that refuse to be run by root: in a user namespace, where there are some, or as another user."""
    if os.geteuid() != 0:
        return []
    unshare = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
        return unshare
    os.chown(folder, 65534, 65534)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Postgres:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # A socket's path must be short.
        self.prefix = as_nobody(self.folder)
        self.port = free_ports(1)
        subprocess.run([*self.prefix, PROGRAMS / "initdb", "-D", self.folder / "data", "-U", "reeve", "--auth=trust", "--no-sync",
                        "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd=self.folder)
        self.start()

    def start(self):
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*self.prefix, PROGRAMS / "postgres", "-D", self.folder / "data", "-k", self.folder,
                                             "-h", "127.0.0.1", "-p", str(self.port), *settings], stdout=log, stderr=log, cwd=self.folder)
        wait_for(lambda: self.psql("select 1", check=False) == "1", "PostgreSQL")

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)  # INT: fast shutdown, QUIT: as a crash.
        self.process.wait(30)

    def close(self):
        if not is_gone(self.process.pid):
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return f"postgresql://reeve@127.0.0.1:{self.port}/postgres"

    def psql(self, sql, check=True):
        done = subprocess.run([PROGRAMS / "psql", self.url, "-XAtqc", sql], capture_output=True, text=True, timeout=30)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()
