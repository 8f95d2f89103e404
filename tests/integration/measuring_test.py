"""Workers that only exist to measure the master: what they promise scripts."""

import json
import unittest

from cluster import Cluster


class MeasuringTest(unittest.TestCase):
    def test_a_worker_that_only_acknowledges_ends_every_task_with_an_empty_result(self):
        tasks = 100_000
        with Cluster(workers=0) as cluster:
            cluster.start_worker("acknowledging", flags=["--acknowledge-only"])
            cluster.wait_for_workers(1)
            lines = "".join(f"{i}\n" for i in range(tasks))
            for args, stdin in ((("--array", f"1-{tasks}"), None), ((), lines)):
                mapped = cluster.reeve("map", "--handler", "echo", *args, stdin=stdin)
                self.assertEqual(mapped.returncode, 0, mapped.stderr)
                self.assertTrue(mapped.stdout == "\n" * tasks, "each task printed one empty line")
            jobs = json.loads(cluster.reeve("ps", "--all", "--json").stdout)["jobs"]
            self.assertEqual([(job["state"], job["counts"]["succeeded"]) for job in jobs], [("SUCCEEDED", str(tasks))] * 2)
            run = cluster.reeve("run", "--", "echo", "commands run")
            self.assertEqual((run.returncode, run.stdout), (0, "commands run\n"), run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
