"""What comes from outside and is wrong: garbage on ports, wrong tokens, taken folders, other versions, stalls."""

import json
import os
import socket
import struct
import subprocess
import unittest

from cluster import Cluster, MASTER, WORKER, wait_for


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
            # ZMTP by hand: greeting, READY as DEALER, then a head of protocol 99.
            with socket.create_connection(("127.0.0.1", cluster.port + 1)) as link:
                link.settimeout(20)
                link.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
                received = b""
                while len(received) < 64:
                    received += link.recv(64 - len(received))
                ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
                link.sendall(b"\x04" + bytes([len(ready)]) + ready)
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
