"""Counters that handlers keep for their job: exact, whatever happens to attempts, workers and the master."""

import json
import signal
import unittest

from cluster import Cluster, RUNFILES, wait_for

ODD_WORKER = RUNFILES / "tests/integration/odd_worker"


class CountersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=0)
        for i in range(2):
            cls.cluster.start_worker(f"odd-{i}", program=ODD_WORKER)
        cls.cluster.start_worker("isolated", program=ODD_WORKER, flags=["--isolate", "tally"])
        cls.cluster.wait_for_workers(3)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def submit(self, handler, array, *flags):
        done = self.cluster.reeve("submit", "-q", "--handler", handler, "--array", array, "--retries", "20", *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def job(self, job):
        return json.loads(self.cluster.reeve("job", "get", job, "--json").stdout)

    def counters(self, job):
        return {name: int(value) for name, value in self.job(job).get("counters", {}).items()}

    def expected(self, count):
        return {"tasks": count, "digits": sum(len(str(i)) for i in range(count))}

    def test_each_task_counts_once_though_attempts_fail(self):
        job = self.submit("tally", "0-2999")
        self.assertEqual(self.cluster.reeve("wait", job).returncode, 0)
        self.assertEqual(self.counters(job), self.expected(3000))
        self.assertGreaterEqual(int(self.job(job)["counts"]["retried"]), 1000)
        text = self.cluster.reeve("job", "get", job).stdout
        self.assertRegex(text, r"counter +digits 10890\n")
        self.assertRegex(text, r"counter +tasks 3000\n")

    def test_kills_of_a_worker_and_of_the_master_in_the_middle_change_no_count(self):
        job = self.submit("tally", "0-2999", "--param", "slowly=yes")
        wait_for(lambda: self.counters(job).get("tasks", 0) > 300, "some counts")
        worker = self.cluster.processes["odd-0"]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.cluster.start_worker("odd-0", program=ODD_WORKER)
        before = self.counters(job)["tasks"]
        wait_for(lambda: self.counters(job).get("tasks", 0) > before + 300, "more counts")
        master = self.cluster.processes["master"]
        master.send_signal(signal.SIGKILL)
        master.wait()
        self.cluster.start_master()
        self.assertEqual(self.cluster.reeve("wait", job).returncode, 0)
        self.assertEqual(self.counters(job), self.expected(3000))

    def test_ephemeral_jobs_and_the_async_lane_count_too(self):
        job = self.submit("tally-async", "0-499", "--durability", "ephemeral")
        self.assertEqual(self.cluster.reeve("wait", job).returncode, 0)
        self.assertEqual(self.counters(job), {"tasks": 500})
        output = self.cluster.reeve("results", job).stdout.splitlines()[0]
        self.assertEqual(output, "`no name` is no name for a counter: [A-Za-z0-9_.-]{1,64}")


if __name__ == "__main__":
    unittest.main()
