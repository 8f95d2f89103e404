"""The encrypted link and API: who is kept out, and what a worker that was let in may not do."""

import json
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import unittest

import grpc

from api_calls import Api
from cluster import RUNFILES, WORKER, Cluster, free_ports, wait_for

sys.path.insert(0, str(RUNFILES / "tests/faults"))
import api as link_api  # noqa: E402
import proxy  # noqa: E402


class Encrypted(Cluster):
    """A master on loopback that is as protected as one beyond it, and workers that joined."""

    def __init__(self, **kwargs):
        super().__init__(workers=0, start=False, master_flags=["--encrypt"], **kwargs)
        self.start_master()
        wait_for(lambda: (self.state / "join_token").exists(), "the master makes a join token\n" + self.log("master"))
        wait_for(lambda: self.context("token").returncode == 0, "a context\n" + self.log("master"))
        del self.env["REEVE_TOKEN_FILE"]

    def context(self, name):
        return self.reeve("context", "add", self.address, "--token-file", self.state / name, "--ca-file", self.state / "ca.pem")

    def join(self, name, token="join_token"):
        return self.reeve("worker", "join", self.address, "--token-file", self.state / token, "--state-dir", self.folder / name, "--no-start")

    def start_joined(self, name, key_file=None, program=WORKER, flags=()):
        return self.spawn(name, [program, "--master", self.address, "--state-dir", self.folder / name, "--slots", 2, "--key-file",
                                 key_file or self.folder / name / "worker.key", *(() if "--handlers" in flags else ("--handlers", "exec,echo")), *flags])

    def online(self):
        return self.reeve("worker", "list").stdout.count("ONLINE")

    def proper(self, name):
        pid = self.processes[name].pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0


class LinkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Encrypted()
        cls.api = Api()
        cls.root = (cls.cluster.state / "token").read_text().strip()
        for name in ("one", "two"):
            joined = cls.cluster.join(name)
            assert joined.returncode == 0, joined.stderr
            cls.cluster.start_joined(name)
        wait_for(lambda: cls.cluster.online() == 2, "two workers\n" + cls.cluster.log("one"))

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def channel(self, authority=None, name="reeve-master"):
        authority = authority or (self.cluster.state / "ca.pem").read_bytes()
        return grpc.secure_channel(self.cluster.address, grpc.ssl_channel_credentials(authority),
                                   options=[("grpc.ssl_target_name_override", name)])

    def refused(self, name, within=30):
        """The exit code of a worker that the master turns away."""
        return self.cluster.processes[name].wait(within)

    # ---- The API ----

    def test_jobs_run_over_tls_and_curve(self):
        done = self.cluster.reeve("map", "--handler", "echo", ":::", "a", "b", "c")
        self.assertEqual((done.returncode, sorted(done.stdout.split())), (0, ["a", "b", "c"]), done.stderr)

    def test_the_api_is_tls_from_1_2_on(self):
        for version, accepted in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(("127.0.0.1", self.cluster.port), 10) as plain:
                try:
                    with context.wrap_socket(plain) as secured:
                        self.assertTrue(accepted, secured.version())
                except (ssl.SSLError, ConnectionResetError):
                    self.assertFalse(accepted, version)

    def test_a_client_without_tls_gets_nothing(self):
        with grpc.insecure_channel(self.cluster.address) as channel:
            self.assertEqual(self.api.outcome(channel, "ClusterService/GetCluster", self.root, timeout=5), "UNAVAILABLE")

    def test_doctor_looks_at_the_way_to_the_master(self):
        done = self.cluster.reeve("--json", "doctor")
        checks = {check["name"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}
        self.assertEqual(done.returncode, 0, done.stdout)
        for name in ("address", "token", "certificate", "clock", "master", "version", *(f"port {self.cluster.port + i}" for i in range(3))):
            self.assertEqual(checks.get(name), "ok", (name, checks))
        nobody = free_ports(4)
        away = self.cluster.reeve("--master", f"127.0.0.1:{nobody}", "doctor")
        self.assertEqual(away.returncode, 3)
        self.assertIn("packet filter", away.stdout)

    def test_another_authority_is_not_trusted(self):
        with Encrypted() as other:
            authority = (other.state / "ca.pem").read_bytes()
            with self.channel(authority) as channel:
                self.assertEqual(self.api.outcome(channel, "ClusterService/GetCluster", self.root, timeout=5), "UNAVAILABLE")
            # A token of another cluster pins the other's authority.
            wrong = self.cluster.reeve("worker", "join", self.cluster.address, "--token-file", other.state / "join_token", "--state-dir",
                                       self.cluster.folder / "lost", "--no-start")
            self.assertEqual(wrong.returncode, 3, wrong.stderr)
            self.assertIn("somebody stands in between", wrong.stderr)

    def test_the_certificate_is_for_the_addresses_of_the_master(self):
        for name in ("reeve-master", "127.0.0.1", "localhost"):
            with self.channel(name=name) as channel:
                self.assertEqual(self.api.outcome(channel, "ClusterService/GetCluster", self.root, timeout=10), "OK", name)
        with self.channel(name="elsewhere.example") as channel:
            self.assertEqual(self.api.outcome(channel, "ClusterService/GetCluster", self.root, timeout=5), "UNAVAILABLE")

    def test_a_join_token_is_good_for_joining_alone(self):
        token = (self.cluster.state / "join_token").read_text().strip()
        with self.channel() as channel:
            for name in self.api.methods:
                got = self.api.outcome(channel, name, token)
                if name == "WorkerService/EnrolWorker":
                    self.assertEqual(got, "INVALID_ARGUMENT")
                else:
                    self.assertEqual(got, "PERMISSION_DENIED", name)

    # ---- The link ----

    def test_who_speaks_no_curve_is_not_let_in(self):
        greetings = {"NULL": proxy.GREETING, "ZMTP 1": b"\x01\x00", "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                     "PLAIN": proxy.GREETING[:12] + b"PLAIN".ljust(20, b"\0") + proxy.GREETING[32:], "noise": os.urandom(4096)}
        for port in (self.cluster.port + 1, self.cluster.port + 2):
            for what, greeting in greetings.items():
                with socket.create_connection(("127.0.0.1", port), 10) as stranger:
                    stranger.settimeout(8)
                    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
                    heard = b""
                    try:
                        stranger.sendall(greeting)
                        stranger.sendall(b"\x04" + bytes([len(ready)]) + ready)
                        stranger.sendall(proxy.message([b"head", b"body", b"blob"]) * 10)
                        while data := stranger.recv(4096):
                            heard += data
                    except OSError:  # Reset, or silence: both are a no.
                        pass
                    self.assertNotIn(b"READY", heard, what)
        self.assertEqual(self.cluster.online(), 2)

    def test_a_key_that_is_not_enrolled_is_not_let_in(self):
        self.assertEqual(self.cluster.join("stranger").returncode, 0)
        file = self.cluster.folder / "stranger/worker.key"
        text = file.read_text()
        secret = re.search(r"secret_key (\S+)", text).group(1)
        # Another secret: the first letter is another of the alphabet.
        file.write_text(text.replace(secret, ("1" if secret[0] != "1" else "2") + secret[1:]))
        worker = self.cluster.start_joined("stranger", flags=["--connect-timeout", "3"])
        self.assertNotEqual(worker.wait(30), 0)
        self.assertIn("why=unknown-key", self.cluster.log("master"))
        self.assertEqual(self.cluster.online(), 2)

    def test_a_worker_is_the_one_its_key_was_enrolled_for(self):
        self.assertEqual(self.cluster.join("thief").returncode, 0)
        theirs = (self.cluster.folder / "one/worker_id").read_text()
        (self.cluster.folder / "thief/worker_id").write_text(theirs)
        file = self.cluster.folder / "thief/worker.key"
        file.write_text(re.sub(r"worker_id \S+", f"worker_id {theirs.strip()}", file.read_text()))
        worker = self.cluster.start_joined("thief")
        self.assertEqual(worker.wait(30), 78, self.cluster.log("thief"))
        self.assertIn("enrolled for another worker", self.cluster.log("thief"))
        self.assertEqual(self.cluster.online(), 2)

    def test_an_id_that_is_enrolled_is_not_given_to_another_key(self):
        theirs = (self.cluster.folder / "one/worker_id").read_text().strip()
        with self.channel() as channel:
            with self.assertRaises(grpc.RpcError) as refused:
                self.api.call(channel, "WorkerService/EnrolWorker", self.root, worker_id=theirs, public_key="rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")
            self.assertEqual(refused.exception.code(), grpc.StatusCode.ALREADY_EXISTS)

    def test_a_revoked_worker_ends_at_once_and_does_not_come_back(self):
        self.assertEqual(self.cluster.join("gone").returncode, 0)
        worker = self.cluster.start_joined("gone")
        wait_for(lambda: self.cluster.online() == 3, "a third worker")
        self.assertEqual(self.cluster.reeve("worker", "revoke", (self.cluster.folder / "gone/worker_id").read_text().strip()).returncode, 0)
        self.assertEqual(worker.wait(30), 78)
        self.assertIn("revoked", self.cluster.log("gone"))
        again = self.cluster.start_joined("gone", flags=["--connect-timeout", "3"])
        self.assertNotEqual(again.wait(30), 0)
        self.assertEqual(self.cluster.online(), 2)

    def test_a_worker_is_shown_with_the_name_and_labels_of_its_owner(self):
        self.assertEqual(self.cluster.join("named").returncode, 0)
        worker = self.cluster.start_joined("named", flags=["--name", "rack 7", "--label", "zone=b", "--label", "gpu="])
        wait_for(lambda: self.cluster.online() == 3, "a third worker")
        listed = json.loads(self.cluster.reeve("--json", "worker", "list").stdout)["workers"]
        self.assertEqual([(w["name"], w["labels"]) for w in listed if w.get("name")], [("rack 7", {"zone": "b", "gpu": ""})])
        self.assertIn("(rack 7)", self.cluster.reeve("worker", "list").stdout)
        worker.terminate()
        self.assertEqual(worker.wait(30), 0)
        wrong = self.cluster.start_joined("named", flags=["--label", "Zone B"])
        self.assertEqual(wrong.wait(30), 2)

    def test_a_drained_worker_finishes_and_leaves(self):
        self.assertEqual(self.cluster.join("tired").returncode, 0)
        worker = self.cluster.start_joined("tired")
        wait_for(lambda: self.cluster.online() == 3, "a third worker")
        name = re.search(r"(w-\d+)", self.cluster.log("tired")).group(1)
        done = self.cluster.reeve("worker", "drain", name, "--wait", "--timeout", "30s")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(worker.wait(30), 0)
        self.assertEqual(self.cluster.reeve("worker", "drain", name).returncode, 4)

    def test_keys_are_for_their_owner_alone(self):
        for file in ("ca.key", "server.pem", "link.keys", "token", "join_token", "access.json", "audit.log", "reeve.db"):
            self.assertEqual((self.cluster.state / file).stat().st_mode & 0o077, 0, file)
        self.assertEqual((self.cluster.folder / "one/worker.key").stat().st_mode & 0o077, 0)
        file = self.cluster.folder / "two/worker.key"
        file.chmod(0o644)
        try:
            careless = self.cluster.spawn("careless", [WORKER, "--master", self.cluster.address, "--state-dir", self.cluster.folder / "careless",
                                                       "--key-file", file])
            self.assertEqual(careless.wait(20), 78)
            self.assertIn("chmod 600", self.cluster.log("careless"))
        finally:
            file.chmod(0o600)

    def test_secret_keys_are_in_their_files_and_nowhere_else(self):
        state, folder = self.cluster.state, self.cluster.folder
        secrets = {"link": (state / "link.keys").read_text().split()[0], "join token": (state / "join_token").read_text().split(".")[2],
                   "worker": re.search(r"secret_key (\S+)", (folder / "one/worker.key").read_text()).group(1),
                   "authority": (state / "ca.key").read_text().splitlines()[1]}
        kept = {"link.keys", "join_token", "worker.key", "ca.key", "server.pem"}
        places = {}
        for file in folder.rglob("*"):
            if file.is_file() and file.name not in kept and file.stat().st_size < 64 << 20:
                places[str(file)] = file.read_bytes()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    places[str(process / name)] = (process / name).read_bytes()
                except OSError:
                    pass
        self.assertGreater(len(places), 20)
        for what, secret in secrets.items():
            self.assertEqual([place for place, content in places.items() if secret.encode() in content], [], what)
        # That the search finds something where there is something.
        self.assertTrue([p for p, content in places.items() if (folder / "one/worker_id").read_bytes().strip() in content])

    def test_keys_change_while_tasks_run_and_nothing_runs_twice(self):
        ran = self.cluster.folder / "ran"
        job = self.cluster.reeve("submit", "-q", "--array", "1-60", "--workdir", self.cluster.folder, "--", "sh", "-c",
                                 "echo $REEVE_TASK_INDEX >> ran; sleep 0.2")
        self.assertEqual(job.returncode, 0, job.stderr)
        wait_for(ran.exists, "it runs")
        before = (self.cluster.state / "server.pem").read_text()
        self.assertEqual(self.cluster.reeve("cluster", "rotate-keys").returncode, 0)
        # A second change at once would lock out who has not learned of the first.
        again = self.cluster.reeve("cluster", "rotate-keys")
        self.assertEqual(again.returncode, 5, again.stderr)
        self.assertIn("within the last minute", again.stderr)
        waited = self.cluster.reeve("wait", job.stdout.strip(), "--timeout", "60s")
        self.assertEqual(waited.returncode, 0, waited.stdout + waited.stderr)
        self.assertEqual(sorted(int(line) for line in ran.read_text().split()), list(range(60)))
        self.assertNotEqual((self.cluster.state / "server.pem").read_text(), before)
        wait_for(lambda: self.cluster.online() == 2, "both are back")
        # A worker that starts anew knows the new key.
        one = self.cluster.processes["one"]
        one.terminate()
        self.assertEqual(one.wait(30), 0)
        self.cluster.start_joined("one")
        wait_for(lambda: self.cluster.online() == 2, "it is back after a restart")

    def test_a_relay_hands_in_what_enrolled_workers_gave_it(self):
        folder = self.cluster.folder / "relay"
        def join(token):
            return self.cluster.reeve("worker", "join", self.cluster.address, "--relay", "--token-file", token, "--state-dir", folder)
        refused = join(self.cluster.state / "join_token")
        self.assertEqual((refused.returncode, "role admin" in refused.stderr), (3, True), refused.stderr)
        made = self.cluster.reeve("token", "create", "relays", "--role", "admin", "--out", "relays.token")
        self.assertEqual(made.returncode, 0, made.stderr)
        joined = join(self.cluster.folder / "relays.token")
        self.assertEqual(joined.returncode, 0, joined.stderr)
        port = free_ports(1)
        relay = self.cluster.spawn("relay", [RUNFILES / "relay/reeve-collector", "--master", f"127.0.0.1:{self.cluster.port + 2}",
                                             "--key-file", folder / "worker.key", "--port", port])
        key = wait_for(lambda: re.search(r"relay serves .* key=(\S+)", self.cluster.log("relay")), "the relay serves").group(1)
        self.assertEqual(self.cluster.join("behind").returncode, 0)
        worker = self.cluster.start_joined("behind", flags=["--collector", f"tcp://127.0.0.1:{port}", "--collector-key", key,
                                                            "--handlers", "digest"])
        wait_for(lambda: self.cluster.online() == 3, "a third worker\n" + self.cluster.log("behind"))
        files = [str(self.cluster.state / name) for name in ("ca.pem", "cluster_id")]
        done = self.cluster.reeve("map", "--handler", "digest", ":::", *files * 20)
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (0, 40), done.stderr)
        relay.terminate()
        self.assertEqual(relay.wait(20), 0)
        said = re.search(r"relay ends messages=(\d+)", self.cluster.log("relay"))
        self.assertGreater(int(said.group(1)), 0)
        # A relay's key is no worker's.
        (self.cluster.folder / "relay/worker_id").chmod(0o600)
        posing = self.cluster.start_joined("relay")
        self.assertEqual(posing.wait(30), 78)
        self.assertIn("enrolled for a relay", self.cluster.log("relay"))
        worker.terminate()
        self.assertEqual(worker.wait(30), 0)

    def test_a_change_of_keys_that_is_asked_for_again_happens_once(self):
        with Encrypted() as other:
            authority = (other.state / "ca.pem").read_bytes()
            root = (other.state / "token").read_text().strip()
            options = [("grpc.ssl_target_name_override", "reeve-master")]
            with grpc.secure_channel(other.address, grpc.ssl_channel_credentials(authority), options=options) as channel:
                rotate = lambda name: self.api.outcome(channel, "ClusterService/RotateKeys", root, request_id=name)  # noqa: E731
                self.assertEqual(rotate("one"), "OK")
                keys = (other.state / "link.keys").read_text()
                self.assertEqual(rotate("one"), "OK")
                self.assertEqual(rotate("two"), "FAILED_PRECONDITION")
                self.assertEqual((other.state / "link.keys").read_text(), keys)

    def test_a_worker_process_that_is_started_again_reads_its_keys_again(self):
        self.assertEqual(self.cluster.join("stale").returncode, 0)
        file = self.cluster.folder / "stale/worker.key"
        right = file.read_text()
        # As the parent knew them once: keys that the master does not have any more.
        file.write_text(re.sub(r"(server_key) \S+", r"\1 rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", right))
        worker = self.cluster.start_joined("stale", flags=["--connect-timeout", "60"])
        before = wait_for(lambda: self.cluster.proper("stale"), "a worker proper")
        file.write_text(right)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.cluster.online() == 3, "it joins with the keys of now\n" + self.cluster.log("stale"))
        worker.terminate()
        self.assertEqual(worker.wait(30), 0)

    def test_the_access_file_is_read_again_on_request(self):
        self.assertEqual(self.cluster.reeve("token", "create", "mallory", "--role", "read", "--out", "mallory.token").returncode, 0)
        look = ("--token-file", self.cluster.folder / "mallory.token", "ps")
        self.assertEqual(self.cluster.reeve(*look).returncode, 0)
        file = self.cluster.state / "access.json"
        file.write_text(file.read_text().replace('"mallory"', '"mallory2"'))
        file.write_text(re.sub(r'"secret_sha256": "(.)', lambda m: '"secret_sha256": "' + ("0" if m.group(1) != "0" else "1"), file.read_text()))
        self.cluster.processes["master"].send_signal(signal.SIGHUP)
        wait_for(lambda: self.cluster.reeve(*look).returncode == 3, "the token is no longer known")
        self.assertEqual(self.cluster.online(), 2)


