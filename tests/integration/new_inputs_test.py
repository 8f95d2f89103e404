"""Jobs whose tasks add inputs to them: a graph is expanded over several workers, and no node twice."""

import base64
import json
import signal
import unittest

from cluster import Cluster, RUNFILES, wait_for

ODD_WORKER = RUNFILES / "tests/integration/odd_worker"
ADDED_EACH = 4  # By each task of the handler `expand`.


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


class NewInputsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=0)
        for i in range(2):
            cls.cluster.start_worker(f"odd-{i}", slots=4, program=ODD_WORKER)
        cls.cluster.wait_for_workers(2)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def create(self, name, nodes, params=(), **spec):
        request = {
            "request_id": name,
            "spec": {"handler": "expand", "params": {"nodes": str(nodes), **dict(params)}, "accepts_new_inputs": True, **spec},
            "batch": {"task_count": 1, "input_bytes": [1], "inputs": base64_of("0"), "keys": base64_of("0" * 16)},
        }
        made = self.cluster.reeve("api", "call", "reeve.v1.JobService/CreateJob", json.dumps(request))
        self.assertEqual(made.returncode, 0, made.stderr)
        return str(json.loads(made.stdout)["job_id"])

    def counts(self, job):
        counts = json.loads(self.cluster.reeve("job", "get", job, "--json").stdout)["counts"]
        return {name: int(value) for name, value in counts.items()}

    def nodes_of(self, job):
        """What the tasks gave back, once the job has succeeded."""
        done = self.cluster.reeve("wait", job)
        self.assertEqual(done.returncode, 0, done.stderr)
        results = self.cluster.reeve("results", job)
        self.assertEqual(results.returncode, 0, results.stderr)
        return sorted(int(line) for line in results.stdout.split())

    def test_a_master_that_is_killed_in_the_middle_loses_no_node_and_repeats_none(self):
        nodes = 4000
        job = self.create("killed", nodes, {"slowly": "yes"})
        for part in (4, 2):
            wait_for(lambda: self.counts(job).get("succeeded", 0) > nodes / part / 2, "some of the graph")
            master = self.cluster.processes["master"]
            master.send_signal(signal.SIGKILL)
            master.wait()
            self.cluster.start_master()
            wait_for(lambda: self.cluster.reeve("job", "get", job).returncode == 0, "the master")
            self.assertLess(self.counts(job).get("succeeded", 0), nodes, "it was over before the master was killed")
        self.assertEqual(self.nodes_of(job), list(range(nodes)))
        counts = self.counts(job)
        self.assertEqual((counts["total"], counts["succeeded"]), (nodes, nodes))
        # Each result was counted with what it added, once.
        self.assertEqual(counts["duplicate_inputs"], ADDED_EACH * nodes + 1 - nodes)

    def test_an_ephemeral_job_expands_too(self):
        job = self.create("ephemeral", 300, durability="EPHEMERAL")
        self.assertEqual(self.nodes_of(job), list(range(300)))

    def test_inputs_beyond_max_tasks_are_dropped_counted_and_told(self):
        job = self.create("limited", 300, max_tasks=100)
        self.assertEqual(len(set(self.nodes_of(job))), 100)
        counts = self.counts(job)
        self.assertEqual(counts["total"], 100)
        self.assertEqual(counts["duplicate_inputs"] + counts["dropped_inputs"], ADDED_EACH * 100 + 1 - 100)
        shown = self.cluster.reeve("job", "get", job).stdout
        self.assertIn(f"new inputs  up to 100 tasks; dropped: {counts['duplicate_inputs']} duplicates, "
                      f"{counts['dropped_inputs']} beyond the limit", shown)


if __name__ == "__main__":
    unittest.main(verbosity=2)
