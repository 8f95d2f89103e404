"""A client generated from the protos alone, with nothing of ours: creates a job and reads its results."""

import os
import pathlib
import subprocess
import sys
import time
import unittest
import uuid

from cluster import Cluster, RUNFILES

GENERATED = pathlib.Path(os.environ["TEST_TMPDIR"]) / "generated"


def generate():
    GENERATED.mkdir(exist_ok=True)
    protos = sorted(str(p.relative_to(RUNFILES / "proto")) for p in (RUNFILES / "proto/reeve/v1").glob("*.proto"))
    subprocess.run(["protoc", f"-I{RUNFILES}/proto", f"--python_out={GENERATED}", f"--grpc_out={GENERATED}",
                    "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *protos], check=True)
    sys.path.insert(0, str(GENERATED))


class PythonClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        generate()

    def test_a_result_after_a_second_of_silence_comes_as_soon_as_others(self):
        """Without the pulse it waits for the end of a pause of 100 ms (master/service/grpc_pulse.h)."""
        import grpc
        from reeve.v1 import batch_pb2, job_pb2, services_pb2, services_pb2_grpc

        with Cluster(workers=1) as cluster:
            metadata = [("authorization", f"Bearer {(cluster.state / 'token').read_text().strip()}")]
            with grpc.insecure_channel(cluster.address) as channel:
                stub = services_pb2_grpc.JobServiceStub(channel)

                def beyond(seconds):
                    """The least that a task of `seconds` takes beyond them."""
                    text, least = str(seconds).encode(), 60.0
                    for _ in range(6):
                        began = time.monotonic()
                        job = stub.CreateJob(services_pb2.CreateJobRequest(
                            request_id=str(uuid.uuid4()), spec=job_pb2.JobSpec(handler="sleep"),
                            batch=batch_pb2.TaskBatch(task_count=1, input_bytes=[len(text)], inputs=text)), metadata=metadata)
                        list(stub.StreamResults(services_pb2.StreamResultsRequest(job_id=job.job_id, follow=True), metadata=metadata))
                        least = min(least, time.monotonic() - began - seconds)
                    return least

                soon = beyond(0.3)
                self.assertLess(beyond(1.04), 5 * max(soon, 0.002))

    def test_a_generated_client_creates_a_job_and_reads_its_results(self):
        import grpc
        from reeve.v1 import batch_pb2, job_pb2, services_pb2, services_pb2_grpc, task_pb2

        with Cluster(workers=2) as cluster:
            token = (cluster.state / "token").read_text().strip()
            metadata = [("authorization", f"Bearer {token}")]
            with grpc.insecure_channel(cluster.address) as channel:
                jobs = services_pb2_grpc.JobServiceStub(channel)
                with self.assertRaises(grpc.RpcError) as refused:
                    jobs.GetJob(services_pb2.GetJobRequest(job_id=1))
                self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAUTHENTICATED)

                inputs = [b"a", b"", b"ccc"]
                job = jobs.CreateJob(services_pb2.CreateJobRequest(
                    request_id=str(uuid.uuid4()), spec=job_pb2.JobSpec(name="from Python", handler="echo"),
                    batch=batch_pb2.TaskBatch(task_count=3, input_bytes=[1, 0, 3], inputs=b"".join(inputs))),
                    metadata=metadata)
                outputs, ended, cursor = {}, False, 0
                for batch in jobs.StreamResults(services_pb2.StreamResultsRequest(job_id=job.job_id, follow=True), metadata=metadata):
                    lengths = list(batch.output_bytes)
                    count = sum(batch.count)
                    lengths = lengths * count if len(lengths) == 1 else lengths or [0] * count
                    for run in batch.runs:
                        for i in range(run.count):
                            at = sum(lengths[:run.position + i])
                            outputs[run.first + i] = batch.output[at:at + lengths[run.position + i]]
                    cursor = batch.cursor
                    ended = batch.HasField("end")
                self.assertEqual(outputs, dict(enumerate(inputs)))
                self.assertTrue(ended)
                resumed = list(jobs.StreamResults(services_pb2.StreamResultsRequest(job_id=job.job_id, cursor=cursor, follow=True), metadata=metadata))
                self.assertEqual(len(resumed), 1, "nothing but the end is left behind the last cursor")
                self.assertEqual(jobs.GetJob(services_pb2.GetJobRequest(job_id=job.job_id), metadata=metadata).state, job_pb2.Job.SUCCEEDED)

                for durability in (job_pb2.JobSpec.DURABLE, job_pb2.JobSpec.EPHEMERAL):
                    events = list(jobs.RunJob(services_pb2.CreateJobRequest(
                        request_id=str(uuid.uuid4()), spec=job_pb2.JobSpec(handler="echo", durability=durability),
                        batch=batch_pb2.TaskBatch(task_count=1, input_bytes=[3], inputs=b"one")), metadata=metadata))
                    self.assertEqual([(e.HasField("job"), e.HasField("results")) for e in events], [(True, False), (True, True)],
                                     "the only result and the end are one message")
                    self.assertEqual((events[1].results.output, events[1].job.state), (b"one", job_pb2.Job.SUCCEEDED))
                    self.assertEqual(events[1].job.counts.succeeded, 1)

                tasks = services_pb2_grpc.TaskServiceStub(channel)
                task = tasks.GetTask(services_pb2.GetTaskRequest(job_id=job.job_id, index=2), metadata=metadata)
                self.assertEqual((task.state, task.output_bytes, task.attempt), (task_pb2.Task.SUCCEEDED, 3, 1))

                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                name = b"reeve.v1.JobService"
                self.assertEqual(check(b"\x0a" + bytes([len(name)]) + name, metadata=metadata), b"\x08\x01", "SERVING")

                opened = jobs.CreateJob(services_pb2.CreateJobRequest(
                    request_id=str(uuid.uuid4()), spec=job_pb2.JobSpec(handler="echo"), open=True), metadata=metadata)
                first = services_pb2.AppendTasksRequest(job_id=opened.job_id, appender_id="me")
                more = [services_pb2.AppendTasksRequest(offset=2 * i, task_count=2, input_bytes=[1], inputs=b"xy") for i in range(5)]
                answers = list(jobs.AppendTasks(iter([first, *more]), metadata=metadata))
                self.assertEqual([a.committed_offset for a in answers], [0, 2, 4, 6, 8, 10])
                again = list(jobs.AppendTasks(iter([first]), metadata=metadata))
                self.assertEqual(again[0].committed_offset, 10)
                laden = services_pb2.AppendTasksRequest(job_id=opened.job_id, appender_id="you", task_count=1, input_bytes=[1], inputs=b"z")
                with self.assertRaises(grpc.RpcError) as refused:
                    list(jobs.AppendTasks(iter([laden]), metadata=metadata))
                self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
                jobs.CloseJob(services_pb2.CloseJobRequest(request_id=str(uuid.uuid4()), job_id=opened.job_id), metadata=metadata)
                watched = list(jobs.WatchJob(services_pb2.WatchJobRequest(job_id=opened.job_id), metadata=metadata))
                with self.assertRaises(grpc.RpcError) as refused:
                    list(jobs.AppendTasks(iter([first]), metadata=metadata))
                self.assertEqual(refused.exception.code(), grpc.StatusCode.FAILED_PRECONDITION, "the job has ended")
                self.assertEqual((watched[-1].state, watched[-1].counts.succeeded), (job_pb2.Job.SUCCEEDED, 10))

    def test_a_reset_of_statistics_that_is_asked_for_again_gives_the_same_answer(self):
        """The client does not know whether a call arrived that was broken off, and repeats it."""
        import grpc
        from reeve.v1 import services_pb2, services_pb2_grpc

        with Cluster(workers=1) as cluster:
            cluster.reeve("map", "--handler", "echo", ":::", *"abc")
            metadata = [("authorization", f"Bearer {(cluster.state / 'token').read_text().strip()}")]
            with grpc.insecure_channel(cluster.address) as channel:
                stub = services_pb2_grpc.ClusterServiceStub(channel)

                def reset(request_id):
                    return stub.GetStatistics(services_pb2.GetStatisticsRequest(reset=True, request_id=request_id), metadata=metadata)

                first = reset("a")
                self.assertEqual([(h.handler, h.succeeded_count) for h in first.handlers], [("echo", 3)])
                self.assertEqual(reset("a"), first)
                self.assertEqual(list(reset("b").handlers), [])
                with self.assertRaises(grpc.RpcError) as refused:
                    reset("")
                self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
