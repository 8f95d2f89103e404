"""Rows in which the network is cut, slow, repeats itself or speaks nonsense: F13 to F15, F17 to F20, F34."""

import contextlib
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time

import api
import oracle
import proxy
from harness import Load, Run, Skip, base, row, until


@contextlib.contextmanager
def two_hosts(run):
    """Two network namespaces joined by a cable: the master's and one worker's. Their addresses are of 127.5.0.0/24, which a master
    without encryption may listen on, and which the kernel is told to route."""
    names = [f"reeve{os.getpid()}{side}" for side in "ab"]
    cables = [f"rv{os.getpid() % 100000}{side}" for side in "ab"]

    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True, capture_output=True)
    mounted = os.path.ismount("/run/netns")
    try:
        for name in names:
            try:
                ip("netns", "add", name)
            except (OSError, subprocess.CalledProcessError) as error:
                raise Skip(f"no network namespaces here: {getattr(error, 'stderr', b'') or error}")
        try:
            ip("-n", names[0], "link", "add", cables[0], "type", "veth", "peer", "name", cables[1], "netns", names[1])
        except subprocess.CalledProcessError as error:
            raise Skip(f"network namespaces cannot be joined here: {error.stderr.decode().strip()}")
        for i, (name, cable) in enumerate(zip(names, cables)):
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "addr", "del", "127.0.0.1/8", "dev", "lo")
            ip("-n", name, "addr", "add", "127.0.0.1/32", "dev", "lo")
            for key in ("all", cable):
                subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", f"net.ipv4.conf.{key}.route_localnet=1"], check=True)
            ip("-n", name, "addr", "add", f"127.5.0.{i + 1}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
        yield names, cables
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        if not mounted and not any(os.scandir("/run/netns") if os.path.isdir("/run/netns") else ()):
            subprocess.run(["umount", "/run/netns"], capture_output=True)  # `ip netns add` mounted it.


def firewall(namespace, rules):
    """Sets the rules of the master's host; [] lifts them."""
    text = "flush ruleset\n" + ("table ip cut {\n chain in {\n type filter hook input priority 0;\n %s\n }\n"
                                " chain out {\n type filter hook output priority 0;\n %s\n }\n}\n" % tuple(rules) if rules else "")
    subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=text.encode(), check=True)


PEER = "ip saddr 127.5.0.2 drop", "ip daddr 127.5.0.2 drop"


@contextlib.contextmanager
def split_cluster(run, slots=2):
    """A master with `worker-1` on its host and `worker-2` on another; yields cluster, client, namespaces and cables."""
    with two_hosts(run) as (names, cables):
        if subprocess.run(["ip", "netns", "exec", names[0], "nft", "add", "table", "ip", "probe"], capture_output=True).returncode != 0:
            raise Skip("no nftables here")
        here = ["ip", "netns", "exec", names[0]]
        with ApiDoor(names[0]) as door, run.cluster(start=False, slots=slots, master_prefix=here,
                                                    master_flags=["--listen", "127.5.0.1"]) as cluster:
            cluster.worker_address = f"127.5.0.1:{cluster.port}"
            cluster.address = door.open(f"127.5.0.1:{cluster.port}")
            cluster.start_master()
            cluster.wait_for_master()
            cluster.start_worker("worker-1", prefix=here)
            cluster.start_worker("worker-2", prefix=["ip", "netns", "exec", names[1]])
            cluster.wait_for_workers(2)
            yield cluster, cluster.client(), names, cables


class ApiDoor:
    """Lets this process, outside, call a master inside a namespace: a forwarder from a unix socket, which namespaces share."""

    CODE = """
import socket, sys, threading, os
def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data: break
            b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(2)
        except OSError: pass
host, port = sys.argv[2].rsplit(':', 1)
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen(64)
print('ready', flush=True)
while True:
    near, _ = listener.accept()
    try: far = socket.create_connection((host, int(port)), 5)
    except OSError: near.close(); continue
    far.settimeout(None)
    threading.Thread(target=pump, args=(near, far), daemon=True).start()
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
"""

    def __init__(self, namespace):
        self.namespace, self.process = namespace, None

    def __enter__(self):
        return self

    def open(self, target):
        self.folder = tempfile.mkdtemp(prefix="reeve-door-", dir="/tmp")  # The path of a socket may not be long.
        path = self.folder + "/api"
        self.process = subprocess.Popen(["ip", "netns", "exec", self.namespace, "/usr/bin/python3", "-c", self.CODE, path, target],
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()
        return "unix:" + path

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)


