"""Tasks that take their worker process down, among tasks that do not."""

import json
import unittest

from cluster import Cluster, RUNFILES

ODD_WORKER = RUNFILES / "tests/integration/odd_worker"


class CrashTest(unittest.TestCase):
    def run_among_others(self, bad, workers):
        with Cluster(workers=0) as cluster:
            for i in range(workers):
                cluster.start_worker(f"odd-{i}", slots=4, program=ODD_WORKER)
            cluster.wait_for_workers(workers)
            inputs = [str(i) for i in range(40)]
            inputs.insert(20, bad)
            done = cluster.reeve("map", "--json", "--handler", "risk", stdin="".join(i + "\n" for i in inputs), timeout=240)
            self.assertEqual(done.returncode, 1, done.stderr)
            results = {int(r["index"]): r for r in map(json.loads, done.stdout.splitlines())}
            self.assertEqual(sorted(results), list(range(41)))
            failed = {i: (r["state"], r["reason"]) for i, r in results.items() if r["state"] != "SUCCEEDED"}
            self.assertEqual(failed, {20: ("FAILED", "POISONED")})
            # Interruptions are free: a neighbour of the culprit has used up no attempt.
            self.assertEqual({r["attempt"] for i, r in results.items() if i != 20}, {1})
            return results[20]

    def test_a_handler_that_faults_is_named_and_given_up_after_three_crashes(self):
        self.assertEqual(self.run_among_others("poison", workers=1)["attempt"], 3)

    def test_a_task_that_kills_its_worker_without_a_note_is_found_by_running_alone(self):
        self.run_among_others("vanish", workers=2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
