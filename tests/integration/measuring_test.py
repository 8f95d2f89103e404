"""Workers that only exist to measure the master: what they promise scripts."""

import datetime
import json
import signal
import unittest

from cluster import Cluster, WORKER, wait_for


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

    def test_idle_links_are_workers_that_stay_until_they_say_goodbye(self):
        links = 50
        with Cluster(workers=0, env={"REEVE_TIME_SCALE": "0.1"}) as cluster:
            def workers():
                return json.loads(cluster.reeve("worker", "list", "--json").stdout)["workers"]

            def seen(worker):
                return datetime.datetime.fromisoformat(worker["last_seen_time"].replace("Z", "+00:00"))

            idle = cluster.spawn("idle", [WORKER, "--master", cluster.address, "--token-file", cluster.state / "token",
                                          "--idle-links", links])
            wait_for(lambda: f"{links} links are attached\n" in cluster.log("idle"), "attached\n" + cluster.log("idle"))
            first = {worker["worker"]: worker for worker in workers()}
            self.assertEqual(len(first), links)
            self.assertTrue(all(not worker["handlers"] for worker in first.values()), "nothing can be assigned to them")
            # Silence of 0.5 s would make them suspect, of 1.5 s end their session: a second Hello joins anew.
            later = max(map(seen, first.values())) + datetime.timedelta(seconds=3)
            last = wait_for(lambda: (now := workers()) and all(seen(w) > later and w["state"] == "ONLINE" for w in now) and now,
                            "heartbeats")
            self.assertEqual({w["worker"]: w["join_time"] for w in last}, {n: w["join_time"] for n, w in first.items()})
            idle.send_signal(signal.SIGTERM)
            self.assertEqual(idle.wait(20), 0, cluster.log("idle"))
            wait_for(lambda: not workers(), "every Goodbye")


if __name__ == "__main__":
    unittest.main(verbosity=2)
