"""What may be done with jobs as a whole: created together, paused, changed, tried again, deleted, found; queues and schedules."""

import json
import time
import unittest

import grpc

from api_calls import Api
from cluster import Cluster, wait_for


class JobsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=1, slots=4)
        cls.api = Api()
        cls.token = (cls.cluster.state / "token").read_text().strip()
        cls.channel = grpc.insecure_channel(cls.cluster.address)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.cluster.stop()

    def call(self, method, /, **fields):
        return self.api.call(self.channel, method, self.token, **fields)

    def refused(self, method, /, **fields):
        """The reason word and the message."""
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(method, **fields)
        details = dict(caught.exception.trailing_metadata())["grpc-status-details-bin"]
        words = ("BAD_REQUEST", "JOB_NOT_FOUND", "JOB_NOT_ENDED", "JOB_NEEDED", "JOB_ENDED", "NOTHING_TO_RETRY", "UNIQUE_KEY_TAKEN",
                 "TASK_NOT_FOUND", "QUEUE_NOT_FOUND", "QUEUE_IN_USE", "SCHEDULE_NOT_FOUND", "SCHEDULE_EXISTS", "REQUEST_ID_REUSED")
        return next(w for w in words if w.encode() in details), caught.exception.details()

    def tasks(self, *inputs):
        return {"task_count": len(inputs), "input_bytes": [len(i) for i in inputs], "inputs": "".join(inputs).encode()}

    def shell(self, script, *inputs, **spec):
        return {"spec": {"handler": "exec", "command": {"argv": [script], "shell": True}, **spec}, "batch": self.tasks(*inputs)}

    def create(self, **fields):
        return self.call("JobService/CreateJob", **fields).job_id

    def job(self, job_id):
        return self.call("JobService/GetJob", job_id=job_id)

    def state(self, job_id):
        job = self.job(job_id)
        return job.DESCRIPTOR.enum_types_by_name["State"].values_by_number[job.state].name

    def ended(self, job_id, state="SUCCEEDED"):
        wait_for(lambda: self.state(job_id) in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"), f"end of job {job_id}")
        self.assertEqual(self.state(job_id), state)
        return self.job(job_id)

    def indexes(self, job_id, **fields):
        return [t.index for t in self.call("TaskService/ListTasks", job_id=job_id, **fields).tasks]

    def outputs(self, job_id):
        """By index, in that order."""
        done = self.cluster.reeve("results", str(job_id), "--ordered", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["index"]: line.get("output", "") for line in lines if "index" in line}

    def test_failed_tasks_are_tried_again_by_filter_with_their_indexes_and_inputs(self):
        folder = self.cluster.folder / "marks"
        folder.mkdir()
        first = self.create(**self.shell(f"echo {{}}; test -e {folder}/{{}} || exit {{}}", "3", "4", "0", "5", "3"))
        self.ended(first, "FAILED")
        self.assertEqual(self.refused("JobService/RetryJob", job_id=first, exit_codes=[9])[0], "NOTHING_TO_RETRY")
        self.assertEqual(self.refused("JobService/RetryJob", job_id=first, states=["READY"])[0], "BAD_REQUEST")
        (folder / "3").touch()
        retry = self.call("JobService/RetryJob", job_id=first, exit_codes=[3, 5])
        self.assertEqual((retry.spec.retry_of, retry.counts.total), (first, 3))
        self.ended(retry.job_id, "FAILED")
        self.assertEqual(self.indexes(retry.job_id), [0, 3, 4])
        self.assertEqual(self.indexes(retry.job_id, states=["FAILED"]), [3])
        self.assertEqual(self.refused("TaskService/GetTask", job_id=retry.job_id, index=1)[0], "TASK_NOT_FOUND")
        self.assertEqual(list(self.outputs(retry.job_id).items()), [(0, "3\n"), (3, "5\n"), (4, "3\n")])
        # What the first one had lives on without it, also for a retry of the retry.
        self.call("JobService/DeleteJob", job_id=first)
        self.assertEqual(self.refused("JobService/GetJob", job_id=first)[0], "JOB_NOT_FOUND")
        (folder / "5").touch()
        again = self.call("JobService/RetryJob", job_id=retry.job_id, reasons=["EXIT_NONZERO"]).job_id
        self.ended(again)
        self.assertEqual(self.outputs(again), {3: "5\n"})
        chosen = self.call("JobService/RetryJob", job_id=retry.job_id, indexes=[0, 1, 3], succeeded_too=True).job_id
        self.ended(chosen)
        self.assertEqual(self.indexes(chosen), [0, 3], "1 is no task of it")

    def test_tasks_of_an_array_that_was_cancelled_are_tried_again(self):
        first = self.create(spec={"handler": "sleep", "max_in_flight": 1}, array={"count": 3, "start": 0, "step": 30})
        wait_for(lambda: self.job(first).counts.succeeded == 1, "its first task")
        self.call("JobService/CancelJob", job_id=first)
        self.ended(first, "CANCELLED")
        self.assertEqual(self.refused("JobService/RetryJob", job_id=first, states=["FAILED"])[0], "NOTHING_TO_RETRY")
        retry = self.call("JobService/RetryJob", job_id=first, states=["CANCELLED"], indexes=[1]).job_id
        self.assertEqual(self.refused("JobService/RetryJob", job_id=retry)[0], "JOB_NOT_ENDED")
        self.assertEqual(self.indexes(retry), [1])
        self.assertEqual(self.refused("TaskService/GetTask", job_id=retry, index=0)[0], "TASK_NOT_FOUND")
        self.call("JobService/CancelJob", job_id=retry)
        self.ended(retry, "CANCELLED")
        self.assertIn("Its job was cancelled.", list(self.call("TaskService/ExplainTask", job_id=retry, index=1).explanations))

    def test_a_job_is_deleted_once_it_has_ended_and_nobody_needs_it(self):
        job = self.create(spec={"handler": "echo"}, array={"count": 2}, open=False)
        self.ended(job)
        behind = self.create(spec={"handler": "echo", "after": [{"job_id": job}], "hold": True}, array={"count": 1})
        self.assertEqual(self.refused("JobService/DeleteJob", job_id=job)[0], "JOB_NEEDED")
        self.assertEqual(self.refused("JobService/DeleteJob", job_id=behind)[0], "JOB_NOT_ENDED")
        self.call("JobService/ResumeJob", job_id=behind)
        self.ended(behind)
        self.call("JobService/DeleteJob", job_id=job, request_id="once")
        self.call("JobService/DeleteJob", job_id=job, request_id="once")
        self.assertEqual(self.refused("JobService/DeleteJob", job_id=job)[0], "JOB_NOT_FOUND")
        self.assertEqual(self.refused("JobService/StreamResults", job_id=job)[0], "JOB_NOT_FOUND")

    def test_jobs_of_a_request_are_created_whole_or_not_at_all(self):
        one = {"spec": {"handler": "echo", "name": "list"}, "array": {"count": 2}}
        bad = {"spec": {"handler": "echo", "name": "list", "priority": 10}, "array": {"count": 2}}
        self.assertTrue(self.refused("JobService/CreateJobs", jobs=[one, bad])[1].startswith("jobs[1]: "))
        gone = {"spec": {"handler": "echo", "name": "list", "after": [{"job_id": 99999999}]}, "array": {"count": 2}}
        self.assertEqual(self.refused("JobService/CreateJobs", jobs=[one, gone])[0], "JOB_NOT_FOUND")
        self.assertEqual(len(self.call("JobService/ListJobs", name="list").jobs), 0)
        last = {"spec": {"handler": "echo", "name": "list", "after": [{"position": 1}, {"position": 2, "condition": "ON_END"}]},
                "array": {"count": 1}}
        made = self.call("JobService/CreateJobs", request_id="list", jobs=[one, one, last]).jobs
        self.assertEqual([j.job_id - made[0].job_id for j in made], [0, 1, 2])
        self.ended(made[2].job_id)
        self.assertEqual(self.state(made[0].job_id), "SUCCEEDED")
        again = self.call("JobService/CreateJobs", request_id="list", jobs=[one, one, last]).jobs
        self.assertEqual([j.job_id for j in again], [j.job_id for j in made])
        self.assertEqual(again[2].counts.succeeded, 1)
        ids = [made[0].job_id, made[1].job_id]
        after = lambda job: [(a.job_id, a.position) for a in job.spec.after]
        listed = self.call("JobService/ListJobs", name="list").jobs
        for job in (made[2], again[2], self.job(made[2].job_id), next(j for j in listed if j.job_id == made[2].job_id)):
            self.assertEqual(after(job), [(ids[0], 0), (ids[1], 0)])
        self.assertEqual(self.refused("JobService/CreateJobs", request_id="list", jobs=[one])[0], "REQUEST_ID_REUSED")

    def test_a_successor_has_the_results_of_what_ended_before(self):
        split = self.create(**self.shell("echo {}; test {} != x", "a", "b", "x"))
        self.ended(split, "FAILED")
        spec = self.shell("cat $REEVE_RESULTS_DIR/split/*; ls $REEVE_RESULTS_DIR/split", "0")
        spec["spec"]["after"] = [{"job_id": split, "condition": "ON_END", "results": True, "name": "split"}]
        behind = self.create(**spec)
        self.ended(behind)
        self.assertEqual(self.outputs(behind), {0: "a\nb\n0\n1\n"})

    def test_a_paused_job_waits_and_what_may_change_changes(self):
        job = self.create(spec={"handler": "echo", "hold": True, "priority": 7, "queue": "slow"}, array={"count": 2})
        self.assertEqual(self.state(job), "PAUSED")
        held = self.job(job)
        self.assertEqual((held.paused, held.spec.priority, held.spec.queue, held.counts.ready), (True, 7, "slow", 2))
        explained = self.call("TaskService/ExplainTask", job_id=job, index=0)
        self.assertEqual([explained.DESCRIPTOR.enum_types_by_name["Wait"].values_by_number[w].name for w in explained.waits][:1], ["PAUSED"])
        changed = self.call("JobService/UpdateJob", job_id=job, priority=2, max_in_flight=1)
        self.assertEqual((changed.spec.priority, changed.spec.max_in_flight), (2, 1))
        self.assertEqual(self.refused("JobService/UpdateJob", job_id=job, priority=10)[0], "BAD_REQUEST")
        self.assertFalse(self.call("JobService/ResumeJob", job_id=job).paused)
        ended = self.ended(job)
        self.assertEqual((ended.spec.priority, ended.spec.max_in_flight, ended.paused), (2, 1, False))
        for name in ("PauseJob", "ResumeJob", "UpdateJob"):
            self.assertEqual(self.refused(f"JobService/{name}", job_id=job)[0], "JOB_ENDED")
        self.assertEqual(self.refused("JobService/PauseJob", job_id=99999999)[0], "JOB_NOT_FOUND")

    def test_jobs_are_found_by_labels_queue_and_name(self):
        held = {"hold": True, "handler": "echo"}
        a = self.create(spec={**held, "labels": {"team": "a", "env": "prod"}, "queue": "found"}, array={"count": 1})
        b = self.create(spec={"handler": "echo", "labels": {"team": "b"}, "queue": "found", "name": "bee"}, array={"count": 1})
        self.ended(b)

        def found(**fields):
            return [j.job_id for j in self.call("JobService/ListJobs", **fields).jobs]
        self.assertEqual(found(label_selector=["team"]), [b, a])
        self.assertEqual(found(label_selector=["team=a"]), [a])
        self.assertEqual(found(label_selector=["team", "env!=prod"]), [b])
        self.assertEqual(found(label_selector=["!env", "team"]), [b])
        self.assertEqual(found(queue="found"), [b, a])
        self.assertEqual(found(queue="found", states=["PAUSED"]), [a])
        self.assertEqual(found(name="bee"), [b])
        self.assertEqual(self.refused("JobService/ListJobs", label_selector=["=a"])[0], "BAD_REQUEST")
        self.call("JobService/CancelJob", job_id=a)

    def test_queues_are_set_up_changed_and_forgotten(self):
        self.assertEqual(self.refused("QueueService/GetQueue", name="q")[0], "QUEUE_NOT_FOUND")
        made = self.call("QueueService/UpdateQueue", queue={"name": "q", "weight": 3, "rate": {"count": 50}, "paused": True})
        self.assertEqual((made.weight, made.rate.count, made.rate.burst, made.paused, made.max_in_flight), (3, 50, 2, True, 0))
        job = self.create(spec={"handler": "echo", "queue": "q"}, array={"count": 4})
        queue = self.call("QueueService/GetQueue", name="q")
        self.assertEqual((queue.job_count, queue.task_count, queue.in_flight), (1, 4, 0))
        self.assertEqual(self.refused("QueueService/DeleteQueue", name="q")[0], "QUEUE_IN_USE")
        self.assertEqual(self.refused("QueueService/UpdateQueue", queue={"name": "q", "weight": 1001})[0], "BAD_REQUEST")
        changed = self.call("QueueService/UpdateQueue", queue={"name": "q", "paused": False, "rate": {}})
        self.assertEqual((changed.weight, changed.HasField("rate"), changed.paused), (3, False, False))
        self.ended(job)
        self.assertIn("q", [q.name for q in self.call("QueueService/ListQueues").queues])
        self.call("QueueService/DeleteQueue", name="q")
        self.assertEqual(self.refused("QueueService/GetQueue", name="q")[0], "QUEUE_NOT_FOUND")

    def test_a_schedule_makes_jobs_until_it_is_paused_or_deleted(self):
        schedule = {"name": "tick", "every": {"nanos": 200_000_000}, "overlap": "ALLOW",
                    "spec": {"handler": "echo", "deadline": {"seconds": 60}}, "array": {"count": 1}}
        made = self.call("ScheduleService/CreateSchedule", request_id="tick", schedule=schedule)
        self.assertEqual((made.owner, made.fired_count, made.HasField("next_time")), ("root", 0, True))
        self.assertEqual(self.call("ScheduleService/CreateSchedule", request_id="tick", schedule=schedule).name, "tick")
        self.assertEqual(self.refused("ScheduleService/CreateSchedule", schedule=schedule)[0], "SCHEDULE_EXISTS")
        wait_for(lambda: self.call("ScheduleService/GetSchedule", name="tick").fired_count >= 3, "three fire times")
        paused = self.call("ScheduleService/PauseSchedule", name="tick")
        self.assertTrue(paused.paused)
        job = self.ended(paused.last_job_id)
        self.assertEqual((job.spec.schedule, job.owner), ("tick", "root"))
        run = self.call("ScheduleService/RunSchedule", name="tick", request_id="now")
        self.assertEqual(self.call("ScheduleService/RunSchedule", name="tick", request_id="now").job_id, run.job_id)
        self.ended(run.job_id)
        self.assertEqual(len(self.call("ScheduleService/ListFireTimes", name="tick").times), 0)
        self.call("ScheduleService/ResumeSchedule", name="tick")
        times = [t.ToNanoseconds() for t in self.call("ScheduleService/ListFireTimes", name="tick", count=4).times]
        self.assertEqual([b - a for a, b in zip(times, times[1:])], [200_000_000] * 3)
        self.assertEqual([s.name for s in self.call("ScheduleService/ListSchedules").schedules], ["tick"])
        self.call("ScheduleService/DeleteSchedule", name="tick")
        self.assertEqual(self.refused("ScheduleService/GetSchedule", name="tick")[0], "SCHEDULE_NOT_FOUND")
        for wrong in ({"cron": "* *"}, {"cron": "* * * * *", "time_zone": "Nowhere/Here"}, {"every": {"nanos": 1}}, {"at": {"seconds": 1}}, {}):
            self.assertEqual(self.refused("ScheduleService/CreateSchedule", schedule={**schedule, "name": "bad", "every": None, **wrong})[0],
                             "BAD_REQUEST", wrong)

    def test_a_worker_that_is_drained_to_stay_gets_nothing_until_it_is_undrained(self):
        worker = self.call("WorkerService/ListWorkers").workers[0]
        states = worker.DESCRIPTOR.enum_types_by_name["State"].values_by_number
        drained = self.call("WorkerService/DrainWorker", worker=worker.worker, stay=True)
        self.assertEqual(states[drained.state].name, "DRAINED")
        try:
            job = self.create(spec={"handler": "echo"}, array={"count": 1})
            time.sleep(0.3)
            self.assertEqual(self.job(job).counts.ready, 1)
        finally:
            back = self.call("WorkerService/UndrainWorker", worker=worker.worker)
        self.assertEqual(states[back.state].name, "ONLINE")
        self.ended(job)


if __name__ == "__main__":
    unittest.main(verbosity=2)
