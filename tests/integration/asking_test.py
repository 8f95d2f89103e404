"""What a job can ask for, through the command line and against real processes: each option, and what becomes of the job."""

import json
import os
import pathlib
import re
import subprocess
import threading
import time
import unittest

from cluster import Cluster, MASTER, REEVE, RUNFILES, WORKER, wait_for


class AskingCase(unittest.TestCase):
    """A cluster for each class, and what the tests say of it."""
    workers = [("east", ("--name", "east", "--label", "zone=eu", "--resource", "gpu=1")), ("west", ("--name", "west", "--label", "zone=us"))]

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=0, slots=4)
        for name, flags in cls.workers:
            cls.cluster.start_worker(name, flags=flags)
        cls.cluster.wait_for_workers(len(cls.workers))

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def setUp(self):
        self.folder = self.cluster.folder / self.id().rsplit(".", 1)[1]
        self.folder.mkdir()

    def reeve(self, *args, **kwargs):
        kwargs.setdefault("cwd", self.folder)
        return self.cluster.reeve(*args, **kwargs)

    def ok(self, *args, **kwargs):
        done = self.reeve(*args, **kwargs)
        self.assertEqual(done.returncode, 0, (args, done.stdout, done.stderr))
        return done.stdout

    def submit(self, *args, **kwargs):
        return int(self.ok("submit", "-q", *args, **kwargs))

    def job(self, job):
        return json.loads(self.ok("job", "get", job, "--json"))

    def wait(self, job, code=0):
        done = self.reeve("wait", job, "--timeout", "60s")
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr, self.ok("job", "get", job)))
        return self.job(job)

    def why(self, task):
        return json.loads(self.ok("task", "why", task, "--json"))

    def waits(self, task):
        return self.why(task).get("waits", [])

    def task(self, task):
        return json.loads(self.ok("task", "get", task, "--json"))

    def refused(self, code, reason, *args, **kwargs):
        done = self.reeve("--json", *args, **kwargs)
        self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
        error = json.loads(done.stderr)["error"]
        self.assertEqual(error["reason"], reason, error)
        return error["message"]

    def lines(self, name="log"):
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def gate(self, name="go"):
        """A command that waits for a file, and the file."""
        path = self.folder / name
        return f"until test -e {path}; do sleep 0.02; done; : {{}}", path

    def running(self, job, count=1):
        wait_for(lambda: int(self.job(job)["counts"].get("assigned", 0)) == count, f"{count} tasks of {job} at workers")


class WrongValuesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(start=False)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def test_a_wrong_value_is_exit_code_2_and_says_what_it_may_be(self):
        for options, says in (
                (("--priority", "10"), "0 to 9"), (("--priority", "-1"), "0 to 9"), (("--retries", "1000"), "0 to 999"),
                (("--retry-backoff", "soon"), "30s"), (("--retry-backoff", "5m,1s"), "1s,5m"), (("--retry-on", "256"), "1 to 255"),
                (("--retry-on", "bored"), "EXIT_NONZERO"), (("--soft-time-limit", "x"), "no duration"), (("--start-at", "whenever"), "2026-12-24"),
                (("--delay", "0"), "above 0"), (("--deadline", "never"), "no duration"), (("--deadline", "25:61"), "no time"),
                (("--start-at", "18:00", "--delay", "1s"), "not both"), (("--label", "team"), "NAME=VALUE"), (("--unique", "\t"), "printable"),
                (("--unique", "k", "--if-exists", "maybe"), "reject, attach or replace"), (("--if-exists", "attach"), "--unique"),
                (("--limit", "key=.host"), "key=.host:2"), (("--limit", "key=host:2"), "key=.host:2"), (("--limit", "time=2"), "cpu, memory"),
                (("--rate", "5/s"), "key=.host:5/s"), (("--rate", "key=.host:5"), "5/s"), (("--limit", "key=.a:2", "--rate", "key=.b:1/s"), "one key"),
                (("--resource", "gpu"), "gpu=0.5"), (("--resource", "gpu=-1"), "0.001"), (("--on", "a zone=eu"), "!NAME"),
                (("--after", "soon"), "names no job"), (("--after", "all"), "42"), (("--after", "42:maybe"), "success, failure or end"),
                (("--after-results",), "--after"), (("--results-of", "42:a/b"), "A-Z"), (("--if-unmet", "cry"), "cancel or skip"),
                (("--halt", "0"), "10%"), (("--halt", "100%"), "1% to 99%"), (("--halt", "soft"), "success"), (("--queue", "a b"), "a-z"),
                (("--close-when-idle", "x"), "no duration"), (("--open", "--count", "3"), "complete")):
            done = self.cluster.reeve("submit", *options, "--", "true")
            self.assertEqual((done.returncode, done.stdout), (2, ""), (options, done.stderr))
            self.assertIn(says, done.stderr, options)

    def test_verbs_say_what_they_want(self):
        for args, says in ((("update", "3"), "--priority"), (("queue", "set", "x", "--rate", "fast"), "none"), (("queue", "set", "a b"), "a-z"),
                           (("queue", "set", "x", "--weight", "0"), "1 to 1000"), (("retry", "3", "--state", "running"), "failed, cancelled"),
                           (("retry", "3", "--reason", "mood"), "TIMEOUT"), (("retry", "3", "--exit-code", "0"), "1 to 255"),
                           (("retry", "3", "--task", "x"), "5-8"), (("ps", "--state", "tired"), "expired"), (("ps", "--label", "=x"), "NAME=VALUE"),
                           (("paus", "3"), "did you mean `pause`"),
                           (("append", "3", "--appender", "", ":::", "x"), "1 to 64"),
                           (("append", "3", "--appender", "ü", ":::", "x"), "printable"), (("append", "3", "--appender", "a", "--block", "1K"), "--block"),
                           (("submit", "-f", "nowhere.yaml"), "cannot read nowhere.yaml"),
                           (("submit", "-f", "x", "--queue", "q"), "--queue does not go with --file")):
            done = self.cluster.reeve(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (args, done.stderr))
            self.assertIn(says, done.stderr, args)