class HalfTrustedWorkerTest(unittest.TestCase):
    """A worker that was let in says what it may not. On loopback, by a link that can be spoken by hand."""

    @classmethod
    def setUpClass(cls):
        link_api.load(RUNFILES / "proto")
        cls.cluster = Cluster(workers=0)
        cls.token = (cls.cluster.state / "token").read_bytes().strip()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def setUp(self):
        self.epoch = 1
        self.made = []

    def tearDown(self):
        for dealer in self.made:
            dealer.close()

    def dealer(self, port):
        self.made.append(proxy.Dealer(self.cluster.port + port))
        return self.made[-1]

    def say(self, dealer, kind, session, message, blob=b""):
        dealer.send(proxy.frames_of(proxy.TYPES[kind], self.epoch, session, message.SerializeToString(), blob))

    def hello(self, session, worker_id, handlers=("echo",), **fields):
        pb = link_api.pb
        dealer = self.dealer(1)
        hello = pb.link.Hello(number=1, last_page=True, token=self.token, worker_id=worker_id, process_id=worker_id + "-p", hostname="by-hand",
                              version="0", min_protocol=proxy.PROTOCOL, max_protocol=proxy.PROTOCOL,
                              handlers=[pb.worker.HandlerOffer(name=h, lane=pb.worker.THREAD) for h in handlers],
                              lanes=[pb.worker.LaneStatus(lane=pb.worker.THREAD, slots=1)], **fields)
        self.say(dealer, "HELLO", session, hello)
        return dealer

    def heard(self, dealer, kind, within=10):
        end = time.monotonic() + within
        while time.monotonic() < end:
            message = dealer.receive(max(0.1, end - time.monotonic()))
            if message and proxy.type_of(message) == proxy.TYPES[kind]:
                return message
        return None

    def test_results_and_output_of_anothers_task_do_not_count(self):
        pb = link_api.pb
        honest, liar = 0x1111, 0x2222
        mine = self.hello(honest, "honest")
        self.assertIsNotNone(self.heard(mine, "WELCOME"))
        job = self.cluster.reeve("submit", "-q", "--handler", "echo", "--input", "the truth").stdout.strip()
        assign = pb.link.Assign.FromString(self.heard(mine, "ASSIGN")[1])
        theirs = self.hello(liar, "liar", handlers=("sleep",))
        self.assertIsNotNone(self.heard(theirs, "WELCOME"))
        def results(output):
            body = pb.batch.ResultBatch(first=[0], count=[1], output_bytes=[len(output)], output=output).SerializeToString()
            batch = pb.link.Results.Batch(number=1, job_id=int(job), bytes=len(body), lease=assign.lease, first=assign.first,
                                          count=assign.count, run_ns=1000)
            return pb.link.Results(batches=[batch]), body

        def output(text):
            chunk = pb.link.Output.Chunk(job_id=int(job), index=0, attempt=1, stream=1, offset=0, bytes=len(text))
            return pb.link.Output(chunks=[chunk]), text
        for session in (liar, 0x3333):  # The second never said Hello.
            collector = self.dealer(2)
            self.say(collector, "OUTPUT", session, *output(b"a lie"))
            self.say(collector, "RESULTS", session, *results(b"a lie"))
        # The same from the one that holds the task is taken: so the others were heard, and did not count.
        own = self.dealer(2)
        self.say(own, "OUTPUT", honest, *output(b"my own words"))
        wait_for(lambda: "my own words" in self.cluster.reeve("logs", job).stdout, "what the holder said")
        self.assertNotIn("a lie", self.cluster.reeve("logs", job).stdout)
        self.assertNotEqual(self.cluster.reeve("results", job).stdout.strip(), "a lie")
        self.say(own, "RESULTS", honest, *results(b"the truth"))
        self.assertIsNotNone(self.heard(own, "RESULT_ACK"))
        waited = self.cluster.reeve("wait", job, "--timeout", "20s")
        self.assertEqual(waited.returncode, 0, waited.stderr)
        self.assertEqual(self.cluster.reeve("results", job).stdout.strip(), "the truth")

    def test_a_session_is_of_the_connection_that_said_hello(self):
        pb = link_api.pb
        session = 0x4444
        mine = self.hello(session, "settled", handlers=("digest",))
        self.assertIsNotNone(self.heard(mine, "WELCOME"))
        stranger = self.dealer(1)
        self.say(stranger, "GOODBYE", session, pb.link.Goodbye(reason="not mine to say"))
        self.say(mine, "HEARTBEAT", session, pb.link.Heartbeat(number=1))
        self.assertIsNotNone(self.heard(mine, "HEARTBEAT_ACK"))
        self.assertIn("by-hand", self.cluster.reeve("worker", "list").stdout)

    def test_a_hello_that_claims_the_world_is_refused_without_memory(self):
        pb = link_api.pb
        columns = dict(job_id=[1] * 10, birth_epoch=[1] * 10, birth_counter=[1] * 10, old_epoch=[1] * 10, lease=list(range(1, 11)),
                       first=[0] * 10, count=[2**32 - 1] * 10, phase=[2] * 10)
        for held in (pb.link.HeldRuns(**columns), pb.link.HeldRuns(**{**columns, "lease": [1]})):
            greedy = self.hello(0x5555, "greedy", held=held)
            answer = self.heard(greedy, "WELCOME")
            self.assertIsNotNone(answer)
            welcome = pb.link.Welcome.FromString(answer[1])
            # Refused, or told to drop every bit of it.
            self.assertTrue(welcome.refused or not any(welcome.lease), welcome)
        self.assertEqual(self.cluster.reeve("cluster", "info").returncode, 0)

    def test_a_worker_without_the_token_is_turned_away(self):
        pb = link_api.pb
        keep, self.__class__.token = self.token, b"wrong"
        try:
            dealer = self.hello(0x6666, "nobody")
        finally:
            self.__class__.token = keep
        welcome = pb.link.Welcome.FromString(self.heard(dealer, "WELCOME")[1])
        self.assertIn("wrong token", welcome.refused)


if __name__ == "__main__":
    unittest.main()
