"""Tasks that take their worker process down, among tasks that do not; tasks that must not run at two places."""

import json
import os
import pathlib
import signal
import unittest

from cluster import Cluster, RUNFILES, is_gone, wait_for

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

    def test_an_exclusive_command_of_a_worker_that_stands_still_ends_before_another_begins(self):
        with Cluster(workers=2, slots=1, env={"REEVE_TIME_SCALE": "0.2"}) as cluster:
            lines = cluster.folder / "lines"
            # A second holder of the lock would say so; an interruption costs no attempt.
            script = (f"exec 9>>{lines}.lock; flock -n 9 || echo overlap >>{lines}; echo begin $PPID >>{lines}; "
                      f"test $(grep -c begin {lines}) -ge 2 || sleep 1000")
            job = cluster.reeve("submit", "-q", "--exclusive", "--workdir", "", "--", "sh", "-c", script).stdout.strip()
            wait_for(lambda: lines.exists() and "begin" in lines.read_text(), "the command")
            parent = int(lines.read_text().split()[1])
            proper = int(pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
            os.kill(proper, signal.SIGSTOP)
            try:
                done = cluster.reeve("wait", job, "--timeout", "60s")
            finally:
                os.kill(proper, signal.SIGCONT)
            self.assertEqual(done.returncode, 0, (done.stderr, lines.read_text()))
            self.assertEqual([line.split()[0] for line in lines.read_text().splitlines()], ["begin", "begin"])
            self.assertIn('"attempt": 1', cluster.reeve("task", "get", f"{job}/0", "--json").stdout)

    def test_the_crash_of_an_isolated_handler_costs_its_task_alone(self):
        with Cluster(workers=0) as cluster:
            cluster.start_worker("odd", slots=4, program=ODD_WORKER, flags=("--isolate", "risk"))
            cluster.wait_for_workers(1)
            before = json.loads(cluster.reeve("worker", "list", "--json").stdout)["workers"][0]
            inputs = [str(i) for i in range(40)]
            inputs.insert(20, "poison")
            done = cluster.reeve("map", "--json", "--handler", "risk", stdin="".join(i + "\n" for i in inputs))
            self.assertEqual(done.returncode, 1, done.stderr)
            results = {int(r["index"]): r for r in map(json.loads, done.stdout.splitlines())}
            self.assertEqual(sorted(results), list(range(41)))
            self.assertEqual({i: (r["state"], r["reason"], r["attempt"]) for i, r in results.items() if r["state"] != "SUCCEEDED"},
                             {20: ("FAILED", "SIGNALLED", 3)})
            self.assertEqual({r["attempt"] for i, r in results.items() if i != 20}, {1})
            after = json.loads(cluster.reeve("worker", "list", "--json").stdout)["workers"][0]
            self.assertEqual(after["pid"], before["pid"])

    def test_an_isolated_handler_is_killed_at_its_time_limit_and_with_its_worker(self):
        with Cluster(workers=0) as cluster:
            worker = cluster.start_worker("odd", slots=1, program=ODD_WORKER, flags=("--isolate", "risk"))
            cluster.wait_for_workers(1)
            done = cluster.reeve("map", "--json", "--handler", "risk", "--time-limit", "300ms", "--retries", "0",
                                 stdin="spin\nspin\npid\n")
            results = sorted(map(json.loads, done.stdout.splitlines()), key=lambda r: int(r["index"]))
            self.assertEqual([r["reason"] for r in results[:2]], ["TIMEOUT", "TIMEOUT"])
            # The one slot of the worker was free again each time.
            child = int(results[2]["output"])
            self.assertFalse(is_gone(child))
            worker.kill()
            wait_for(lambda: is_gone(child), "the end of the child")


if __name__ == "__main__":
    unittest.main(verbosity=2)