class AttemptsTest(AskingCase):
    def test_retry_on_names_what_is_tried_again(self):
        for options, code, attempts in ((("--retries", "2"), 75, 3), (("--retries", "2", "--retry-on", "75"), 75, 3),
                                        (("--retries", "2", "--retry-on", "75,timeout"), 3, 1), (("--retries", "2", "--retry-on", "exit_nonzero"), 3, 3),
                                        (("--retries", "2", "--retry-on", "signalled"), 3, 1)):
            log = self.folder / f"{code}-{'-'.join(options[2:])}"
            done = self.reeve("run", "--retry-backoff", "1ms", *options, "--", "sh", "-c", f"echo x >> '{log}'; exit {code}")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual(log.read_text().count("x"), attempts, options)

    def test_a_back_off_is_waited_for_and_told(self):
        job = self.submit("--retries", "1", "--retry-backoff", "1h,2h", "--", "sh", "-c", "exit 1")
        wait_for(lambda: self.task(f"{job}/0")["state"] == "SCHEDULED", "the back-off")
        self.assertEqual(self.waits(f"{job}/0"), ["BACK_OFF"])
        self.ok("cancel", job)

    def test_progress_is_shown_by_ps_watch_and_job_get(self):
        gate, go = self.gate()
        job = self.submit("--shell", f"echo '0.4 page 7' >&$REEVE_PROGRESS_FD; {gate}")
        wait_for(lambda: "40.0 %, page 7" in self.ok("task", "get", f"{job}/0"), "the progress")
        self.assertIn("40.0 %, page 7", self.ok("ps"))
        self.assertIn("task 0: 40.0 %, page 7", self.ok("job", "get", job))
        watch = subprocess.Popen(self.cluster.command("watch", job), env=self.cluster.env, stdout=subprocess.PIPE, text=True)
        self.assertIn("ACTIVE, 0 of 1 done, 0 failed, 1 at workers; task 0: 40.0 %, page 7", watch.stdout.readline())
        go.touch()
        lines = watch.stdout.read().splitlines()
        self.assertEqual(lines[-1], f"job {job}: SUCCEEDED, 1 of 1 done, 0 failed, 0 at workers")
        watch.stdout.close()
        self.assertEqual(watch.wait(20), 0)

    def test_a_soft_limit_lets_the_attempt_end_well(self):
        done = self.reeve("run", "--soft-time-limit", "300ms", "--time-limit", "30s", "--", "sh", "-c",
                          "trap 'echo in time; exit 0' TERM; while :; do sleep 0.02; done")
        self.assertEqual((done.returncode, done.stdout), (0, "in time\n"), done.stderr)
        self.assertNotEqual(self.reeve("submit", "--soft-time-limit", "3s", "--time-limit", "2s", "--", "true").returncode, 0)

    def test_halt_stops_after_so_many_failures(self):
        job = self.submit("--array", "1-1000", "--max-in-flight", "1", "--halt", "3", "--", "sh", "-c", "exit 1")
        ended = self.wait(job, 1)
        self.assertEqual((ended["state"], ended["cause"]), ("FAILED", "STOP_RULE"))
        self.assertEqual(int(ended["counts"]["failed"]), 3)
        self.assertEqual(int(ended["counts"]["cancelled"]), 997)
        job = self.submit("--array", "1-100", "--max-in-flight", "1", "--halt", "10%", "--", "sh", "-c", "exit 1")
        self.assertEqual(int(self.wait(job, 1)["counts"]["failed"]), 11)

    def test_halt_softly_lets_running_ones_end(self):
        gate, go = self.gate()
        job = self.submit("--array", "1-8%2", "--halt", "1,soft", "--shell", f"if test {{}} = 1; then exit 1; fi; {gate}; echo {{}} >> log")
        wait_for(lambda: int(self.job(job)["counts"].get("failed", 0)) == 1, "the failure")
        go.touch()
        ended = self.wait(job, 1)
        self.assertEqual((ended["state"], ended["cause"]), ("FAILED", "STOP_RULE"))
        self.assertEqual(int(ended["counts"]["succeeded"]), len(self.lines()))
        self.assertGreaterEqual(len(self.lines()), 1)
        self.assertLess(len(self.lines()), 7)

    def test_the_first_success_is_enough(self):
        job = self.submit("--halt", "success", "--max-in-flight", "2", "--shell", "if test {} = 3; then exit 0; fi; exit 1", ":::", *map(str, range(1, 100)))
        ended = self.wait(job)
        self.assertEqual((ended["state"], ended["cause"], ended["counts"]["succeeded"]), ("SUCCEEDED", "STOP_RULE", "1"))


