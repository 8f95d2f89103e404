"""What handlers say while they run (log lines, progress) and the folder they get, on each lane."""

import json
import pathlib
import unittest

from cluster import Cluster, RUNFILES, wait_for


class ContextTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=0)
        cls.cluster.start_worker("odd", program=RUNFILES / "tests/integration/odd_worker")
        cls.cluster.wait_for_workers(1)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def log(self, job):
        return self.cluster.reeve("logs", job).stderr.splitlines()

    def check(self, handler):
        flag = self.cluster.folder / f"go-{handler}"
        submitted = self.cluster.reeve("submit", "-q", "--handler", handler, "--input", flag)
        self.assertEqual(submitted.returncode, 0, submitted.stderr)
        job = submitted.stdout.strip()
        task = wait_for(lambda: (t := json.loads(self.cluster.reeve("task", "get", f"{job}/0", "--json").stdout)).get("progress", {})
                        .get("done") == 0.5 and t, "progress")
        self.assertEqual((task["state"], task["progress"]), ("RUNNING", {"done": 0.5, "note": "half"}))
        self.assertRegex(self.cluster.reeve("task", "get", f"{job}/0").stdout, r"progress +50.0 %, half\n")
        wait_for(lambda: self.log(job) == ["first line of 0"], "a line while it runs")
        folder = pathlib.Path(pathlib.Path(f"{flag}.folder").read_text())
        self.assertEqual((folder / "left").read_text(), "behind")
        flag.touch()
        self.assertEqual(self.cluster.reeve("wait", job).returncode, 0)
        self.assertEqual(self.cluster.reeve("results", job).stdout.strip(), "done")
        self.assertEqual(self.log(job), ["first line of 0", "last line"])
        wait_for(lambda: not folder.exists(), "end of the folder")
        task = json.loads(self.cluster.reeve("task", "get", f"{job}/0", "--json").stdout)
        self.assertNotIn("progress", task)

    def test_of_a_command(self):
        job = self.cluster.reeve("submit", "-q", "--shell", "echo 0.5 half >&$REEVE_PROGRESS_FD; exec sleep 1000").stdout.strip()
        task = wait_for(lambda: (t := json.loads(self.cluster.reeve("task", "get", f"{job}/0", "--json").stdout)).get("progress") and t, "progress")
        self.assertEqual((task["state"], task["progress"]), ("RUNNING", {"done": 0.5, "note": "half"}))
        self.cluster.reeve("cancel", job)

    def test_on_the_thread_lane(self):
        self.check("narrate")

    def test_in_a_process_of_its_own(self):
        self.check("narrate-isolated")

    def test_on_the_async_lane(self):
        self.check("narrate-async")


if __name__ == "__main__":
    unittest.main()
