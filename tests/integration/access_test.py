"""Who may call what: every method with every kind of token, jobs of others, limits, the audit log; and what listens by default."""

import json
import os
import subprocess
import threading
import time
import unittest

import grpc

from api_calls import Api
from cluster import Cluster, MASTER, RUNFILES, wait_for

DENIED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
ROLES = ["SUBMIT", "READ", "ADMIN", "WORKER"]


class AccessTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = Api()
        cls.cluster = Cluster(workers=1)
        cls.channel = grpc.insecure_channel(cls.cluster.address)
        cls.root = (cls.cluster.state / "token").read_text().strip()
        cls.tokens = {role: cls.make_token(role.lower() + "-er", [role]) for role in ROLES}

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.cluster.stop()

    @classmethod
    def make_token(cls, principal, roles, **fields):
        enum = cls.api.pool.FindEnumTypeByName("reeve.v1.Token.Role")
        token = cls.api.message("Token", principal=principal, roles=[enum.values_by_name[r].number for r in roles], **fields)
        return cls.api.call(cls.channel, "AccessService/CreateToken", cls.root, token=token).text

    def outcome(self, method, bearer, /, **fields):
        return self.api.outcome(self.channel, method, bearer, **fields)

    def create(self, token, handler="echo", count=1, **fields):
        return self.api.call(self.channel, "JobService/CreateJob", token, array={"count": count},
                             spec={"handler": handler, **fields}).job_id

    def test_every_method_asks_for_a_token_and_for_its_roles(self):
        revoked = self.make_token("gone", ["ADMIN"])
        self.api.call(self.channel, "AccessService/RevokeToken", self.root, token="gone")
        soon = self.api.message("Token").expire_time.__class__(seconds=int(time.time()) + 1)
        expired = self.make_token("late", ["ADMIN"], expire_time=soon)
        wait_for(lambda: self.outcome("ClusterService/GetCluster", expired) == "UNAUTHENTICATED", "the token expires")
        changed = self.root[:-1] + ("0" if self.root[-1] != "0" else "1")
        strangers = {"none": None, "empty": "", "nonsense": "x", "one letter off": changed, "revoked": revoked, "expired": expired,
                     "prefix": self.root[:10]}
        self.assertGreater(len(self.api.methods), 20)
        for name in self.api.methods:
            with self.subTest(method=name):
                roles = self.api.roles(name)
                self.assertTrue(roles, "a method without a rule")
                for what, token in strangers.items():
                    self.assertEqual(self.outcome(name, token), "UNAUTHENTICATED", what)
                for role in ROLES:
                    got = self.outcome(name, self.tokens[role])
                    if role in roles:
                        self.assertNotIn(got, DENIED, role)
                    else:
                        self.assertEqual(got, "PERMISSION_DENIED", role)
                self.assertNotIn(self.outcome(name, self.root), DENIED)

    def test_jobs_of_others_are_not_there(self):
        alice, bob = self.make_token("alice", ["SUBMIT"]), self.make_token("bob", ["SUBMIT"])
        job = self.create(alice)
        opened = self.api.call(self.channel, "JobService/CreateJob", alice, open=True, spec={"handler": "echo"}).job_id
        methods = {"JobService/GetJob": {}, "JobService/CancelJob": {}, "JobService/CloseJob": {}, "JobService/WatchJob": {},
                   "JobService/StreamResults": {}, "JobService/StreamLogs": {}, "TaskService/GetTask": {"index": 0},
                   "JobService/PauseJob": {}, "JobService/ResumeJob": {}, "JobService/UpdateJob": {}, "JobService/RetryJob": {},
                   "JobService/DeleteJob": {}, "TaskService/ListTasks": {}, "TaskService/ExplainTask": {"index": 0},
                   "JobService/AppendTasks": {"appender_id": "a"}}
        with_job = {name for name, method in self.api.methods.items() if "job_id" in method.input_type.fields_by_name}
        self.assertEqual(with_job, set(methods), "a method that names a job is missing here")
        for name, fields in methods.items():
            for of in (job, opened):
                self.assertEqual(self.outcome(name, bob, job_id=of, **fields), "NOT_FOUND", name)
        listed = self.api.call(self.channel, "JobService/ListJobs", bob)
        self.assertEqual([j.job_id for j in listed.jobs], [])
        mine = self.api.call(self.channel, "JobService/ListJobs", alice)
        self.assertEqual({j.job_id for j in mine.jobs}, {job, opened})
        self.assertEqual({j.owner for j in mine.jobs}, {"alice"})
        # Who reads sees all and controls nothing; with both roles one controls what is one's own.
        both = self.make_token("carol", ["SUBMIT", "READ"])
        self.assertEqual(self.outcome("JobService/GetJob", both, job_id=job), "OK")
        self.assertEqual(self.outcome("JobService/CancelJob", both, job_id=opened), "PERMISSION_DENIED")
        self.assertEqual(self.outcome("JobService/AppendTasks", both, job_id=opened, appender_id="a"), "PERMISSION_DENIED")
        self.assertEqual(self.outcome("JobService/CancelJob", self.tokens["ADMIN"], job_id=opened), "OK")

    def test_pages_of_one_are_full_among_many_of_others(self):
        dave = self.make_token("dave", ["SUBMIT"])
        mine = []
        for i in range(30):
            (mine.append(self.create(dave)) if i % 10 == 0 else self.create(self.root))
        page = self.api.call(self.channel, "JobService/ListJobs", dave, page_size=2)
        self.assertEqual([j.job_id for j in page.jobs], mine[:0:-1])
        rest = self.api.call(self.channel, "JobService/ListJobs", dave, page_size=2, page_token=page.next_page_token)
        self.assertEqual([j.job_id for j in rest.jobs], mine[:1])
        self.assertEqual(rest.next_page_token, "")

    def test_a_token_for_some_handlers_creates_no_other_jobs(self):
        token = self.make_token("karl", ["SUBMIT"], handlers=["echo"])
        self.create(token)
        fields = {"array": {"count": 1}, "spec": {"handler": "exec", "command": {"argv": ["false"]}}}
        for name in ("JobService/CreateJob", "JobService/RunJob"):
            self.assertEqual(self.outcome(name, token, **fields), "PERMISSION_DENIED", name)
        self.assertEqual(self.outcome("JobService/CreateJobs", token, jobs=[fields]), "PERMISSION_DENIED")
        schedule = {"name": "ids", "every": {"seconds": 60}, **fields}
        self.assertEqual(self.outcome("ScheduleService/CreateSchedule", token, schedule=schedule), "PERMISSION_DENIED")
        # The same principal, with a token for all: its jobs are not for the other token to repeat.
        whole = self.make_token("karl", ["SUBMIT"])
        self.assertEqual(self.outcome("ScheduleService/CreateSchedule", whole, schedule=schedule), "OK")
        self.assertEqual(self.outcome("ScheduleService/RunSchedule", token, name="ids"), "PERMISSION_DENIED")
        job = self.api.call(self.channel, "JobService/CreateJob", whole, **fields).job_id
        wait_for(lambda: self.api.call(self.channel, "JobService/GetJob", whole, job_id=job).HasField("end_time"), "its end")
        self.assertEqual(self.outcome("JobService/RetryJob", token, job_id=job), "PERMISSION_DENIED")

    def test_what_others_scheduled_or_did_cannot_be_used(self):
        nina, otto = self.make_token("nina", ["SUBMIT"]), self.make_token("otto", ["SUBMIT"])
        schedule = {"name": "mine", "every": {"seconds": 60}, "spec": {"handler": "echo"}, "array": {"count": 1}}
        for token in (nina, otto):
            self.assertEqual(self.outcome("ScheduleService/CreateSchedule", token, schedule=schedule), "OK", "names are its owner's")
        for name in ("Get", "Delete", "Pause", "Resume", "Run"):
            self.assertEqual(self.outcome(f"ScheduleService/{name}Schedule", otto, name="mine", owner="nina"), "NOT_FOUND", name)
        self.assertEqual(self.outcome("ScheduleService/PauseSchedule", self.tokens["ADMIN"], name="mine", owner="nina"), "OK")
        seen = self.api.call(self.channel, "ScheduleService/ListSchedules", otto).schedules
        self.assertEqual([(s.name, s.owner, s.paused) for s in seen], [("mine", "otto", False)])
        job = self.create(nina)
        self.assertEqual(self.outcome("JobService/CreateJob", otto, array={"count": 1},
                                      spec={"handler": "echo", "after": [{"job_id": job}]}), "NOT_FOUND")

    def test_a_request_id_is_its_principals_own(self):
        erin, frank = self.make_token("erin", ["SUBMIT"]), self.make_token("frank", ["SUBMIT"])
        fields = {"request_id": "the-same", "array": {"count": 1}, "spec": {"handler": "echo"}}
        jobs = [self.api.call(self.channel, "JobService/CreateJob", token, **fields).job_id for token in (erin, erin, frank, self.root)]
        self.assertEqual(jobs[0], jobs[1])
        self.assertEqual(len(set(jobs)), 3)

    def test_a_revoked_tokens_streams_end(self):
        token = self.make_token("grace", ["SUBMIT"])
        job = self.api.call(self.channel, "JobService/CreateJob", token, open=True, spec={"handler": "echo"}).job_id
        ended = []
        names = {"JobService/WatchJob": {}, "JobService/StreamResults": {"follow": True}, "JobService/StreamLogs": {"follow": True}}
        threads = [threading.Thread(target=lambda n=n, f=f: ended.append(self.outcome(n, token, job_id=job, timeout=60, **f)))
                   for n, f in names.items()]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        self.assertEqual(ended, [])
        self.api.call(self.channel, "AccessService/RevokeToken", self.root, token="grace")
        for thread in threads:
            thread.join(15)
        self.assertEqual(ended, ["CANCELLED"] * 3)

    def test_a_principal_that_asks_too_much_is_told_when_to_come_again(self):
        token = self.make_token("heidi", ["SUBMIT"])
        method = self.api.methods["JobService/GetJob"]
        request = self.api.factory.GetPrototype(method.input_type)(job_id=10**9)
        stub = self.channel.unary_unary("/reeve.v1.JobService/GetJob", request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=self.api.factory.GetPrototype(method.output_type).FromString)
        # All at once: one after the other they may take longer than the budget does to fill again.
        calls = [stub.future(request, metadata=[("authorization", f"Bearer {token}")]) for _ in range(5000)]
        errors = [call.exception() for call in calls]
        refused = next((error for error in errors if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED), None)
        self.assertIsNotNone(refused, "5,000 calls at once were all let in")
        details = dict(refused.trailing_metadata())["grpc-status-details-bin"]
        self.assertIn(b"TOO_MANY_REQUESTS", details)
        self.assertIn(b"RetryInfo", details)
        # Others, and root, do not notice.
        self.assertEqual(self.outcome("ClusterService/GetCluster", self.tokens["READ"]), "OK")
        wait_for(lambda: self.outcome("JobService/GetJob", token, job_id=10**9) == "NOT_FOUND", "it may come again")

    def test_a_principal_has_so_many_streams(self):
        token = self.make_token("ivan", ["SUBMIT"])
        job = self.api.call(self.channel, "JobService/CreateJob", token, open=True, spec={"handler": "echo"}).job_id
        method = self.api.methods["JobService/WatchJob"]
        request = self.api.factory.GetPrototype(method.input_type)(job_id=job)
        stub = self.channel.unary_stream("/reeve.v1.JobService/WatchJob", request_serializer=lambda m: m.SerializeToString(),
                                         response_deserializer=self.api.factory.GetPrototype(method.output_type).FromString)
        metadata = [("authorization", f"Bearer {token}")]
        calls = [stub(request, metadata=metadata) for _ in range(256)]
        for call in calls:
            next(call)
        self.assertEqual(self.outcome("JobService/WatchJob", token, job_id=job), "RESOURCE_EXHAUSTED")
        for call in calls:
            call.cancel()
        self.api.call(self.channel, "JobService/CancelJob", token, job_id=job)
        wait_for(lambda: self.outcome("JobService/WatchJob", token, job_id=job) == "OK", "streams are given back")

    def test_the_audit_log_says_who_did_what(self):
        token = self.make_token("judy", ["SUBMIT"])
        job = self.create(token)
        self.outcome("AccessService/ListTokens", token)
        self.outcome("JobService/CancelJob", token, job_id=job)
        self.outcome("JobService/AppendTasks", token, job_id=job, appender_id="a")
        log = self.cluster.state / "audit.log"

        def lines():
            return [json.loads(line) for line in log.read_text().splitlines() if '"judy"' in line or "of judy" in line]
        wait_for(lambda: len(lines()) >= 5, "five lines")
        got = [(line["principal"], line["method"].split("/")[1], line["subject"].split(" ")[0], line["result"]) for line in lines()]
        self.assertEqual(got[:3], [("root", "CreateToken", "token", "OK"), ("judy", "CreateJob", "job", "OK"),
                                   ("judy", "ListTokens", "", "NOT_PERMITTED")])
        self.assertEqual([line[:3] for line in got[3:]], [("judy", "CancelJob", "job"), ("judy", "AppendTasks", "job")])
        self.assertTrue(all(line["peer"].startswith(("ipv4:127.0.0.1", "ipv6:")) for line in lines() if line["principal"] == "judy"))
        secret = token.split(".")[2]
        for file in self.cluster.state.rglob("*"):
            if file.is_file() and file.name != "reserve":
                self.assertNotIn(secret.encode(), file.read_bytes(), file)

    def test_reflection_asks_for_a_token_and_health_does_not(self):
        reflect = self.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                             request_serializer=lambda b: b, response_deserializer=lambda b: b)
        list_services = b"\x3a\x01*"
        for metadata in ([], [("authorization", "Bearer wrong")]):
            with self.assertRaises(grpc.RpcError) as refused:
                list(reflect(iter([list_services]), metadata=metadata, timeout=10))
            self.assertEqual(refused.exception.code(), grpc.StatusCode.CANCELLED)
        answers = list(reflect(iter([list_services]), metadata=[("authorization", f"Bearer {self.root}")], timeout=10))
        self.assertIn(b"reeve.v1.JobService", answers[0])
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=lambda b: b, response_deserializer=lambda b: b)
        self.assertEqual(check(b"", timeout=10), b"\x08\x01")

    def test_strings_of_clients_are_data_in_store_and_log(self):
        evil = "'; DROP TABLE jobs; --\n2026-01-01T00:00:00.000 I reeve-master forged line\x1b[2J"
        job = self.api.call(self.channel, "JobService/CreateJob", self.root, request_id="'; DROP TABLE requests; --", open=True,
                            spec={"handler": "echo", "name": evil, "params": {evil: evil}}).job_id
        for name, fields in {"JobService/AppendTasks": {"job_id": job, "appender_id": "'; DROP TABLE appenders; --"},
                             "AccessService/RevokeToken": {"token": evil}, "WorkerService/RevokeWorker": {"worker": evil},
                             "WorkerService/DrainWorker": {"worker": evil}}.items():
            self.assertNotIn(self.outcome(name, self.root, **fields), {"INTERNAL", "UNKNOWN", "DATA_LOSS"}, name)
        read = self.api.call(self.channel, "JobService/GetJob", self.root, job_id=job)
        self.assertEqual((read.spec.name, dict(read.spec.params)), (evil, {evil: evil}))
        self.assertEqual(self.outcome("JobService/CancelJob", self.root, job_id=job), "OK")
        again = self.api.call(self.channel, "JobService/GetJob", self.root, job_id=job)  # From the store, now.
        self.assertEqual(again.spec.name, evil)
        written = self.cluster.log("master") + (self.cluster.state / "audit.log").read_text()
        self.assertNotIn("\x1b", written)
        self.assertFalse([line for line in written.splitlines() if line.startswith("2026-01-01")])

    def test_the_page_on_security_says_first_what_matters_most(self):
        page = (RUNFILES / "docs/security.md").read_text().splitlines()
        self.assertIn("Who may submit a command job owns the account that the workers run as", page[2])

    def test_only_loopback_is_listened_on_by_default(self):
        ports = range(self.cluster.port, self.cluster.port + 4)
        listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
        ours = [line.split()[3] for line in listening.splitlines() if int(line.split()[3].rsplit(":", 1)[1]) in ports]
        self.assertEqual(len(ours), 3, ours)
        for address in ours:
            self.assertIn(address.rsplit(":", 1)[0], ("127.0.0.1", "[::ffff:127.0.0.1]"))

    def test_plaintext_beyond_loopback_is_refused_with_the_right_way(self):
        for host in ("0.0.0.0", "*", "::", "eth0", "no-such-host.invalid", "::ffff:0.0.0.0", "192.0.2.1"):
            done = subprocess.run([MASTER, "--listen", host, "--plaintext", "--init", "--port", str(self.cluster.port + 10), "--state-dir",
                                   self.cluster.folder / "other"], env=self.cluster.env, capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 78, (host, done.stderr))
            self.assertIn("reeve-master --listen", done.stderr)

    def test_a_worker_does_not_go_to_another_machine_without_keys(self):
        worker = self.cluster.spawn("outward", [MASTER.parent.parent / "worker/reeve-worker", "--master", "192.0.2.1:7520", "--allow-root", "--state-dir",
                                                self.cluster.folder / "outward", "--token-file", self.cluster.state / "token"])
        self.assertEqual(worker.wait(20), 78)
        self.assertIn("reeve worker join 192.0.2.1:7520", self.cluster.log("outward"))

    def test_root_is_told_before_it_joins_another_machine(self):
        joined = self.cluster.reeve("worker", "join", "192.0.2.1:7520", "--token-file", self.cluster.state / "token")
        if os.geteuid() == 0:
            self.assertEqual(joined.returncode, 2, joined.stderr)
            self.assertIn("-- --allow-root", joined.stderr)
        else:
            self.assertEqual(joined.returncode, 3, joined.stderr)

    def test_a_client_does_not_send_its_token_to_another_machine_without_a_certificate(self):
        done = self.cluster.reeve("--master", "192.0.2.1:7520", "ps")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("reeve context add 192.0.2.1:7520", done.stderr)

    def test_a_dead_gate_ends_the_master(self):
        with Cluster(workers=0, env=[("REEVE_FAILPOINTS", "gate.dies=error:40")]) as cluster:
            self.assertEqual(cluster.processes["master"].wait(60), 70)
            self.assertIn("the gate of the link does not answer", cluster.log("master"))


if __name__ == "__main__":
    unittest.main()