def cut_for(run, cluster, client, cut, heal, seconds, rerun):
    """Runs long tasks on both hosts, cuts for `seconds`, heals, and checks whether what ran behind the cut ran again."""
    job = client.submit(run.payloads(4, b"sleep=%.2f " % (seconds + run.seconds(15) + 1)))
    until(lambda: len(oracle.Journal(cluster.journal).executions(job.job_id)) == 4, "4 executions")
    cut()
    time.sleep(seconds)
    heal()
    cluster.wait_for_workers(2, 30)
    journal = cluster.check(client, executions=2 if rerun else 1, within=90, living_rerun=rerun)
    again = [i for i, n in journal.executions(job.job_id).items() if n > 1]
    run.expect(len(again) <= 2, f"only runs behind the cut may run again: {again}")
    client.submit(run.payloads(100))
    cluster.check(client, executions=2 if rerun else 1, living_rerun=rerun)


@row("F13", "partition master and one worker, both ways, 5 s and 60 s")
def partition_both_ways(run: Run):
    with split_cluster(run) as (cluster, client, names, _):
        for seconds, rerun in ((run.seconds(5) * 0.8, False), (run.seconds(60), True)):
            cut_for(run, cluster, client, lambda: firewall(names[0], PEER), lambda: firewall(names[0], []), seconds, rerun)


@row("F14", "one-way partition, each direction")
def partition_one_way(run: Run):
    for rules in ((PEER[0], ""), ("", PEER[1])):
        with split_cluster(run) as (cluster, client, names, _):
            for seconds, rerun in ((run.seconds(5) * 0.8, False), (run.seconds(60), True)):
                cut_for(run, cluster, client, lambda: firewall(names[0], rules), lambda: firewall(names[0], []), seconds, rerun)


@row("F15", "half-open: the peer's cable goes down without a FIN")
def half_open(run: Run):
    with split_cluster(run) as (cluster, client, names, cables):
        master = cluster.processes["master"].pid

        def descriptors():
            return (oracle.status(master) or (0, 0, 0))[1]
        before = descriptors()
        job = client.submit(run.payloads(4, b"sleep=%.2f " % (run.seconds(30) + 1)))
        until(lambda: len(oracle.Journal(cluster.journal).executions(job.job_id)) == 4, "4 executions")
        cable = ["ip", "-n", names[1], "link", "set", cables[1]]
        subprocess.run([*cable, "down"], check=True)
        began = time.monotonic()
        until(lambda: len(client.list_workers()) == 1, "the master notices", run.seconds(30) + 10)
        run.figure(f"noticed after {time.monotonic() - began:.1f} s")
        # Only the connections of the lost worker may be left, and they go once TCP has given up.
        run.expect(descriptors() <= before + 4, f"descriptors: {before} before, {descriptors()} after")
        subprocess.run([*cable, "up"], check=True)
        cluster.wait_for_workers(2, 60)
        cluster.check(client, executions=2, within=90, living_rerun=True)


def with_proxies(run, **kwargs):
    """A cluster whose workers reach dispatch and collector through proxies."""
    first = base.free_ports(3)
    cluster = run.cluster(start=False, master_flags=["--advertise-collector", f"tcp://127.0.0.1:{first + 2}"], **kwargs)
    cluster.worker_address = f"127.0.0.1:{first}"
    cluster.dispatch = proxy.Proxy(cluster.port + 1, first + 1)
    cluster.collector = proxy.Proxy(cluster.port + 2, first + 2)
    return cluster


