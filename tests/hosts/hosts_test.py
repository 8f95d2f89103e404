"""A master, four workers and a client on six hosts (network namespaces; topology.py), joined as the master says; then their links are cut,
slowed and made to lose packets, and the checker of the fault suite looks at what became of the jobs.

Without network namespaces the test says so and passes: nothing of it can run there.
"""

import os
import pathlib
import random
import re
import subprocess
import sys
import time

RUNFILES = pathlib.Path(os.environ.get("TEST_SRCDIR", ".")) / os.environ.get("TEST_WORKSPACE", "")
for folder in ("tests/hosts", "tests/faults", "tests/integration"):
    sys.path.insert(0, str(RUNFILES / folder))

import api  # noqa: E402
import oracle  # noqa: E402
from cluster import REEVE, Cluster, wait_for  # noqa: E402
from topology import Impossible, Network, network  # noqa: E402

JOURNAL_WORKER = RUNFILES / "tests/faults/journal_worker"
WORKERS = {"plain": "10.81.1.2", "slow": "10.81.1.2", "six": "[fd81:1::2]", "hidden": "10.81.1.2"}
TASKS = 40


class Hosts(Cluster):
    """Every host has a home folder of its own; the journal alone is shared."""

    def __init__(self, net):
        self.net, self.clients, self.names, self.ignores_ceilings = net, [], {}, True
        super().__init__(start=False)
        self.port = 7520
        self.address = f"10.81.1.2:{self.port}"
        self.journal = self.folder / "journal"

    def home(self, host):
        folder = self.folder / host
        folder.mkdir(exist_ok=True)
        return folder

    def environment(self, host):
        return {"HOME": str(self.home(host)), "PATH": self.env["PATH"], "LANG": "C.UTF-8", "REEVE_JOURNAL": str(self.journal)}

    def on(self, host, *argv, check=True):
        done = subprocess.run([*self.net.prefix(host), *map(str, argv)], env=self.environment(host), cwd=self.home(host),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, (host, argv, done.stdout, done.stderr)
        return done

    def keep_running(self, name, host, *argv):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen([*self.net.prefix(host), *map(str, argv)], env=self.environment(host),
                                                    cwd=self.home(host), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def note_names(self, workers):
        for worker in workers:
            self.names.setdefault(worker.pid, set()).add(worker.worker)

    def living(self):
        return set(self.names)


def bring_up(hosts):
    """`reeve up` on the master's host; the line it prints, run on each worker's host; a context on the client's."""
    up = hosts.on("master", REEVE, "up", "--workers", 0, "--detach", "--listen", "10.81.1.2", "--listen", "fd81:1::2").stdout
    line = re.search(r"reeve worker join (\S+) --token-file join_token", up)
    assert line and line.group(1) == hosts.address, up
    state = hosts.home("master") / ".local/state/reeve"
    for host, master in WORKERS.items():
        (hosts.home(host) / "join_token").write_bytes((state / "join_token").read_bytes())
        joined = [REEVE, "worker", "join", line.group(1).replace("10.81.1.2", master), "--token-file", "join_token"]
        if host == "plain":  # As printed: it goes on as the worker.
            hosts.keep_running("join-plain", host, *joined, "--", "--slots", 2, "--allow-root")
            wait_for(lambda: "worker joined" in hosts.log("join-plain"), "the printed line makes a worker\n" + hosts.log("join-plain"))
            hosts.processes["join-plain"].terminate()
            assert hosts.processes["join-plain"].wait(30) == 0, hosts.log("join-plain")
        else:
            hosts.on(host, *joined, "--no-start")
        (hosts.home(host) / "join_token").unlink()  # Not needed any more.
        folder = hosts.home(host) / ".local/state/reeve-worker"
        hosts.keep_running(f"worker-{host}", host, JOURNAL_WORKER, "--master", f"{master}:{hosts.port}", "--key-file",
                           folder / "worker.key", "--state-dir", folder, "--slots", 2, "--allow-root")
    root = (state / "token").read_text().strip()
    hosts.on("master", REEVE, "token", "create", "tester", "--role", "submit", "--role", "read", "--out", "tester.token")
    (hosts.home("client") / "tester.token").write_bytes((hosts.home("master") / "tester.token").read_bytes())
    hosts.on("client", REEVE, "context", "add", hosts.address, "--token-file", "tester.token")
    (hosts.home("client") / "tester.token").unlink()
    return root, state


def connect(hosts):
    clusters = hosts.home("client") / ".config/reeve/clusters"
    name = f"10.81.1.2_{hosts.port}"
    client = api.Client(hosts.address, (clusters / f"{name}.token").read_text().strip(), random.Random(5),
                        authority=(clusters / f"{name}.ca").read_bytes())
    hosts.clients.append(client)
    return client


def payloads(label, count=TASKS):
    return [b"sleep=0.05 %s %d" % (label.encode(), i) for i in range(count)]


def check(hosts, client, what, executions=1, rerun=False):
    violations = []
    oracle.check(hosts, client, violations, executions=executions, within=120, living_rerun=rerun)
    assert not violations, (what, violations)
    print(f"ok: {what}", flush=True)


def executed(hosts):
    return sum(len(runs) for runs in oracle.Journal(hosts.journal).started.values())


def online(client):
    return {w.hostname + w.worker for w in client.list_workers() if w.state == api.pb.worker.Worker.ONLINE}


def test_inside(net):
    with Hosts(net) as hosts:
        try:
            run(net, hosts)
        except BaseException:
            for name in hosts.processes:
                print(f"--- {name}\n{hosts.log(name)[-1500:]}")
            for log in (hosts.home("master") / ".local/state/reeve/log").glob("*.log"):
                print(f"--- {log.name}\n{log.read_text()[-3000:]}")
            raise
        finally:
            hosts.on("master", REEVE, "down", check=False)


def run(net, hosts):
    bring_up(hosts)
    api.load(RUNFILES / "proto")
    client = connect(hosts)
    wait_for(lambda: len(online(client)) == len(WORKERS), "four workers online")
    hosts.note_names(client.list_workers())

    client.submit(payloads("all"))
    check(hosts, client, "jobs run")
    finished = {w.worker: w.finished_count for w in client.list_workers() if w.state == api.pb.worker.Worker.ONLINE}
    assert len(finished) == 4 and all(finished.values()), finished
    print("ok: every host had its share", finished, flush=True)
    job = hosts.on("client", REEVE, "--master", hosts.address, "submit", "-q", "--handler", "journal", "--input", "hello").stdout.strip()
    client.other_jobs.add(int(job))
    out = hosts.on("client", REEVE, "--master", hosts.address, "results", job, "--follow").stdout
    assert out.strip() == api.expected(b"hello").decode(), out

    client.submit(payloads("short cut"))
    net.cut("plain")
    time.sleep(2)
    net.cut("plain", False)
    check(hosts, client, "a cable is out for two seconds: nothing runs again")

    client.submit(payloads("long cut"))
    net.cut("six")
    time.sleep(20)
    net.cut("six", False)
    client.submit(payloads("after the long cut"))
    check(hosts, client, "a cable is out for longer than a lease: what was there is done elsewhere, once more at most", 2, rerun=True)
    wait_for(lambda: len(online(client)) == 4, "the host that was cut off is back")

    net.slow("slow", "256kbit")
    client.submit([b"sleep=0.01 " + b"x" * 4000 + b" %d" % i for i in range(TASKS)])
    check(hosts, client, "a link of 256 kbit/s", 2, rerun=True)
    net.slow("slow", "")

    net.lose("nat", 20)
    client.submit(payloads("lossy"))
    check(hosts, client, "a fifth of the packets is lost", 2, rerun=True)
    net.lose("nat", 0)

    keys = (hosts.home("master") / ".local/state/reeve/link.keys").read_text().split()
    before = executed(hosts)
    rotated = client.submit([b"sleep=0.2 rotated %d" % i for i in range(80)])
    wait_for(lambda: len(oracle.Journal(hosts.journal).executions(rotated.job_id)) >= 8, "they run on all hosts")
    hosts.on("master", REEVE, "cluster", "rotate-keys")
    check(hosts, client, "keys are changed under load", 2, rerun=True)
    assert executed(hosts) - before == 80, "nothing ran again for it"
    assert (hosts.home("master") / ".local/state/reeve/link.keys").read_text().split()[0] == keys[1]
    wait_for(lambda: len(online(client)) == 4, "all are back by the new key")

    listed = hosts.on("client", REEVE, "--master", hosts.address, "--json", "worker", "list", check=False)
    assert listed.returncode == 0, listed
    names = {w.worker_id: w.worker for w in client.list_workers()}
    hidden = (hosts.home("hidden") / ".local/state/reeve-worker/worker_id").read_text().strip()
    hosts.on("master", REEVE, "worker", "revoke", names[hidden])
    wait_for(lambda: hosts.processes["worker-hidden"].poll() is not None, "a revoked worker is told and ends")
    assert hosts.processes["worker-hidden"].returncode == 78, hosts.log("worker-hidden")
    client.submit(payloads("without it"))
    check(hosts, client, "one worker is revoked", 2, rerun=True)


def main():
    if len(sys.argv) > 1:
        net = Network()
        net.tag = sys.argv[1]
        return test_inside(net)
    try:
        with network() as net:
            # The rest runs on the client's host.
            done = subprocess.run([*net.prefix("client"), sys.executable, "-B", __file__, net.tag])
            sys.exit(done.returncode)
    except Impossible as why:
        print(f"skipped: no network namespaces here: {why}")


if __name__ == "__main__":
    main()
