"""What attempts say to the next one, the soft time limit, results of other jobs, and what workers have: on each lane."""

import json
import unittest

import grpc

from api_calls import Api
from cluster import Cluster, RUNFILES, wait_for

ODD_WORKER = RUNFILES / "tests/integration/odd_worker"
LANES = ("", "-isolated", "-async")


class AttemptsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = Api()
        cls.cluster = Cluster(workers=0)
        cls.cluster.start_worker("odd", program=ODD_WORKER, flags=("--resource", "gpu=2", "--resource", "licence=0.5"))
        cls.cluster.wait_for_workers(1)
        cls.channel = grpc.insecure_channel(cls.cluster.address)
        cls.token = (cls.cluster.state / "token").read_text().strip()

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.cluster.stop()

    def create(self, spec, inputs):
        """A job of these inputs; its id."""
        batch = {"task_count": len(inputs), "input_bytes": [len(i) for i in inputs], "inputs": "".join(inputs).encode()}
        return str(self.api.call(self.channel, "JobService/CreateJob", self.token, spec=spec, batch=batch).job_id)

    def script(self, text, **spec):
        return self.create({"handler": "exec", "command": {"argv": [text], "shell": True}, **spec}, ["x"])

    def results(self, job):
        """By index, once the job has ended."""
        self.cluster.reeve("wait", job, "--timeout", "60s")
        done = self.cluster.reeve("results", job, "--json")
        return {int(r["index"]): r for r in map(json.loads, done.stdout.splitlines())}

    def result(self, job):
        results = self.results(job)
        self.assertEqual(list(results), [0])
        return results[0]

    # ---- The soft time limit ----

    def test_a_command_gets_sigterm_at_its_soft_limit_and_may_end_well(self):
        limits = {"soft_time_limit": {"seconds": 1}, "time_limit": {"seconds": 60}}
        well = self.result(self.script("trap 'echo saved; exit 0' TERM; sleep 1000 & wait", **limits))
        self.assertEqual((well["state"], well["output"]), ("SUCCEEDED", "saved\n"))
        died = self.result(self.script("exec sleep 1000", **limits))
        self.assertEqual((died["state"], died["reason"], died["signal"]), ("FAILED", "TIMEOUT", 15))

    def test_a_handler_is_told_at_its_soft_limit_and_what_it_returns_counts(self):
        for lane in LANES:
            job = self.create({"handler": "endless" + lane, "soft_time_limit": {"nanos": 300_000_000}, "time_limit": {"seconds": 60}}, ["x"])
            ended = self.result(job)
            self.assertEqual((ended["state"], ended.get("output")), ("SUCCEEDED", "ended well"), lane)

    # ---- Words to the next attempt ----

    def test_a_permanent_failure_is_not_tried_again(self):
        for lane in LANES:
            failed = self.result(self.create({"handler": "say" + lane, "max_attempts": 3}, ["permanent"]))
            self.assertEqual((failed["state"], failed["reason"], failed["attempt"], failed["message"]), ("FAILED", "HANDLER_ERROR", 1, "never"), lane)
        failed = self.result(self.script("echo permanent >&$REEVE_PROGRESS_FD; exit 3", max_attempts=3))
        self.assertEqual((failed["state"], failed["reason"], failed["exit_code"], failed["attempt"]), ("FAILED", "EXIT_NONZERO", 3, 1))
        # One who succeeds has no failure to speak of.
        done = self.result(self.script("echo permanent >&$REEVE_PROGRESS_FD", max_attempts=3))
        self.assertEqual(done["state"], "SUCCEEDED")

    def test_an_attempt_that_asks_to_come_again_is_not_counted(self):
        for lane in LANES:
            counted = self.cluster.folder / f"again{lane}"
            done = self.result(self.create({"handler": "say" + lane, "max_attempts": 1}, [f"again {counted}"]))
            self.assertEqual((done["state"], done.get("output")), ("SUCCEEDED", "4"), lane)
        counted = self.cluster.folder / "again-command"
        done = self.result(self.script(f"printf x >>{counted}; test $(stat -c %s {counted}) -ge 4 && exit 0; "
                                       "echo again 0.01s >&$REEVE_PROGRESS_FD; exit 3", max_attempts=1))
        self.assertEqual((done["state"], counted.read_text()), ("SUCCEEDED", "xxxx"))

    def test_an_attempt_finds_what_the_one_before_left(self):
        retry = {"max_attempts": 2, "retry": {"first_backoff": {"nanos": 1_000_000}}}
        for lane in LANES:
            done = self.result(self.create({"handler": "say" + lane, **retry}, ["details"]))
            self.assertEqual((done["state"], done["attempt"], done.get("output")), ("SUCCEEDED", 2, "at 7"), lane)
        done = self.result(self.script('[ -n "$REEVE_DETAILS" ] && echo "$REEVE_DETAILS" && exit 0; '
                                       "echo details at line 7 >&$REEVE_PROGRESS_FD; exit 3", **retry))
        self.assertEqual((done["state"], done["attempt"], done["output"]), ("SUCCEEDED", 2, "at line 7\n"))

    def test_an_attempt_finds_what_one_left_whose_worker_was_lost(self):
        with Cluster(workers=0, env={"REEVE_TIME_SCALE": "0.2"}) as cluster:
            cluster.start_worker("first")
            cluster.wait_for_workers(1)
            script = ('[ -n "$REEVE_DETAILS" ] && echo "$REEVE_DETAILS" && exit 0; '
                      "printf 'details at line 7\n0.5\n' >&$REEVE_PROGRESS_FD; exec sleep 1000")
            job = cluster.reeve("submit", "-q", "--retries", "1", "--shell", script).stdout.strip()
            # One heartbeat tells both.
            wait_for(lambda: json.loads(cluster.reeve("task", "get", f"{job}/0", "--json").stdout).get("progress"), "progress")
            cluster.processes["first"].kill()
            cluster.start_worker("second")
            self.assertEqual(cluster.reeve("wait", job, "--timeout", "60s").returncode, 0)
            self.assertEqual(cluster.reeve("results", job).stdout, "at line 7\n")

    def test_an_attempt_finds_what_one_left_although_the_master_was_killed_between_them(self):
        with Cluster(workers=1) as cluster:
            go = cluster.folder / "go"
            script = f'[ -e {go} ] && echo "got $REEVE_DETAILS" && exit 0; echo details at line 7 >&$REEVE_PROGRESS_FD; exit 3'
            job = cluster.reeve("submit", "-q", "--retries", "99", "--retry-backoff", "5s,5s", "--shell", script).stdout.strip()
            wait_for(lambda: json.loads(cluster.reeve("task", "get", f"{job}/0", "--json").stdout)["state"] == "SCHEDULED", "the back-off")
            cluster.processes["master"].kill()
            cluster.processes["master"].wait()
            go.touch()
            cluster.start_master()
            wait_for(lambda: cluster.reeve("cluster", "info").returncode == 0, "the master")
            self.assertEqual(cluster.reeve("wait", job, "--timeout", "60s").returncode, 0)
            self.assertEqual(cluster.reeve("results", job).stdout, "got at line 7\n")

    # ---- Results of other jobs ----

    def test_results_of_a_job_are_at_hand_for_those_that_depend_on_it(self):
        script = "sleep 0.5; echo out of {}; [ {} = b ] || echo file of {} >$REEVE_RESULT_FILE"
        for durability in (1, 2):  # DURABLE, EPHEMERAL.
            first = self.create({"handler": "exec", "command": {"argv": [script], "shell": True}, "durability": durability}, ["a", "b"])
            after = [{"job_id": int(first), "results": True, "name": "first"}]
            jobs = [self.create({"handler": "say" + lane, "after": after}, ["predecessor"]) for lane in LANES]
            command = self.script("cd $REEVE_RESULTS_DIR/first && for f in *; do echo $f $(cat $f); done", after=after)
            for job in jobs:
                done = self.result(job)
                self.assertEqual((done["state"], done.get("output")), ("SUCCEEDED", "out of b\n"))
            done = self.result(command)
            self.assertEqual((done["state"], done["output"]), ("SUCCEEDED", "0 file of a\n1 out of b\n"))

    def test_results_of_a_job_that_ended_before_are_at_hand_too(self):
        first = self.create({"handler": "echo"}, ["zero", "one"])
        self.assertEqual(len(self.results(first)), 2)
        done = self.result(self.create({"handler": "say", "after": [{"job_id": int(first), "results": True, "name": "first"}]}, ["predecessor"]))
        self.assertEqual((done["state"], done.get("output")), ("SUCCEEDED", "one"))

    def test_too_many_results_fail_the_tasks_that_want_them(self):
        first = self.script("sleep 0.5; head -c 3000000 /dev/zero >$REEVE_RESULT_FILE")
        done = self.result(self.script("echo never", after=[{"job_id": int(first), "results": True, "name": "first"}]))
        self.assertEqual((done["state"], done["reason"]), ("FAILED", "BAD_INPUT"))

    # ---- What workers have ----

    def test_a_worker_tells_what_it_has(self):
        worker = self.api.call(self.channel, "WorkerService/ListWorkers", self.token).workers[0]
        self.assertEqual((worker.resources["gpu"], worker.resources["licence"]), (2, 0.5))
        self.assertGreaterEqual(worker.resources["cpus"], 0.001)
        self.assertGreater(worker.resources["memory"], 1 << 26)

    def test_what_is_no_resource_or_label_of_ones_own_keeps_a_worker_from_starting(self):
        for flags, why in ((("--resource", "gpu"), "--resource gpu: NAME=AMOUNT is wanted"), (("--label", "host=other"), "--label host=other: every worker has")):
            self.assertEqual(self.cluster.start_worker("wrong", flags=flags).wait(20), 2)
            self.assertIn(why, self.cluster.log("wrong"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
