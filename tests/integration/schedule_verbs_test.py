"""`reeve schedule …` against a master that only notes what it is asked: which request a command line makes, and what is printed of
the answer. What schedules do is in schedules_test.py."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from cluster import REEVE, RUNFILES

GENERATED = pathlib.Path(os.environ["TEST_TMPDIR"]) / "generated"
GENERATED.mkdir(exist_ok=True)
subprocess.run(["protoc", f"-I{RUNFILES}/proto", f"--python_out={GENERATED}", f"--grpc_out={GENERATED}",
                "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin",
                *sorted(str(p.relative_to(RUNFILES / "proto")) for p in (RUNFILES / "proto/reeve/v1").glob("*.proto"))], check=True)
sys.path.insert(0, str(GENERATED))

import grpc  # noqa: E402
from google.protobuf.timestamp_pb2 import Timestamp  # noqa: E402
from reeve.v1 import job_pb2, schedule_pb2, services_pb2, services_pb2_grpc  # noqa: E402

Schedule = schedule_pb2.Schedule


def at(text):
    time = Timestamp()
    time.FromJsonString(text)
    return time


class Master(services_pb2_grpc.ScheduleServiceServicer):
    """Answers with `schedule` whatever it is asked, and keeps the requests."""

    def __init__(self):
        self.requests = []
        self.schedule = Schedule()

    def _note(self, request):
        assert request.request_id != "", "a mutating call has a request id"
        self.requests.append(request)

    def CreateSchedule(self, request, context):
        self._note(request)
        if request.schedule.name == "taken":
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "there is a schedule `taken`")
        return request.schedule

    def GetSchedule(self, request, context):
        self.requests.append(request)
        if request.name == "missing":
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no schedule `missing`")
        return self.schedule

    def ListSchedules(self, request, context):
        return services_pb2.ListSchedulesResponse(schedules=[self.schedule])

    def DeleteSchedule(self, request, context):
        self._note(request)
        return services_pb2.DeleteScheduleResponse()

    def PauseSchedule(self, request, context):
        self._note(request)
        return self.schedule

    def ResumeSchedule(self, request, context):
        self._note(request)
        return self.schedule

    def RunSchedule(self, request, context):
        self._note(request)
        return job_pb2.Job(job_id=42)

    def ListFireTimes(self, request, context):
        self.requests.append(request)
        times = [at("2026-03-28T02:00:00Z"), at("2026-03-29T01:00:00Z"), at("2026-03-30T01:00:00.5Z")]
        return services_pb2.ListFireTimesResponse(times=times[:request.count])


class ScheduleVerbsTest(unittest.TestCase):
    def setUp(self):
        self.master = Master()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        services_pb2_grpc.add_ScheduleServiceServicer_to_server(self.master, self.server)
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        token = pathlib.Path(self.folder.name) / "token"
        token.write_text("x\n")
        self.env = {"HOME": self.folder.name, "PATH": "/usr/bin:/bin", "REEVE_MASTER": f"127.0.0.1:{port}",
                    "REEVE_TOKEN_FILE": str(token), "TZ": "America/New_York"}

    def tearDown(self):
        self.server.stop(None)
        self.folder.cleanup()

    def reeve(self, *args, stdin=""):
        return subprocess.run([str(REEVE), *args], env=self.env, input=stdin, capture_output=True, text=True, timeout=60,
                              cwd=self.folder.name)

    def create(self, *args, **kwargs):
        """The schedule that `create` asks for."""
        done = self.reeve("schedule", "create", *args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.master.requests.pop().schedule

    def refused(self, *args, **kwargs):
        """What is said of a wrong command line; the master hears nothing of it."""
        done = self.reeve("schedule", *args, **kwargs)
        self.assertEqual((done.returncode, done.stdout), (2, ""), (args, done.stderr[-300:]))
        self.assertEqual(self.master.requests, [])
        return done.stderr

    def test_an_interval_makes_a_job_of_the_command(self):
        schedule = self.create("beat", "--every", "1500ms", "--", "./beat", "-v")
        self.assertEqual((schedule.name, schedule.WhichOneof("cadence")), ("beat", "every"))
        self.assertEqual((schedule.every.seconds, schedule.every.nanos), (1, 500_000_000))
        self.assertEqual((schedule.spec.name, schedule.spec.handler), ("beat", "exec"), "jobs have the schedule's name")
        self.assertEqual(schedule.batch.inputs, b"./beat\0-v\0")
        self.assertEqual(schedule.spec.command.working_directory, self.folder.name)
        self.assertEqual((schedule.overlap, schedule.catch_up, schedule.remaining_count, schedule.paused), (0, 0, 0, False))
        self.assertFalse(schedule.HasField("jitter"))

    def test_cron_has_a_zone_and_policies(self):
        schedule = self.create("nightly", "--cron", "0 3 * * *", "--tz", "Europe/Prague", "--overlap", "replace", "--catch-up", "ALL",
                               "--jitter", "5m", "--count", "7", "--paused", "--name", "report", "--retries", "2", "--", "./report.sh")
        self.assertEqual((schedule.cron, schedule.time_zone), ("0 3 * * *", "Europe/Prague"))
        self.assertEqual((schedule.overlap, schedule.catch_up), (Schedule.REPLACE, Schedule.ALL))
        self.assertEqual((schedule.jitter.seconds, schedule.remaining_count, schedule.paused), (300, 7, True))
        self.assertEqual(schedule.spec.name, "report")
        for name, value in {"skip": Schedule.SKIP, "queue": Schedule.QUEUE, "allow": Schedule.ALLOW}.items():
            self.assertEqual(self.create("n", "--cron", "@daily", "--overlap", name, "--", "true").overlap, value)
        for name, value in {"none": Schedule.NONE, "last": Schedule.LAST}.items():
            self.assertEqual(self.create("n", "--cron", "@daily", "--catch-up", name, "--", "true").catch_up, value)

    def test_once_is_a_time_here_or_in_the_zone(self):
        for args, want in ((["--at", "2026-12-24T18:00:00+01:00"], "2026-12-24T17:00:00Z"),
                           (["--at", "2026-12-24 18:00"], "2026-12-24T23:00:00Z"),
                           (["--at", "2026-12-24 18:00", "--tz", "Europe/Prague"], "2026-12-24T17:00:00Z"),
                           (["--at", "2026-12-24T18:00:00.25Z"], "2026-12-24T18:00:00.25Z")):
            schedule = self.create("once", *args, "--", "true")
            self.assertEqual((schedule.WhichOneof("cadence"), schedule.at), ("at", at(want)), args)
            self.assertEqual(schedule.time_zone, "")

    def test_inputs_come_from_where_those_of_submit_do(self):
        every = ("n", "--every", "1m")
        self.assertEqual(self.create(*every, "--array", "1-9:2%2", "--", "./step").array.count, 5)
        self.assertEqual(self.create(*every, "--handler", "echo", "--input", "hello").batch.inputs, b"hello")
        batch = self.create(*every, "--", "wc", ":::", "a", "bc").batch
        self.assertEqual((batch.task_count, list(batch.input_bytes), batch.inputs), (2, [1, 2], b"abc"))
        batch = self.create(*every, "--lines", "-", "--handler", "echo", stdin="x\ny\n").batch
        self.assertEqual((batch.task_count, batch.inputs), (2, b"xy"))
        self.assertIn("1 MiB", self.refused("create", *every, "--handler", "echo", "--lines", "-", stdin="z" * 999 + "\n" + "y\n" * 2_000_000))
        self.assertIn("one at least", self.refused("create", *every, "--handler", "echo", "--lines", "-", stdin=""))

    def test_a_wrong_command_line_is_explained(self):
        for args, words in {("create", "n", "--", "true"): "one of --cron, --every and --at",
                            ("create", "n", "--cron", "@daily", "--every", "1s", "--", "true"): "one of --cron, --every and --at",
                            ("create", "n", "--every", "1s", "--tz", "UTC", "--", "true"): "--tz goes with --cron and --at",
                            ("create", "n", "--every", "never", "--", "true"): "--every 'never' is no duration",
                            ("create", "n", "--at", "noon", "--", "true"): "--at 'noon' is no time",
                            ("create", "n", "--at", "18:00", "--tz", "Mars", "--", "true"): "--tz 'Mars' is no time zone",
                            ("create", "n", "--cron", "@daily", "--overlap", "never", "--", "true"): "skip, queue, replace or allow",
                            ("create", "n", "--cron", "@daily", "--overlap", "overlap_unspecified", "--", "true"): "skip, queue, replace or allow",
                            ("create", "n", "--cron", "@daily", "--catch-up", "first", "--", "true"): "none, last or all",
                            ("create", "n", "--cron", "@daily", "--count", "0", "--", "true"): "--count",
                            ("create", "n", "--cron", "@daily"): "the command is missing",
                            ("create", "--cron", "@daily", "--", "true"): "schedule is required",
                            ("create", "n", "--cron", "@daily", "--dry-run", "--", "true"): "--dry-run",
                            ("next", "n", "-n", "0"): "-n",
                            ("next", "n", "-n", "1001"): "-n",
                            ("stop", "n"): "there is no verb `stop`"}.items():
            self.assertIn(words, self.refused(*args), args)

    def test_what_was_created_is_told(self):
        done = self.reeve("schedule", "create", "beat", "--every", "90s", "--", "true")
        self.assertEqual(done.stdout, "beat: every 1m30s; next: never\n")
        done = self.reeve("schedule", "create", "beat", "--cron", "@daily", "--json", "--request-id", "r1", "--", "true")
        self.assertEqual(json.loads(done.stdout)["cron"], "@daily")
        self.assertEqual(self.master.requests[-1].request_id, "r1")

    def test_a_refusal_keeps_its_exit_code(self):
        done = self.reeve("schedule", "create", "taken", "--every", "90s", "--", "true")
        self.assertEqual((done.returncode, done.stdout), (5, ""))
        self.assertIn("there is a schedule `taken`", done.stderr)
        self.assertEqual(self.reeve("schedule", "get", "missing").returncode, 4)
        self.assertEqual(self.reeve("schedule", "next", "missing").returncode, 4)

    def test_schedules_are_listed_and_shown(self):
        self.master.schedule = Schedule(
            name="nightly", cron="0 3 * * *", time_zone="Europe/Prague", overlap=Schedule.SKIP, catch_up=Schedule.LAST, owner="alice",
            remaining_count=3, spec=job_pb2.JobSpec(handler="exec"), create_time=at("2026-03-01T00:00:00Z"),
            next_time=at("2026-03-29T01:00:00Z"), last_time=at("2026-03-28T02:00:00Z"), last_job_id=7, fired_count=27, skipped_count=1,
            last_error="QUEUE_FULL: \x1b[2J")
        rows = [line.split() for line in self.reeve("schedule", "list").stdout.splitlines()]
        self.assertEqual(rows[1], ["nightly", "0", "3", "*", "*", "*", "Europe/Prague", "2026-03-29", "03:00:00", "+02:00", "7", "27", "1",
                                   "alice"])
        self.assertEqual(json.loads(self.reeve("schedule", "list", "--json").stdout)["schedules"][0]["name"], "nightly")
        text = self.reeve("schedule", "get", "nightly", "--owner", "alice").stdout
        self.assertEqual((self.master.requests[-1].name, self.master.requests[-1].owner), ("nightly", "alice"))
        for line in ("when        0 3 * * * Europe/Prague", "next        2026-03-29 03:00:00 +02:00", "overlap     skip",
                     "catch up    last", "remaining   3", "last        2026-03-28 03:00:00 +01:00: job 7", "fired       27, skipped 1",
                     "last error  QUEUE_FULL: ?[2J"):
            self.assertIn(line + "\n", text)
        self.assertEqual(json.loads(self.reeve("schedule", "get", "nightly", "--json").stdout)["last_job_id"], "7")

    def test_next_prints_times_in_the_zone_of_the_schedule(self):
        self.master.schedule = Schedule(name="nightly", cron="0 3 * * *", time_zone="Europe/Prague", paused=True)
        done = self.reeve("schedule", "next", "nightly", "-n", "2")
        self.assertEqual(done.stdout, "2026-03-28 03:00:00 +01:00\n2026-03-29 03:00:00 +02:00\n")
        self.assertIn("it is paused", done.stderr)
        self.master.schedule = Schedule(name="beat", cron="* * * * *")
        self.assertEqual(self.reeve("schedule", "next", "beat").stdout.splitlines()[2], "2026-03-30 01:00:00.5 +00:00")
        self.assertEqual(self.master.requests[-2].count, 10)
        self.assertEqual(len(json.loads(self.reeve("schedule", "next", "beat", "--json").stdout)["times"]), 3)
        self.master.schedule = Schedule(name="odd", cron="* * * * *", time_zone="Mars/Olympus")
        self.assertEqual(self.reeve("schedule", "next", "odd", "-n", "1").stdout, "2026-03-28 02:00:00 +00:00\n")

    def test_changes_name_the_schedule_and_its_owner(self):
        self.master.schedule = Schedule(name="beat", cron="* * * * *", next_time=at("2026-03-28T02:00:00Z"))
        for verb, kind, said in (("pause", services_pb2.PauseScheduleRequest, "beat is paused\n"),
                                 ("resume", services_pb2.ResumeScheduleRequest, "beat goes on; next: 2026-03-28 02:00:00 +00:00\n"),
                                 ("run", services_pb2.RunScheduleRequest, "42\n"),
                                 ("delete", services_pb2.DeleteScheduleRequest, "")):
            done = self.reeve("schedule", verb, "beat", "--owner", "alice")
            self.assertEqual((done.returncode, done.stdout), (0, said), done.stderr)
            request = self.master.requests.pop()
            self.assertEqual((type(request), request.name, request.owner), (kind, "beat", "alice"))
            quiet = self.reeve("schedule", verb, "beat", "-q")
            self.assertEqual((quiet.stdout, quiet.stderr), (said, ""))
        self.assertEqual(json.loads(self.reeve("schedule", "run", "beat", "--json").stdout)["job_id"], "42")


if __name__ == "__main__":
    unittest.main(verbosity=2)