class TimesTest(AskingCase):
    def test_a_delayed_job_starts_at_its_time(self):
        job = self.submit("--delay", "1h", "--", "true")
        self.assertEqual(self.task(f"{job}/0")["state"], "SCHEDULED")
        self.assertEqual(self.waits(f"{job}/0"), ["START_TIME"])
        self.ok("cancel", job)
        before = time.time()
        self.ok("run", "--delay", "700ms", "--", "touch", "ran")
        self.assertGreaterEqual((self.folder / "ran").stat().st_mtime, before + 0.69)

    def test_start_at_is_a_time_with_or_without_an_offset(self):
        day = f"{time.gmtime().tm_year + 1}-01-02"
        for text, at in (("T12:00:00Z", "T12:00:00Z"), ("T12:00:00+02:00", "T10:00:00Z"), (" 12:00", "T17:00:00Z"), (" 12:00:05", "T17:00:05Z")):
            job = self.submit("--start-at", day + text, "--", "true", env={"TZ": "Etc/GMT+5"})
            self.assertEqual(self.job(job)["spec"]["start_time"], day + at)
            self.ok("cancel", job)
        self.ok("run", "--start-at", "2020-01-01", "--", "true")

    def test_what_runs_at_the_deadline_is_stopped_and_the_exit_code_is_8(self):
        job = self.submit("--deadline", "1s", "--array", "1-3%1", "--", "sleep", "1000")
        done = self.reeve("wait", job, "--timeout", "60s")
        self.assertEqual(done.returncode, 8, done.stderr)
        self.assertIn("its deadline passed", done.stderr)
        ended = self.job(job)
        self.assertEqual((ended["state"], ended["cause"]), ("EXPIRED", "DEADLINE"))
        self.assertEqual(int(ended["counts"]["expired"]), 3)
        self.assertEqual(self.task(f"{job}/2")["state"], "EXPIRED")
        self.assertEqual(self.reeve("run", "--deadline", "500ms", "--", "sleep", "1000").returncode, 8)
        self.assertEqual(self.reeve("results", job, "--follow").returncode, 8)
        self.assertEqual(self.reeve("map", "--deadline", "500ms", "--", "sleep", ":::", "1000").returncode, 8)

    def test_cancelled_comes_before_expired_and_expired_before_failed(self):
        failed = self.submit("--", "false")
        expired = self.submit("--deadline", "100ms", "--", "sleep", "1000")
        cancelled = self.submit("--hold", "--", "true")
        self.ok("cancel", cancelled)
        self.assertEqual(self.reeve("wait", failed, expired).returncode, 8)
        self.assertEqual(self.reeve("wait", failed, cancelled, expired).returncode, 7)


class QueuesTest(AskingCase):
    def test_a_queue_is_set_up_paused_resumed_and_deleted(self):
        self.ok("queue", "set", "q1", "--weight", "3", "--max-in-flight", "2", "--rate", "50/s:5", "--retry-rate", "1/m", "--max-tasks", "2")
        queue = json.loads(self.ok("queue", "pause", "q1", "--json"))
        self.assertEqual((queue["name"], queue["weight"], queue["max_in_flight"], queue["max_tasks"], queue["paused"]), ("q1", 3, 2, "2", True))
        self.assertEqual((queue["rate"]["count"], queue["rate"]["burst"], queue["retry_rate"]["per"]), (50, 5, "60s"))
        job = self.submit("--queue", "q1", "--", "true")
        self.assertEqual(self.waits(f"{job}/0"), ["QUEUE_PAUSED"])
        self.assertIn("q1", self.ok("ps", "--queue", "q1"))
        self.assertIn("q1 ", self.ok("queue", "list"))
        self.assertEqual(json.loads(self.ok("queue", "get", "q1", "--json"))["job_count"], "1")
        self.refused(5, "QUEUE_FULL", "submit", "--queue", "q1", "--count", "2", "--", "true")
        self.refused(5, "QUEUE_IN_USE", "queue", "delete", "q1")
        queue = json.loads(self.ok("queue", "set", "q1", "--rate", "none", "--max-tasks", "0", "--json"))
        self.assertEqual((queue.get("rate", {}).get("count", 0), queue.get("max_tasks", "0"), queue["weight"]), (0, "0", 3))
        self.ok("queue", "resume", "q1")
        self.wait(job)
        self.ok("queue", "delete", "q1")
        self.refused(4, "QUEUE_NOT_FOUND", "queue", "get", "q1")

    def test_higher_priorities_go_first_and_may_be_changed(self):
        self.ok("queue", "set", "order", "--max-in-flight", "1")
        self.ok("queue", "pause", "order")
        jobs = {priority: self.submit("--queue", "order", "--priority", priority, "--shell", f"echo {priority} >> log") for priority in (0, 4, 9, 2)}
        self.ok("update", jobs[0], "--priority", "8")
        self.assertEqual(self.job(jobs[0])["spec"]["priority"], 8)
        self.ok("queue", "resume", "order")
        self.ok("wait", *jobs.values())
        self.assertEqual(self.lines(), ["9", "0", "4", "2"])

    def test_a_full_queue_says_so(self):
        self.ok("queue", "set", "narrow", "--max-in-flight", "1")
        gate, go = self.gate()
        first = self.submit("--queue", "narrow", "--shell", gate)
        self.running(first)
        second = self.submit("--queue", "narrow", "--", "true")
        self.assertIn("QUEUE_LIMIT", self.waits(f"{second}/0"))
        go.touch()
        self.wait(second)

    def test_a_job_is_paused_and_its_limit_raised(self):
        gate, go = self.gate()
        job = self.submit("--array", "1-6%1", "--shell", f"{gate}; echo {{}} >> log")
        self.running(job)
        self.assertIn("JOB_LIMIT", self.waits(f"{job}/5"))
        self.ok("update", job, "--max-in-flight", "3")
        self.running(job, 3)
        self.assertIn(f"job {job}: PAUSED", self.ok("pause", job))
        self.assertEqual(self.waits(f"{job}/5")[0], "PAUSED")
        go.touch()
        wait_for(lambda: int(self.job(job)["counts"]["succeeded"]) == 3, "what was running")
        self.assertIn(str(job), self.ok("ps", "--state", "paused"))
        self.ok("resume", job)
        self.wait(job)
        self.assertEqual(sorted(self.lines()), list("123456"))
        self.refused(5, "JOB_ENDED", "pause", job)

    def test_a_held_job_waits_to_be_resumed(self):
        job = self.submit("--hold", "--", "true")
        self.assertEqual(self.job(job)["state"], "PAUSED")
        self.assertEqual(self.waits(f"{job}/0"), ["PAUSED"])
        self.ok("resume", job)
        self.wait(job)


