"""What comes from outside and is wrong: garbage on ports, wrong tokens, taken folders, other versions, stalls."""

import ctypes
import json
import os
import pathlib
import socket
import struct
import subprocess
import unittest

from cluster import Cluster, MASTER, WORKER, wait_for


def varint(n):
    out = b""
    while n > 0x7f:
        out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])


def field(number, content):
    """A field of bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


# What a protobuf parser could choke on, for a message whose field 12 is repeated or unknown.
BOMBS = {
    "groups within groups": varint(15 << 3 | 3) * 1_000_000,
    "a length of 2 GiB": varint(4 << 3 | 2) + varint(2**31 - 1) + b"x",
    "a length beyond 64 bits": varint(4 << 3 | 2) + b"\xff" * 11,
    "an endless varint": b"\x08" + b"\xff" * 1_000_000,
    "a million entries": field(12, b"") * 1_000_000,
    "random bytes": os.urandom(1_000_000),
}


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def zmtp(port, kind):
    """A connection to a ZeroMQ socket, by hand: greeting, READY."""
    link = socket.create_connection(("127.0.0.1", port))
    link.settimeout(20)
    link.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
    received = b""
    while len(received) < 64:
        received += link.recv(64 - len(received))
    ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    link.sendall(b"\x04" + bytes([len(ready)]) + ready)
    return link


def link_message(kind, body):
    """Three frames of a link message with a true checksum (base/frame.h): it is parsed."""
    hashed = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
    hashed.restype = ctypes.c_uint64
    hashed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    head = struct.pack("<IHHQQQ", 0x31564552, 1, kind, 0, 7, 0)
    checksum = 0
    for part in (head, body, b""):
        checksum = hashed(part, len(part), checksum)
    frames = ((1, head + struct.pack("<Q", checksum)), (1, body), (0, b""))
    return b"".join(bytes([flags | 2]) + struct.pack(">Q", len(frame)) + frame for flags, frame in frames)


class HostileInputTest(unittest.TestCase):
    def test_garbage_on_every_port_changes_nothing(self):
        with Cluster(workers=1) as cluster:
            for port in range(cluster.port, cluster.port + 3):
                for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(100_000), b"\xff" * 10,
                                b"\xff\0\0\0\0\0\0\0\x01\x7f\x03" + b"NULL" + bytes(1000)):
                    with socket.create_connection(("127.0.0.1", port)) as connection:
                        try:
                            connection.sendall(garbage)
                            connection.shutdown(socket.SHUT_WR)
                            connection.settimeout(0.2)
                            connection.recv(1000)
                        except OSError:
                            pass
            done = cluster.reeve("map", "--ordered", "--handler", "echo", ":::", "still", "here")
            self.assertEqual(done.stdout, "still\nhere\n", done.stderr)

    def test_a_message_made_to_blow_up_its_parser_is_refused_by_the_api(self):
        import grpc

        with Cluster(workers=1) as cluster:
            metadata = [("authorization", f"Bearer {(cluster.state / 'token').read_text().strip()}")]
            bombs = dict(BOMBS)
            spec = field(2, b"echo")
            # A name that is not UTF-8, and more options than a job may have.
            bombs["no UTF-8"] = self.request(field(1, b"\xff\xfe") + spec)
            bombs["a flood of options"] = self.request(spec + b"".join(field(4, field(1, b"%d" % i)) for i in range(200_000)))
            master = cluster.processes["master"].pid
            with grpc.insecure_channel(cluster.address) as channel:
                create = channel.unary_unary("/reeve.v1.JobService/CreateJob")
                for what, bomb in bombs.items():
                    with self.subTest(what), self.assertRaises(grpc.RpcError) as refused:
                        create(bomb, metadata=metadata, timeout=30)
                    # gRPC says so of what is no such message. The others are, and reach the rules.
                    parses = what in ("a million entries", "a flood of options")
                    expected = grpc.StatusCode.INVALID_ARGUMENT if parses else grpc.StatusCode.UNIMPLEMENTED
                    self.assertEqual(refused.exception.code(), expected, what)
            self.assert_unharmed(cluster, master)

    def test_a_message_made_to_blow_up_its_parser_is_dropped_between_master_and_workers(self):
        with Cluster(workers=1) as cluster:
            master = cluster.processes["master"].pid
            for offset, kinds in ((1, (1, 4, 8, 10, 15)), (2, (11, 13, 16))):
                for bomb in BOMBS.values():
                    with zmtp(cluster.port + offset, b"DEALER") as link:
                        for kind in kinds:
                            try:
                                link.sendall(link_message(kind, bomb))
                            except OSError:
                                pass  # It has hung up.
            self.assert_unharmed(cluster, master)

    @staticmethod
    def request(spec):
        return field(1, b"a flood") + field(2, spec)

    def assert_unharmed(self, cluster, master):
        done = cluster.reeve("map", "--ordered", "--handler", "echo", ":::", "still", "here")
        self.assertEqual(done.stdout, "still\nhere\n", done.stderr)
        self.assertIsNone(cluster.processes["master"].poll())
        self.assertLess(resident_kib(master), 256 << 10)
        self.assertNotIn("worker died", cluster.log("worker-1"))

    def test_two_masters_never_share_a_port_or_a_folder(self):
        with Cluster(workers=0) as cluster:
            def master(port, folder):
                return subprocess.run([MASTER, "--port", str(port), "--state-dir", folder, "--init"], env=cluster.env,
                                      capture_output=True, text=True, timeout=60)
            same_folder = master(cluster.port + 100, cluster.state)
            self.assertEqual(same_folder.returncode, 78)
            self.assertIn("in use by process", same_folder.stderr)
            for offset in (0, -1, -2):
                same_port = master(cluster.port + offset, cluster.folder / f"other{offset}")
                self.assertEqual(same_port.returncode, 78, same_port.stderr)
                self.assertIn("cannot listen", same_port.stderr)
            self.assertEqual(cluster.reeve("ps").returncode, 0)

    def test_a_folder_that_cannot_be_made_or_is_no_store_is_refused(self):
        cluster = Cluster(start=False)
        try:
            blocked = cluster.folder / "file"
            blocked.write_text("")
            def master(folder, *flags):
                return subprocess.run([MASTER, "--port", str(cluster.port), "--state-dir", folder, *flags], env=cluster.env,
                                      capture_output=True, text=True, timeout=60)
            self.assertEqual(master(blocked / "below", "--init").returncode, 73)
            missing = master(cluster.folder / "missing")
            self.assertEqual(missing.returncode, 73)
            self.assertIn("--init", missing.stderr)
            stranger = cluster.folder / "stranger"
            stranger.mkdir()
            (stranger / "reeve.db").write_bytes(b"not a database at all" * 100)
            refused = master(stranger, "--init")
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("reeve.db", refused.stderr)
        finally:
            cluster.stop()

    def test_a_worker_with_a_wrong_token_is_told_and_listed(self):
        with Cluster(workers=1) as cluster:
            wrong = cluster.folder / "wrong"
            wrong.write_text("nonsense\n")
            worker = subprocess.run([WORKER, "--master", cluster.address, "--state-dir", cluster.folder / "w", "--token-file", wrong],
                                    env=cluster.env, capture_output=True, text=True, timeout=60)
            self.assertEqual(worker.returncode, 3, worker.stderr)
            self.assertIn("token", worker.stderr)
            self.assertIn("REJECTED", cluster.reeve("worker", "list").stdout)

    def test_a_worker_of_another_protocol_version_is_told_and_listed(self):
        with Cluster(workers=1) as cluster:
            # A head of protocol 99.
            with zmtp(cluster.port + 1, b"DEALER") as link:
                head = struct.pack("<IHHQQQQ", 0x31564552, 99, 1, 0, 7, 0, 0)
                for flags, frame in ((1, head), (1, b""), (0, b"")):
                    link.sendall(bytes([flags, len(frame)]) + frame)
                answer = b""
                while b"link protocol" not in answer:
                    answer += link.recv(4096)
            wait_for(lambda: "REJECTED" in cluster.reeve("worker", "list").stdout, "rejection")

    def test_a_worker_without_a_master_gives_up_with_a_reason(self):
        cluster = Cluster(start=False)
        try:
            token = cluster.folder / "token"
            token.write_text("x\n")
            worker = subprocess.run([WORKER, "--master", cluster.address, "--state-dir", cluster.folder / "w", "--token-file", token,
                                     "--connect-timeout", "0.5"], env=cluster.env, capture_output=True, text=True, timeout=60)
            self.assertEqual(worker.returncode, 3)
            self.assertIn("master", worker.stderr)
        finally:
            cluster.stop()

    def test_a_stalled_collector_delays_no_heartbeat_and_no_assignment_and_every_result_arrives_once(self):
        with Cluster(workers=2, env={"REEVE_FAILPOINTS": "collector.frame=stall:5:5"}) as cluster:
            bench = cluster.popen("bench", "throughput", "--tasks", "200000", "--json")
            wait_for(lambda: "failpoint fires" in cluster.log("master"), "the stall")
            listed = json.loads(cluster.reeve("worker", "list", "--json").stdout)
            self.assertEqual([w["state"] for w in listed["workers"]], ["ONLINE", "ONLINE"])
            held = sum(int(w.get("held_count", 0)) for w in listed["workers"])
            self.assertGreater(held, 0)
            out, err = bench.communicate(timeout=120)
            document = json.loads(out)
            self.assertEqual(document["results_verified"], 200000, err)
            self.assertGreater(document["runs"][0]["seconds"], 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