@contextlib.contextmanager
def proxied(run, **kwargs):
    cluster = with_proxies(run, **kwargs)
    try:
        cluster.start()
        yield cluster, cluster.client()
    finally:
        cluster.stop()
        cluster.dispatch.close()
        cluster.collector.close()


class Shuffler:
    """Repeats or holds back a share of the messages, by type."""

    def __init__(self, run, share, types, hold=False):
        self.random, self.share, self.hold = run.random, share, hold
        self.types = {proxy.TYPES[t] for t in types}
        self.held, self.touched = {}, 0

    def __call__(self, connection, way, frames):
        out, way = [frames], (connection, way)  # Held back on its own connection: never does ZMTP hand a message to another.
        if proxy.type_of(frames) in self.types and self.random.random() < self.share:
            self.touched += 1
            if not self.hold:
                out = [frames] * self.random.randint(2, 3)
            elif way not in self.held:
                self.held[way] = frames
                return []
        if way in self.held:
            out.append(self.held.pop(way))
        return out


def through(cluster, shuffler):
    """From now on on new connections: messages can be told apart only from a connection's beginning."""
    for one in (cluster.dispatch, cluster.collector):
        one.messages = shuffler
        one.reset()
    cluster.wait_for_workers(2)


@row("F17", "HELLO, HEARTBEAT, ASSIGN, RESULTS and their acknowledgements twice, and out of order")
def messages_twice_and_out_of_order(run: Run):
    # Every message goes through this process, which may be slow at it: leases of a second and a half would end for no fault.
    slow = {"env": {"REEVE_TIME_SCALE": str(max(run.scale, 0.3))}}
    with proxied(run, **slow) as (cluster, client):
        twice = Shuffler(run, 0.5, ["HELLO", "WELCOME", "HEARTBEAT", "HEARTBEAT_ACK", "ASSIGN", "RESULTS", "RESULT_ACK", "WHO_ARE_YOU"])
        through(cluster, twice)
        with Load(client, run, threads=3, batches=1000, pause=0.01):
            until(lambda: twice.touched > 300, "300 messages sent twice", 60)
            for _ in range(3):
                cluster.dispatch.reset()
                time.sleep(run.seconds(3))
            cluster.kill("master")
            cluster.start_master()
            cluster.wait_for_master()
        twice.share = 0
        cluster.check(client, executions=1)
    with proxied(run, **slow) as (cluster, client):
        order = Shuffler(run, 0.2, ["HELLO", "WELCOME", "HEARTBEAT", "ASSIGN", "RESULTS", "RESULT_ACK", "RECALL", "CANCEL"], hold=True)
        through(cluster, order)
        with Load(client, run, threads=3, batches=1000, pause=0.01):
            until(lambda: order.touched > 100, "100 messages out of order", 60)
        order.share = 0
        cluster.check(client, executions=1)


@row("F18", "connection cut after N bytes, by RST: each twentieth N below 800, shifted by the seed (twenty seeds are all), and larger ones")
def connection_cut_after_n_bytes(run: Run):
    with proxied(run, slots=4) as (cluster, client):
        # Small N cut the greeting, the handshake and the Hello; larger ones frames of work.
        numbers = [*range(run.seed % 20, 800, 20), *(run.random.randint(800, 4000) for _ in range(5))]
        cuts = len(numbers)
        with Load(client, run, threads=3, batches=2000, pause=0.02) as load:
            for number in numbers:
                way = run.random.choice(["up", "down"])
                one = run.random.choice([cluster.dispatch, cluster.collector])
                one.cut_after = {way: number}
                one.reset()
                seen = one.cuts
                end = time.monotonic() + 1.5
                while one.cuts == seen and time.monotonic() < end:
                    time.sleep(0.01)
        for one in (cluster.dispatch, cluster.collector):
            one.cut_after = {}
        total = cluster.dispatch.cuts + cluster.collector.cuts
        run.figure(f"{total} cuts, {load.acknowledged()} submissions")
        run.expect(total > cuts / 2, f"{total} of {cuts} cuts happened")
        # libzmq connects again after 100 to 500 ms, whatever the scale: longer than a divided grace. At real times nothing runs again.
        scaled = run.scale < 1
        cluster.check(client, executions=cuts if scaled else 1, living_rerun=scaled)