class KeysTest(AskingCase):
    def test_a_key_has_so_many_at_once(self):
        records = "".join(json.dumps({"host": host, "n": n}) + "\n" for n in range(4) for host in ("a", "b"))
        script = "mkdir $1.$$; ls -d $1.* | wc -l; sleep 0.1; rmdir $1.$$"
        out = self.ok("map", "--jsonl", "-", "--limit", "key=.host:2", "--", "sh", "-c", script, "_", "{.host}", stdin=records)
        self.assertEqual(len(out.split()), 8)
        self.assertLessEqual(max(map(int, out.split())), 2)

    def test_a_key_at_its_limit_lets_others_pass_and_says_so(self):
        gate, go = self.gate()
        script = f"test $1 != a || {{ {gate}; }}"
        records = "".join(json.dumps({"host": host}) + "\n" for host in ("a", "a", "b"))
        job = self.submit("--jsonl", "-", "--limit", "key=.host:1", "--", "sh", "-c", script, "_", "{.host}", stdin=records)
        wait_for(lambda: self.task(f"{job}/2")["state"] == "SUCCEEDED", "the other key")
        self.assertIn("KEY_LIMIT", self.waits(f"{job}/1"))
        go.touch()
        self.wait(job)

    def test_a_key_has_a_rate(self):
        start = time.monotonic()
        self.ok("map", "--handler", "echo", "--rate", "key=.:10/s", ":::", *["x"] * 8, *["y"] * 8)
        self.assertGreater(time.monotonic() - start, 0.65, "8 starts of a key at 10 a second, the first at once")
        job = self.submit("--handler", "echo", "--rate", "key=.:1/h", ":::", "x", "x")
        wait_for(lambda: self.task(f"{job}/0")["state"] == "SUCCEEDED", "the first")
        self.assertEqual(self.waits(f"{job}/1"), ["KEY_RATE"])
        self.ok("cancel", job)


