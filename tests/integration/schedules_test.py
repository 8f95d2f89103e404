"""Schedules on a real cluster: what each flag of `reeve schedule create` does, and that a fire time makes exactly one job."""

import datetime
import json
import signal
import unittest

from cluster import Cluster, wait_for


def seconds(text):
    """Of a timestamp of the API."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")[:19] + "+00:00").timestamp() + float("0" + text[19:-1] or 0)


class SchedulesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=1, slots=4)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def reeve(self, *args, **kwargs):
        return self.cluster.reeve(*args, **kwargs)

    def create(self, name, *args):
        done = self.reeve("schedule", "create", name, "--json", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.reeve, "schedule", "delete", name)
        return json.loads(done.stdout)

    def get(self, name):
        return json.loads(self.reeve("schedule", "get", name, "--json").stdout)

    def jobs(self, name):
        """The jobs of a schedule, oldest first."""
        listed = json.loads(self.reeve("job", "list", "--all", "--json").stdout).get("jobs", [])
        return [job for job in reversed(listed) if job["spec"].get("name") == name]

    def fired(self, name):
        return int(self.get(name).get("fired_count", 0))

    def test_an_interval_fires_from_start_to_start_without_drift(self):
        created = self.create("beat", "--every", "300ms", "--handler", "echo", "--input", "x")
        wait_for(lambda: self.fired("beat") >= 8, "eight fire times")
        self.reeve("schedule", "pause", "beat")
        schedule = self.get("beat")
        passed = (seconds(schedule["last_time"]) - seconds(created["create_time"])) / 0.3
        self.assertAlmostEqual(passed, round(passed), places=4)
        jobs = self.jobs("beat")
        self.assertEqual(len(jobs), int(schedule["fired_count"]))
        self.assertEqual(jobs[-1]["job_id"], schedule["last_job_id"])
        for job in jobs:
            self.assertEqual(self.reeve("wait", job["job_id"]).returncode, 0)

    def test_a_fire_time_makes_one_job_whatever_becomes_of_the_master(self):
        with Cluster(workers=1) as cluster:
            def get():
                return json.loads(cluster.reeve("schedule", "get", "beat", "--json").stdout)

            done = cluster.reeve("schedule", "create", "beat", "--every", "100ms", "--catch-up", "all", "--overlap", "allow", "--json",
                                 "--handler", "echo", "--input", "x")
            created = seconds(json.loads(done.stdout)["create_time"])
            for _ in range(4):
                before = int(get().get("fired_count", 0))
                wait_for(lambda: int(get().get("fired_count", 0)) >= before + 5, "five more")
                cluster.processes["master"].send_signal(signal.SIGKILL)
                cluster.processes["master"].wait()
                cluster.start_master()
                wait_for(lambda: cluster.reeve("cluster", "info").returncode == 0, "the master is back")
            self.assertEqual(cluster.reeve("schedule", "pause", "beat").returncode, 0)
            schedule = get()
            fired = int(schedule["fired_count"])
            jobs = json.loads(cluster.reeve("job", "list", "--all", "--json").stdout)["jobs"]
            self.assertEqual(len(jobs), fired, "one job each")
            self.assertEqual(round((seconds(schedule["last_time"]) - created) / 0.1), fired, "and none was left out")

    def test_once_fires_once(self):
        self.create("later", "--at", "+1s", "--handler", "echo", "--input", "x")
        job = wait_for(lambda: self.jobs("later"), "the job")[0]
        self.assertEqual(self.reeve("wait", job["job_id"]).returncode, 0)
        self.assertEqual(len(self.jobs("later")), 1)

    def test_a_count_ends_the_schedule(self):
        self.create("thrice", "--every", "100ms", "--count", "3", "--overlap", "allow", "--handler", "echo", "--input", "x")
        wait_for(lambda: self.reeve("schedule", "get", "thrice").returncode == 4, "it is gone")
        self.assertEqual(len(self.jobs("thrice")), 3)

    def test_overlap_skips_and_counts(self):
        self.create("slow", "--every", "200ms", "--handler", "sleep", "--input", "30")
        wait_for(lambda: int(self.get("slow").get("skipped_count", 0)) >= 3, "three are skipped")
        self.assertEqual(len(self.jobs("slow")), 1)
        self.reeve("cancel", self.jobs("slow")[0]["job_id"])
        wait_for(lambda: len(self.jobs("slow")) >= 2, "the next comes when the first has ended")
        self.reeve("schedule", "delete", "slow")
        self.reeve("cancel", *[job["job_id"] for job in self.jobs("slow")])

    def test_overlap_replaces(self):
        self.create("newest", "--every", "500ms", "--count", "3", "--overlap", "replace", "--handler", "sleep", "--input", "30")
        wait_for(lambda: len(self.jobs("newest")) == 3, "three jobs")
        states = wait_for(lambda: (lambda all: all if all[:2] == ["CANCELLED"] * 2 else None)([job["state"] for job in self.jobs("newest")]),
                          "two of them are cancelled")
        self.assertEqual(states[2], "ACTIVE")
        self.reeve("cancel", self.jobs("newest")[2]["job_id"])

    def test_overlap_queues(self):
        self.create("one-by-one", "--every", "100ms", "--count", "4", "--overlap", "queue", "--handler", "sleep", "--input", "0.4")
        jobs = wait_for(lambda: (lambda all: all if len(all) == 4 and all[3]["state"] == "SUCCEEDED" else None)(self.jobs("one-by-one")),
                        "the last has ended")
        ends = [seconds(job["end_time"]) for job in jobs]
        for before, after in zip(ends, ends[1:]):
            self.assertGreaterEqual(after - before, 0.39, "one behind the other")

    def test_a_paused_schedule_runs_only_when_asked(self):
        self.create("idle", "--every", "100ms", "--paused", "--overlap", "allow", "--handler", "echo", "--input", "x")
        done = self.reeve("schedule", "run", "idle")
        self.assertEqual(self.reeve("wait", done.stdout.strip()).returncode, 0, done.stderr)
        self.assertEqual(len(self.jobs("idle")), 1)
        self.assertEqual(self.reeve("schedule", "resume", "idle").returncode, 0)
        wait_for(lambda: len(self.jobs("idle")) >= 3, "it goes on")

    def test_a_schedule_that_fails_stops_no_other(self):
        self.create("broken", "--every", "100ms", "--handler", "no_such_handler", "--input", "x")
        self.create("sound", "--every", "100ms", "--overlap", "allow", "--handler", "echo", "--input", "x")
        broken = wait_for(lambda: (lambda one: one if one.get("last_error") else None)(self.get("broken")), "an error")
        self.assertIn("no_such_handler", broken["last_error"])
        wait_for(lambda: self.fired("sound") >= 5, "the other goes on")

    def test_next_agrees_with_what_comes(self):
        self.create("due", "--every", "700ms", "--overlap", "allow", "--handler", "echo", "--input", "x")
        times = json.loads(self.reeve("schedule", "next", "due", "-n", "3", "--json").stdout)["times"]
        self.assertEqual(len(times), 3)
        wait_for(lambda: self.get("due").get("last_time", "") >= times[2], "the third")
        nightly = self.create("nightly", "--cron", "30 2 * * *", "--tz", "Europe/Prague", "--", "true")
        self.assertEqual(nightly["next_time"], json.loads(self.reeve("schedule", "next", "nightly", "-n", "1", "--json").stdout)["times"][0])

    def test_bad_schedules_are_refused(self):
        for args, words in {("--cron", "61 * * * *"): "cron: minute `61`", ("--cron", "@daily", "--tz", "Mars/Olympus"): "time_zone",
                            ("--every", "50ms"): "every"}.items():
            done = self.reeve("schedule", "create", "bad", *args, "--", "true")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn(words, done.stderr)
        self.create("taken", "--cron", "@daily", "--", "true")
        done = self.reeve("schedule", "create", "taken", "--cron", "@hourly", "--", "true")
        self.assertEqual(done.returncode, 5, done.stderr)
        for verb in ("get", "pause", "resume", "run", "next", "delete"):
            self.assertEqual(self.reeve("schedule", verb, "nobody").returncode, 4, verb)


if __name__ == "__main__":
    unittest.main(verbosity=2)