def mutations(run, count):
    """Messages that a worker would not send: wrong heads, cut, flipped, with too few or too many frames, or random."""
    hello = api.pb.link.Hello(number=1, last_page=True, token=b"x" * 64, worker_id="w", process_id="p", min_protocol=1, max_protocol=1)
    for _ in range(count):
        type_ = run.random.choice([*proxy.TYPES.values(), 0, 16, 77, 65535])
        body = run.random.choice([hello.SerializeToString(), run.random.randbytes(run.random.randint(0, 200)), b""])
        frames = proxy.frames_of(type_, run.random.choice([0, 1, 2 ** 64 - 1]), run.random.getrandbits(64), body,
                                 run.random.randbytes(run.random.choice([0, 0, 40])))
        kind = run.random.randint(0, 5)
        if kind == 0:
            at = run.random.randrange(40)
            frames[0] = frames[0][:at] + bytes([frames[0][at] ^ (1 << run.random.randrange(8))]) + frames[0][at + 1:]
        elif kind == 1:
            frames = frames[:run.random.randint(1, 2)]
        elif kind == 2:
            frames += [b"more"] * run.random.randint(1, 5)
        elif kind == 3:
            frames[0] = frames[0][:run.random.randrange(40)]
        elif kind == 4:
            frames = [run.random.randbytes(run.random.randint(0, 60)) for _ in range(3)]
        yield proxy.message(frames)


RAW = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"\x01\x00", b"\x01\x00\x05\x00hello" * 20,
       b"\xff" * 10, b"\xff\0\0\0\0\0\0\0\x01\x7f\x03" + b"NULL" + bytes(1000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100)]


@row("F19", "garbage: raw HTTP, TLS, ZMTP 1; a million frames cut, flipped, with wrong magic, against live ports")
def garbage_changes_nothing(run: Run):
    total = 1_000_000
    with run.cluster(workers=2) as cluster:
        client = cluster.client()
        with Load(client, run):
            for port in range(cluster.port, cluster.port + 3):
                for garbage in [*RAW, run.random.randbytes(100_000)]:
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
                        connection.sendall(garbage)
                        connection.shutdown(socket.SHUT_WR)
                        connection.settimeout(0.1)
                        connection.recv(1000)
            stock = list(mutations(run, 3000))
            before = oracle.status(cluster.processes["master"].pid)[0]
            sent = 0
            end = time.monotonic() + 120
            while sent < total and time.monotonic() < end:
                for port in (cluster.port + 1, cluster.port + 2):
                    with contextlib.suppress(OSError):
                        dealer = proxy.Dealer(port)
                        run.random.shuffle(stock)
                        dealer.socket.settimeout(10)
                        for at in range(0, len(stock), 100):
                            dealer.socket.sendall(b"".join(stock[at:at + 100]))
                        # The master's end of the connection comes behind the garbage: all of it was read.
                        dealer.socket.shutdown(socket.SHUT_WR)
                        while dealer.socket.recv(1 << 16):
                            pass
                        dealer.close()
                        sent += len(stock)
        after = oracle.status(cluster.processes["master"].pid)
        run.expect(after is not None, "the master lives")
        run.expect(after is not None and after[0] < before + (64 << 20), f"memory: {before >> 20} MiB before, {after and after[0] >> 20} after")
        run.equal(cluster.client().cluster().epoch, 1, "epoch")
        run.expect(sent >= total, f"{sent} frames were taken in, {total} were meant")
        run.figure(f"{sent} frames")
        cluster.check(client, executions=1)