class PlacesTest(AskingCase):
    def workers_of(self, job):
        names = {w["worker"]: w["name"] for w in json.loads(self.ok("worker", "list", "--json"))["workers"]}
        return {names[json.loads(line)["worker"]] for line in self.ok("results", job, "--json").splitlines()}

    def test_resources_are_counted_and_shown(self):
        gate, go = self.gate()
        job = self.submit("--array", "1-3", "--resource", "gpu=0.5", "--shell", gate)
        self.running(job, 2)
        self.assertIn("RESOURCES", self.waits(f"{job}/2"))
        self.assertIn("gpu 1/1", self.ok("worker", "list"))
        go.touch()
        self.wait(job)
        self.assertEqual(self.workers_of(job), {"east"})
        self.assertIn("gpu 0/1", self.ok("worker", "list"))

    def test_what_can_never_fit_is_exit_code_6_at_once(self):
        for options in (("--resource", "gpu=2"), ("--resource", "licence=1"), ("--on", "zone=mars"), ("--on", "zone=us", "--resource", "gpu=1")):
            self.refused(6, "NO_FITTING_WORKER", "submit", *options, "--", "true")
        self.assertEqual(self.reeve("run", "--on", "zone=mars", "--", "true").returncode, 6)
        self.refused(6, "NO_SUCH_HANDLER", "submit", "--handler", "nobody", "--input", "x")

    def test_selectors_choose_workers_by_label(self):
        for options, names in ((("--on", "zone=eu"), {"east"}), (("--on", "zone!=eu"), {"west"}), (("--worker-selector", "name=west"), {"west"}), (("--on", "zone", "--on", "!zone2", "--on", "zone=us"), {"west"})):
            job = self.submit(*options, "--array", "1-20", "--handler", "echo")
            self.wait(job)
            self.assertEqual(self.workers_of(job), names, options)

    def test_packing_fills_one_worker(self):
        gate, go = self.gate()
        job = self.submit("--pack", "--array", "1-4", "--shell", gate)
        self.running(job, 4)
        go.touch()
        self.wait(job)
        self.assertEqual(len(self.workers_of(job)), 1)

    def test_a_worker_drained_to_stay_gets_nothing_until_it_is_undrained(self):
        west = next(w["worker"] for w in json.loads(self.ok("worker", "list", "--json"))["workers"] if w["name"] == "west")
        self.ok("worker", "drain", west, "--stay", "--wait", "--timeout", "30s")
        wait_for(lambda: "DRAINED" in self.ok("worker", "list"), "the drain")
        job = self.submit("--array", "1-50", "--handler", "echo")
        self.wait(job)
        self.assertEqual(self.workers_of(job), {"east"})
        job = self.submit("--on", "zone=us", "--", "true")
        self.assertEqual(self.task(f"{job}/0")["state"], "READY")
        self.ok("worker", "undrain", west)
        self.wait(job)
        self.assertNotIn("DRAINED", self.ok("worker", "list"))
        self.refused(4, "WORKER_NOT_FOUND", "worker", "undrain", "w-99")


class OrderTest(AskingCase):
    def test_conditions_decide_whether_a_job_runs(self):
        good, bad = self.submit("--", "true"), self.submit("--", "false")
        self.reeve("wait", good, bad)
        for dependency, state in ((f"{good}", "SUCCEEDED"), (f"{good}:success", "SUCCEEDED"), (f"{good}:end,{bad}:end", "SUCCEEDED"),
                                  (f"{bad}:failure", "SUCCEEDED"), (f"{good}:failure", "CANCELLED"), (f"{bad}", "CANCELLED"), (f"{good},{bad}", "CANCELLED")):
            job = self.submit("--after", dependency, "--", "true")
            ended = self.wait(job, 0 if state == "SUCCEEDED" else 7)
            self.assertEqual(ended["state"], state, dependency)
            self.assertEqual(ended["cause"], "CAUSE_UNSPECIFIED" if state == "SUCCEEDED" else "DEPENDENCY", dependency)
        self.refused(4, "JOB_NOT_FOUND", "submit", "--after", "99999", "--", "true")

    def test_a_chain_waits_and_says_for_what(self):
        gate, go = self.gate()
        first = self.submit("--shell", f"{gate}; echo 1 >> log")
        second = self.submit("--after", "last", "--shell", "echo 2 >> log")
        third = self.submit("--after", f"{first},{second}:end", "--shell", "echo 3 >> log")
        self.assertEqual(self.task(f"{second}/0")["state"], "BLOCKED")
        why = self.why(f"{second}/0")
        self.assertEqual(why["waits"], ["DEPENDENCY"])
        self.assertIn(f"job {first}", why["explanations"][0])
        go.touch()
        self.wait(third)
        self.assertEqual(self.lines(), ["1", "2", "3"])

    def test_what_cannot_run_is_cancelled_or_skipped_with_all_behind_it(self):
        gate, go = self.gate()
        first = self.submit("--shell", f"{gate}; exit 3")
        cancelled = self.submit("--after", first, "--", "true")
        behind = self.submit("--after", cancelled, "--", "true")
        skipped = self.submit("--after", first, "--if-unmet", "skip", "--", "true")
        after_skipped = self.submit("--after", skipped, "--shell", "echo ran >> log")
        callback = self.submit("--after", f"{first}:end,{behind}:end", "--shell", "echo ended >> log")
        go.touch()
        self.wait(first, 1)
        self.assertEqual(self.wait(cancelled, 7)["cause"], "DEPENDENCY")
        self.assertEqual(self.wait(behind, 7)["cause"], "DEPENDENCY")
        self.assertEqual(self.wait(skipped, 0)["cause"], "SKIPPED")
        self.wait(after_skipped)
        self.wait(callback)
        self.assertEqual(sorted(self.lines()), ["ended", "ran"])
        self.assertIn("dependency", self.ok("ps"))

    def test_results_are_handed_on_as_files(self):
        words = self.submit("--", "printf", "%s", "<{}>", ":::", "a", "b", "c")
        for options, name in ((("--after", words, "--after-results"), words), (("--results-of", words), words), (("--results-of", f"{words}:parts"), "parts"),
                              (("--after", f"{words}:end", "--results-of", f"{words}:parts"), "parts")):
            done = self.reeve("run", *options, "--", "sh", "-c", f'cd "$REEVE_RESULTS_DIR/{name}" && for i in 0 1 2; do cat $i; done; ls | wc -l')
            self.assertEqual((done.returncode, done.stdout), (0, "<a><b><c>3\n"), (options, done.stderr))

    def test_a_unique_key_is_of_one_unfinished_job(self):
        gate, go = self.gate()
        first = self.submit("--unique", "nightly", "--shell", gate)
        self.assertIn(str(first), self.refused(5, "UNIQUE_KEY_TAKEN", "submit", "--unique", "nightly", "--", "true"))
        self.refused(5, "UNIQUE_KEY_TAKEN", "submit", "--unique", "nightly", "--if-exists", "reject", "--", "true")
        self.assertEqual(self.submit("--unique", "nightly", "--if-exists", "attach", "--", "true"), first)
        second = self.submit("--unique", "nightly", "--if-exists", "replace", "--shell", gate)
        self.assertNotEqual(first, second)
        self.assertEqual(self.wait(first, 7)["cause"], "REPLACED")
        go.touch()
        self.wait(second)
        self.assertGreater(self.submit("--unique", "nightly", "--", "true"), second, "it is free again")

    def test_labels_find_jobs(self):
        blue = self.submit("--name", "paint", "--label", "team=blue", "--label", "step=1", "--", "true")
        red = self.submit("--name", "paint", "--label", "team=red", "--", "true")
        ids = lambda *options: [int(j["job_id"]) for j in json.loads(self.ok("ps", "--json", *options)).get("jobs", [])]
        self.assertEqual(ids("--label", "team=blue"), [blue])
        self.assertEqual(ids("--label", "team"), [red, blue])
        self.assertEqual(ids("--label", "team", "--label", "!step"), [red])
        self.assertEqual(ids("--label", "team!=red", "--name", "paint"), [blue])
        self.assertEqual(ids("--name", "nobody"), [])
        self.wait(blue), self.wait(red)
        self.assertEqual(ids("--name", "paint", "--state", "succeeded"), [red, blue])
        header = self.ok("ps").splitlines()[0].split()
        self.assertEqual(header, ["JOB", "STATE", "QUEUE", "PRIORITY", "TASKS", "DONE", "FAILED", "TIME", "NAME", "CAUSE", "PROGRESS", "WHAT"])