@row("F20", "endless MORE frames from one connection: the watchdog cuts it, and nobody else notices")
def endless_message_is_ended(run: Run):
    with run.cluster(workers=1) as cluster:
        client = cluster.client()
        waiting = client.submit(run.payloads(4, b"sleep=1 "))
        worst, master = 0, cluster.processes["master"].pid
        for port in (cluster.port + 1, cluster.port + 2):
            for size in (1 << 20, 8 << 10):
                sent, part = 0, proxy.frame(bytes(size), True)
                dealer = proxy.Dealer(port)
                dealer.socket.settimeout(10)
                with contextlib.suppress(OSError):
                    while sent < 1200 << 20:
                        dealer.socket.sendall(part)
                        sent += size
                        if sent % (1 << 20) == 0:
                            worst = max(worst, oracle.status(master)[0])
                dealer.close()
                run.expect(sent < 1200 << 20, f"a connection that sends frames of {size} bytes without end is cut on port +{port - cluster.port}")
        run.figure(f"resident at most {worst >> 20} MiB")
        run.expect(worst < 512 << 20, f"memory of the master reached {worst >> 20} MiB")
        run.equal(cluster.log("master").count("sent without end"), 4, "connections cut")
        run.expect(client.wait(waiting.job_id, 30) is not None, "the worker beside them is served")
        client.submit(run.payloads(20))
        cluster.check(client, executions=1)
        run.equal(client.cluster().epoch, 1, "epoch: the master was not started again")


@row("F34", "version skew: workers of other protocols, unknown types and fields, a newer store")
def version_skew(run: Run):
    with run.cluster(workers=1) as cluster:
        client = cluster.client()
        token = cluster.token.encode()

        def hello(**fields):
            return api.pb.link.Hello(number=1, last_page=True, token=token, hostname="skewed", version="0.0.0", **fields)

        def say(body, protocol=proxy.PROTOCOL, type_=proxy.TYPES["HELLO"]):
            dealer = proxy.Dealer(cluster.port + 1)
            dealer.send(proxy.frames_of(type_, 0, run.random.getrandbits(64), body, protocol=protocol))
            answer = dealer.receive()
            dealer.close()
            welcome = api.pb.link.Welcome()
            if answer is not None and proxy.type_of(answer) == proxy.TYPES["WELCOME"]:
                welcome.ParseFromString(answer[1])
            return welcome
        for protocol in (0, 2, 99):
            answer = say(hello(worker_id="head", process_id="p", min_protocol=protocol, max_protocol=protocol).SerializeToString(), protocol)
            run.expect("link protocol" in answer.refused, f"a head of protocol {protocol} is refused with a reason: {answer.refused!r}")
        for least, most in ((2, 3), (0, 0)):
            answer = say(hello(worker_id=f"range{least}", process_id="p", min_protocol=least, max_protocol=most).SerializeToString())
            run.expect("link protocol" in answer.refused, f"protocols {least} to {most} are refused with a reason: {answer.refused!r}")
        # A newer worker that still speaks ours, with a field nobody here knows (number 999).
        unknown = b"\xba\x3e\x05later"
        answer = say(hello(worker_id="newer", process_id="p", min_protocol=1, max_protocol=2,
                           handlers=[api.pb.worker.HandlerOffer(name="other", lane=1)]).SerializeToString() + unknown)
        run.expect(answer.refused == "" and answer.worker, f"unknown fields are ignored: {answer}")
        say(b"", type_=200)
        states = [w.state for w in client.list_workers()]
        run.expect(states.count(api.pb.worker.Worker.REJECTED) >= 2, f"refused workers are listed: {states}")
        client.submit(run.payloads(20))
        cluster.check(client, executions=1)
        cluster.kill("master")
        store = sqlite3.connect(cluster.state / "reeve.db")
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        version = store.execute("PRAGMA user_version").fetchone()[0]
        for newer in (version + 1, version):
            store.execute(f"PRAGMA user_version={newer}")
            store.commit()
            if newer == version:
                break
            process = cluster.start_master()
            code = process.wait(20)
            run.expect(code in (73, 78), f"a newer store is refused: {code}")
            run.expect("newer" in cluster.log("master"), "the reason is told")
        store.close()
        cluster.start_master()
        cluster.wait_for_master()
        cluster.check(client, executions=1)