class OpenJobsTest(AskingCase):
    def test_several_append_and_one_closes(self):
        job = self.submit("--open", "--", "printf", "%s\\n", "<{}>")
        self.assertEqual(self.job(job)["state"], "OPEN")
        threads = [threading.Thread(target=self.ok, args=("append", job, ":::", *(f"{name}{i}" for i in range(20)))) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.ok("append", job, stdin="x\ny\n")
        wait_for(lambda: len(self.ok("results", job).splitlines()) == 62, "results while it is open")
        done = self.reeve("append", job, "--close", ":::", "last")
        self.assertIn("1 inputs appended, 63 tasks in all; closed", done.stderr)
        self.wait(job)
        expected = [f"<{name}{i}>" for name in "abc" for i in range(20)] + ["<x>", "<y>", "<last>"]
        self.assertEqual(sorted(self.ok("results", job).split()), sorted(expected))
        self.refused(5, "JOB_NOT_OPEN", "append", job, ":::", "late")
        self.refused(4, "JOB_NOT_FOUND", "append", "99999", ":::", "x")

    def test_records_are_appended_and_the_verb_closes(self):
        job = self.submit("--open", "--jsonl", "/dev/null", "--", "echo", "{.k}")
        (self.folder / "more.jsonl").write_text('{"k": 1}\n{"k": "two"}\n')
        self.ok("append", job, "--jsonl", "more.jsonl")
        self.assertIn(f"job {job}: ", self.ok("close", job))
        self.wait(job)
        self.assertEqual(sorted(self.ok("results", job).split()), ["1", "two"])

    def test_it_closes_itself_when_idle(self):
        job = self.submit("--close-when-idle", "1s", "--handler", "echo", ":::", "first")
        self.assertEqual(self.job(job)["state"], "OPEN")
        self.assertEqual(self.wait(job)["counts"]["total"], "1")


    def test_an_append_with_a_name_can_be_killed_and_repeated_and_each_input_becomes_one_task(self):
        lines = [f"line {i}" for i in range(20_000)]
        text = "".join(line + "\n" for line in lines)
        total = lambda job: int(self.job(job)["counts"]["total"])
        for durability in ("durable", "ephemeral"):
            job = self.submit("--open", "--durability", durability, "--handler", "echo")
            command = ("append", job, "--appender", "feed", "--close")
            for upto in (7_000, 13_000):
                before = total(job)
                append = subprocess.Popen(self.cluster.command(*command), env=self.cluster.env, stdin=subprocess.PIPE)
                append.stdin.write("".join(line + "\n" for line in lines[:upto]).encode())
                append.stdin.flush()
                wait_for(lambda: total(job) > before, "some of them")
                append.kill()
                append.wait()
                append.stdin.close()
            self.assertEqual(self.job(job)["state"], "OPEN", "only the end of the inputs closes it")
            short = self.reeve(*command, stdin=lines[0] + "\n")
            self.assertEqual(short.returncode, 2, short.stderr)
            self.assertIn("these are not the same inputs", short.stderr)
            had = total(job)
            told = json.loads(self.ok(*command, "--json", stdin=text))
            self.assertEqual((told["skipped_count"], told["appended_count"]), (had, 20_000 - had))
            self.assertEqual((told["job"]["job_id"], told["job"]["counts"]["total"]), (str(job), "20000"))
            self.wait(job)
            if durability == "durable":
                self.assertEqual(sorted(self.ok("results", job).splitlines()), sorted(lines))
            # As when it was killed between closing and ending.
            again = self.reeve(*command, stdin=text)
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertIn("0 inputs appended, 20000 skipped that were appended before, 20000 tasks in all; closed", again.stderr)
            self.refused(5, "JOB_NOT_OPEN", *command, stdin=text + "one more\n")
            self.refused(5, "JOB_NOT_OPEN", "append", job, "--appender", "another", stdin=text)


class AgainTest(AskingCase):
    def again(self, job, *options):
        retried = int(self.ok("retry", "-q", job, *options))
        self.assertEqual(self.job(retried)["spec"]["retry_of"], str(job))
        return retried

    def indexes(self, job, code=0):
        self.wait(job, code)
        return sorted(json.loads(line)["index"] for line in self.ok("results", job, "--json").splitlines()) if code == 0 else None

    def test_failed_tasks_are_tried_again_by_filter(self):
        script = "test -e fixed || case {} in 1) exit 3;; 2) exit 4;; 3) kill -9 $$;; esac"
        job = self.submit("--array", "0-5", "--shell", script)
        self.wait(job, 1)
        (self.folder / "fixed").touch()
        for options, indexes in (((), [1, 2, 3]), (("--failed",), [1, 2, 3]), (("--exit-code", "3,4"), [1, 2]), (("--reason", "signalled"), [3]),
                                 (("--task", "2-9"), [2, 3]), (("--state", "failed", "--task", "1"), [1]), (("--all",), [0, 1, 2, 3, 4, 5]), (("--all", "--task", "0,5"), [0, 5])):
            retried = self.again(job, *options)
            self.assertEqual(self.indexes(retried), indexes, options)
        self.assertEqual(self.job(job)["state"], "FAILED", "it stays as it was")
        self.refused(5, "NOTHING_TO_RETRY", "retry", job, "--exit-code", "77")
        self.refused(5, "NOTHING_TO_RETRY", "retry", "last", "--failed")

    def test_inputs_of_their_own_are_kept(self):
        job = self.submit("--shell", "test -e fixed || test {} != b; echo {} >> log", ":::", "a", "b", "c")
        self.reeve("wait", job)
        job = self.submit("--shell", "echo {} >> again; test -e fixed || test {} != b", ":::", "a", "b", "c")
        self.wait(job, 1)
        (self.folder / "fixed").touch()
        done = self.reeve("retry", job, "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(self.lines("again")), ["a", "b", "b", "c"])
        self.ok("delete", job)
        retried = int(done.stdout)
        self.assertEqual(self.indexes(retried), [1])
        self.refused(5, "JOB_NOT_ENDED", "retry", self.submit("--hold", "--", "true"))

    def test_a_deleted_job_is_gone(self):
        job = self.submit("--", "echo", "x")
        self.wait(job)
        self.assertEqual(self.ok("delete", job), f"job {job}: deleted\n")
        for args in (("job", "get", job), ("results", job), ("delete", job), ("logs", job)):
            self.assertEqual(self.reeve(*args).returncode, 4, args)
        held = self.submit("--hold", "--", "true")
        self.refused(5, "JOB_NOT_ENDED", "delete", held)
        gone = self.submit("--", "true")
        self.wait(gone)
        done = self.reeve("delete", held, gone)
        self.assertEqual((done.returncode, done.stdout), (5, f"job {gone}: deleted\n"), "the others are deleted all the same")


class GraphTest(AskingCase):
    def write(self, text, name="graph.yaml"):
        (self.folder / name).write_text(text)
        return name

    def test_a_graph_is_one_step_and_waits_in_order(self):
        graph = self.write("""
defaults: {labels: {graph: one}}
jobs:
  - {name: last, shell: 'cat $REEVE_RESULTS_DIR/parts/*; echo last >> log', after: {job: middle, results: true, as: parts}}
  - {name: middle, shell: 'echo {} >> log; echo {}', inputs: [a, b], after: first}
  - {name: first, command: [sh, -c, 'echo first >> log']}
""")
        done = self.reeve("submit", "-f", graph, "--dry-run")
        self.assertEqual(done.stdout, "first: 1 task\nmiddle: 2 tasks, after first\nlast: 1 task, after middle\n", done.stderr)
        self.assertEqual(self.ok("ps", "--label", "graph=one").count("\n"), 1, "nothing was made")
        done = self.reeve("submit", "-f", graph, "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        ids = dict(reversed(line.split()) for line in done.stdout.splitlines())
        self.assertEqual(list(ids), ["last", "middle", "first"])
        self.assertEqual(self.lines()[0], "first")
        self.assertEqual(sorted(self.lines()[1:3]), ["a", "b"])
        self.assertEqual(self.lines()[3:], ["last"])
        self.assertEqual(self.ok("results", ids["last"]), "a\nb\n")

    def test_jobs_of_a_graph_name_each_other_by_their_ids_also_after_a_restart(self):
        graph = self.write("jobs: [{name: first, shell: 'true', hold: true}, {name: last, shell: 'true', after: {job: first, on: end}}]")
        first, last = self.ok("submit", "-q", "-f", graph).split()

        def names_the_first():
            shown = [(after["job_id"], after["position"], after["condition"]) for after in self.job(last)["spec"]["after"]]
            self.assertEqual(shown, [(first, 0, "ON_END")])
            self.assertIn(f"after       job {first}, its end\n", self.ok("job", "get", last))

        names_the_first()
        self.assertIn(f"job {first}", self.ok("task", "why", f"{last}/0"))
        self.cluster.processes["master"].kill()
        self.cluster.processes["master"].wait()
        self.cluster.start_master()
        wait_for(lambda: self.reeve("cluster", "info").returncode == 0, "the master")
        self.cluster.wait_for_workers(2)
        names_the_first()
        self.assertIn(f"job {first}", self.ok("task", "why", f"{last}/0"))
        self.ok("resume", first)
        self.wait(last)
        names_the_first()

    def test_a_graph_may_be_json_from_standard_input_and_is_made_once(self):
        graph = json.dumps({"jobs": [{"name": "a", "handler": "echo", "count": 3}, {"name": "b", "shell": "true", "after": ["a"]}]})
        answer = json.loads(self.ok("submit", "-f", "-", "--json", "--request-id", "graph 1", stdin=graph))
        self.assertEqual([job["spec"]["name"] for job in answer["jobs"]], ["a", "b"])
        again = json.loads(self.ok("submit", "-f", "-", "--json", "--request-id", "graph 1", stdin=graph))
        self.assertEqual([job["job_id"] for job in again["jobs"]], [job["job_id"] for job in answer["jobs"]])
        self.wait(answer["jobs"][1]["job_id"])

    def test_a_callback_runs_however_the_group_ends(self):
        graph = self.write("""
jobs:
  - {name: good, shell: 'true'}
  - {name: bad, shell: 'false'}
  - {name: never, shell: 'echo never >> log', after: bad}
  - {name: repair, shell: 'echo repair >> log', after: {job: bad, on: failure}}
  - {name: callback, shell: 'echo callback >> log', after: [{job: good, on: end}, {job: never, on: end}]}
""")
        done = self.reeve("submit", "-f", graph, "--wait", "-q")
        self.assertEqual(done.returncode, 7, "cancelled comes before failed")
        good, bad, never, repair, callback = done.stdout.split()
        self.assertEqual([self.job(j)["state"] for j in (good, bad, never, repair, callback)],
                         ["SUCCEEDED", "FAILED", "CANCELLED", "SUCCEEDED", "SUCCEEDED"])
        self.assertEqual(sorted(self.lines()), ["callback", "repair"])

    def test_wrong_graphs_are_refused_whole(self):
        before = self.ok("ps", "--all")
        for text, says in (("jobs: [{name: a, shell: x, after: b}]", "graph.yaml:1: no job has the name 'b'"),
                           ("jobs:\n- {name: a, shell: x, after: b}\n- {name: b, shell: x, after: a}", "graph.yaml:2: jobs wait for one another: a after b after a"),
                           ("jobs:\n- name: a\n  shel: x", "graph.yaml:3: unknown key 'shel' of a job; did you mean 'shell'?"),
                           ("jobs:\n- name: [", "graph.yaml:")):
            done = self.reeve("submit", "-f", self.write(text))
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn(says, done.stderr)
        message = self.refused(6, "NO_FITTING_WORKER", "submit", "-f", self.write("jobs:\n- {name: a, shell: x}\n- {name: b, shell: x, on: zone=mars}"))
        self.assertIn("jobs[1]", message)
        self.assertEqual(self.ok("ps", "--all"), before)


class LocalClusterTest(unittest.TestCase):
    def test_up_passes_resources_on_to_its_workers(self):
        cluster = Cluster(start=False)
        programs = cluster.folder / "bin"
        programs.mkdir()
        for program in (REEVE, MASTER, WORKER):
            (programs / program.name).symlink_to(pathlib.Path(os.path.realpath(program)))
        env = {"PATH": f"{programs}:{cluster.env['PATH']}", "REEVE_TOKEN_FILE": ""}
        state = cluster.folder / "local"
        try:
            up = cluster.reeve("up", "--state-dir", state, "--port", cluster.port, "--workers", "1", "--resource", "gpu=2", "--resource", "licence=0.5", "--detach", env=env)
            self.assertEqual(up.returncode, 0, up.stderr)
            workers = cluster.reeve("worker", "list", env=env)
            self.assertIn("gpu 0/2,licence 0/0.5", workers.stdout, workers.stderr)
        finally:
            cluster.reeve("down", "--state-dir", state, env=env)
            cluster.stop()


class DocumentTest(AskingCase):
    def test_the_commands_of_the_document_run_when_pasted(self):
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "reeve").symlink_to(pathlib.Path(os.path.realpath(REEVE)))
        script = "\n".join(re.findall(r"^```sh\n(.*?)^```", (RUNFILES / "docs/jobs.md").read_text(), re.M | re.S))
        done = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], env=dict(self.cluster.env, PATH=f"{programs}:{self.cluster.env['PATH']}"),
                              cwd=self.folder, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for line in ("saved", "found 7", "fits", "it is over", "hello berta"):
            self.assertIn(line, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
