"""The command line against a real cluster: what the README and the issue promise."""

import glob
import hashlib
import json
import os
import signal
import subprocess
import unittest

from cluster import Cluster, RUNFILES, is_gone, wait_for


class CommandLineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, slots=4)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def reeve(self, *args, **kwargs):
        return self.cluster.reeve(*args, **kwargs)

    def test_run_separates_the_streams_and_exits_with_the_commands_code(self):
        done = self.reeve("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "out\n", "err\n"))

    def test_long_outputs_pass_whole_and_beyond_the_logs_with_a_mark(self):
        done = self.reeve("run", "--", "sh", "-c", "seq 1000000; seq 1000000 >&2")
        numbers = "".join(f"{i}\n" for i in range(1, 1000001))
        self.assertTrue(done.stdout == numbers and done.stderr == numbers, "6.9 MB on either stream")
        logs = self.reeve("logs", "last")
        self.assertTrue(logs.stdout == numbers and logs.stderr == numbers, "the logs hold them at once")
        done = self.reeve("run", "--", "sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' y; echo end")
        before, left_out, after = done.stdout.partition("\n[... ")
        count, _, end = after.partition(" bytes left out ...]\n")
        self.assertEqual(len(before) + int(count) + len(end), 20000004)
        self.assertTrue(end.endswith("yend\n"))

    def test_what_cannot_be_printed_is_an_error(self):
        for args in (("run", "--", "echo", "x"), ("ps",), ("submit", "-q", "--", "true"), ("api", "list"), ("map", "--handler", "echo", ":::", "x")):
            with open("/dev/full", "w") as full:
                done = subprocess.run(self.cluster.command(*args), env=self.cluster.env, stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, (args, done.stderr))
            self.assertIn("No space left on device", done.stderr)
        for args in (("logs", "last"), ("run", "--", "echo", "x"), ("map", "--handler", "echo", ":::", "x")):
            self.reeve("run", "--", "echo", "x")
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(self.cluster.command(*args), env=self.cluster.env, stdin=subprocess.DEVNULL, stdout=writer, timeout=60)
            os.close(writer)
            self.assertEqual(done.returncode, 141, args)

    def test_json_is_one_document(self):
        ended = json.loads(self.reeve("submit", "--json", "--wait", "--", "true").stdout)
        self.assertEqual(ended["state"], "SUCCEEDED")
        self.assertEqual(len(json.loads(self.reeve("job", "get", "1,2", "--json").stdout)["jobs"]), 2)
        lines = self.reeve("map", "--dry-run", "--json", "--", "echo", "{}", ":::", "a b", "c").stdout.splitlines()
        self.assertEqual([json.loads(line)["command"] for line in lines], ["echo 'a b'", "echo c"])
        self.assertIn("message Job", json.loads(self.reeve("api", "describe", "reeve.v1.Job", "--json").stdout)["text"])

    def test_messages_name_the_master_that_a_flag_named(self):
        done = self.reeve("--master", self.cluster.address, "submit", "--", "true")
        self.assertIn(f"reeve --master {self.cluster.address} wait", done.stderr)
        done = self.reeve("ps", env={"REEVE_TOKEN_FILE": "", "XDG_CONFIG_HOME": "/nowhere"})
        self.assertEqual(done.returncode, 3)
        self.assertIn("/nowhere/reeve/clusters/", done.stderr)
        self.assertIn("--token-file", done.stderr)

    def test_interrupting_submit_names_the_job_and_closes_it(self):
        reader, writer = os.pipe()
        submit = subprocess.Popen(self.cluster.command("submit", "--handler", "echo", "--lines", "-"), env=self.cluster.env,
                                  stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.close(reader)
        os.write(writer, b"1\n2\n")
        wait_for(lambda: '"OPEN"' in self.reeve("ps", "--json", "--limit", "1").stdout, "the open job")
        submit.send_signal(signal.SIGINT)
        out, err = submit.communicate(timeout=60)
        os.close(writer)
        self.assertEqual(submit.returncode, 130, err)
        self.assertIn(f"job {out.strip()} has the 2 inputs", err)
        self.assertEqual(self.reeve("wait", out.strip(), "--timeout", "30s").returncode, 0)

    def test_run_passes_standard_input_on(self):
        done = self.reeve("run", "--", "wc", "-c", stdin="x" * 1000)
        self.assertEqual(done.stdout.strip(), "1000")

    def test_run_tells_a_missing_program_from_an_unexecutable_one(self):
        done = self.reeve("run", "--", "no-such-program")
        self.assertEqual(done.returncode, 127)
        self.assertIn("no-such-program", done.stderr)
        self.assertEqual(self.reeve("run", "--", "/etc/passwd").returncode, 126)
        self.assertEqual(self.reeve("run", "--", "sh", "-c", "kill -9 $$").returncode, 137)

    def test_interrupting_run_leaves_no_process_behind(self):
        run = self.cluster.popen("run", "--", "sh", "-c", "echo $$; sleep 1000")
        pid = int(run.stdout.readline())
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, 7)
        wait_for(lambda: is_gone(pid), f"end of {pid}")

    def test_map_over_headers_equals_sha256sum_byte_for_byte(self):
        files = sorted(glob.glob("/usr/include/**/*.h", recursive=True))[:1500]
        names = "".join(f + "\0" for f in files)
        direct = subprocess.run(["xargs", "-0", "sha256sum"], input=names, capture_output=True, text=True, check=True)
        mapped = self.reeve("map", "-0", "--ordered", "--", "sha256sum", "{}", stdin=names)
        self.assertEqual(mapped.returncode, 0, mapped.stderr)
        self.assertEqual(mapped.stdout, direct.stdout)

    def test_map_agrees_with_the_sums_debian_recorded(self):
        expected = {}
        for path in sorted(glob.glob("/var/lib/dpkg/info/*.md5sums"))[:40]:
            for line in open(path):
                digest, name = line.rstrip("\n").split(None, 1)
                if os.path.isfile("/" + name) and not os.path.islink("/" + name) and name.startswith("usr/share/doc"):
                    expected["/" + name] = digest
        names = sorted(expected)[:500]
        mapped = self.reeve("map", "--ordered", "--", "md5sum", "{}", stdin="".join(n + "\n" for n in names))
        self.assertEqual(mapped.stdout, "".join(f"{expected[n]}  {n}\n" for n in names))

    def test_the_digest_handler_agrees_with_a_direct_digest(self):
        files = sorted(glob.glob("/usr/include/*.h"))
        mapped = self.reeve("map", "--ordered", "--handler", "digest", stdin="".join(f + "\n" for f in files))
        lines = mapped.stdout.splitlines()
        self.assertEqual(len(lines), len(files))
        for line, name in zip(lines, files):
            content = open(name, "rb").read()
            self.assertEqual(json.loads(line), {"path": name, "sha256": hashlib.sha256(content).hexdigest(),
                                                "lines": content.count(b"\n"), "bytes": len(content)})

    def test_names_with_blanks_and_dollars_stay_untouched(self):
        mapped = self.reeve("map", "-0", "--ordered", "--", "printf", "%s\\n", "{}", stdin="a b\0$(id)\0")
        self.assertEqual(mapped.stdout, "a b\n$(id)\n")

    def test_a_million_lines_come_back_in_order(self):
        lines = "".join(f"{i}\n" for i in range(1, 1_000_001))
        mapped = self.reeve("map", "--handler", "echo", "--ordered", stdin=lines)
        self.assertEqual(mapped.returncode, 0, mapped.stderr)
        self.assertTrue(mapped.stdout == lines, "the output differs from the input")

    def test_arguments_ranges_and_json_records_become_tasks(self):
        mapped = self.reeve("map", "--ordered", "--", "echo", "{/.}-{#}", ":::", "a/b.c", "d.e")
        self.assertEqual(mapped.stdout, "b-1\nd-2\n")
        mapped = self.reeve("map", "--ordered", "--array", "2-10:4%1", "--", "echo", "{}")
        self.assertEqual(mapped.stdout, "2\n6\n10\n", mapped.stderr)
        records = '{"k": "x y", "n": 1}\n{"k": "z", "n": 2}\n'
        mapped = self.reeve("map", "--ordered", "--jsonl", "-", "--", "echo", "{.k}/{.n}", stdin=records)
        self.assertEqual(mapped.stdout, "x y/1\nz/2\n")

    def test_a_malformed_json_line_is_named(self):
        mapped = self.reeve("map", "--jsonl", "-", "--", "echo", "{.a}", stdin='{"a": 1}\nnonsense\n')
        self.assertEqual(mapped.returncode, 2)
        self.assertIn("standard input:2:", mapped.stderr)

    def test_the_job_log_lets_a_second_run_skip_what_succeeded(self):
        log = self.cluster.folder / "job.log"
        script = "test {} != 2 || exit 3; echo ran {}"
        first = self.reeve("map", "--ordered", "--joblog", log, "--shell", script, ":::", "1", "2", "3")
        self.assertEqual(first.returncode, 1)
        self.assertEqual(first.stdout, "ran 1\nran 3\n")
        again = self.reeve("map", "--joblog", log, "--resume", "--shell", "echo again {}", ":::", "1", "2", "3")
        self.assertEqual((again.returncode, again.stdout), (0, "again 2\n"), again.stderr)

    def test_a_dry_run_prints_commands_and_runs_nothing(self):
        before = self.reeve("ps", "--all", "--json").stdout
        dry = self.reeve("map", "--dry-run", "--", "echo", "{}", ":::", "a b")
        self.assertIn("echo 'a b'", dry.stdout)
        self.assertEqual(self.reeve("ps", "--all", "--json").stdout, before)

    def test_submit_wait_results_logs_and_inspection_go_together(self):
        job = self.reeve("submit", "-q", "--name", "pair", "--", "sh", "-c", "echo $0; echo e$0 >&2; test $0 = 1", "{}", ":::", "1", "2").stdout.strip()
        self.assertTrue(job.isdigit())
        self.assertEqual(self.reeve("wait", job).returncode, 1)
        self.assertEqual(self.reeve("results", job, "--ordered").stdout, "1\n2\n")
        self.assertEqual(self.reeve("results", job, "--only", "failed").stdout, "2\n")
        logs = self.reeve("logs", job, "--task", "1")
        self.assertIn("2", logs.stdout)
        self.assertIn("e2", logs.stderr + logs.stdout)
        listed = self.reeve("task", "list", job, "--state", "failed")
        self.assertIn(f"{job}/1", listed.stdout)
        self.assertNotIn(f"{job}/0 ", listed.stdout)
        shown = self.reeve("task", "get", f"{job}/1")
        self.assertIn("EXIT_NONZERO", shown.stdout)
        why = self.reeve("task", "why", f"{job}/1")
        self.assertIn("exit code 1", why.stdout)
        self.assertIn("pair", self.reeve("ps").stdout)
        document = json.loads(self.reeve("job", "get", job, "--json").stdout)
        self.assertEqual((document["state"], document["counts"]["failed"]), ("FAILED", "1"))

    def test_a_submit_that_is_repeated_under_its_request_id_gives_the_job_that_is_there(self):
        for args, stdin in ((("--handler", "echo", "--input", "x"), None), (("--", "echo"), None), (("--handler", "echo", "--array", "1-5"), None),
                            (("--handler", "echo", "--lines", "-"), "".join(f"{i}\n" for i in range(10_000)))):
            argv = ("submit", "-q", "--request-id", "mine:" + args[-1], *args)
            jobs = {self.reeve(*argv, stdin=stdin).stdout.strip() for _ in range(3)}
            self.assertEqual(len(jobs), 1, (args, jobs))
            self.assertNotEqual(self.reeve(*argv[:2], *args, stdin=stdin).stdout.strip(), jobs.pop())
        other = self.reeve("submit", "--request-id", "mine:x", "--handler", "echo", "--input", "y")
        self.assertEqual(other.returncode, 5, other.stderr)
        self.assertIn("mine:x", other.stderr)
        large = self.reeve("submit", "--request-id", "large", "--handler", "echo", "--lines", "-", stdin="x" * 2_000_000 + "\n")
        self.assertEqual(large.returncode, 2, large.stderr)
        self.assertIn("1 MiB together", large.stderr)

    def test_cancel_ends_a_job_and_its_commands(self):
        job = self.reeve("submit", "-q", "--", "sleep", "1000").stdout.strip()
        wait_for(lambda: "ASSIGNED" in self.reeve("task", "get", f"{job}/0").stdout
                 or "RUNNING" in self.reeve("task", "get", f"{job}/0").stdout, "start")
        self.assertEqual(self.reeve("cancel", job).returncode, 0)
        self.assertEqual(self.reeve("wait", job).returncode, 7)
        self.assertEqual(self.reeve("cancel", job).returncode, 0)  # Again: nothing changes.

    def test_timeouts_of_the_client_leave_the_job_alone(self):
        job = self.reeve("submit", "-q", "--handler", "sleep", "--input", "1000").stdout.strip()
        self.assertEqual(self.reeve("wait", job, "--timeout", "200ms").returncode, 124)
        self.assertEqual(self.reeve("cancel", job).returncode, 0)
        self.assertEqual(self.reeve("wait", job).returncode, 7)

    def test_a_time_limit_is_a_reason(self):
        done = self.reeve("run", "--time-limit", "300ms", "--", "sleep", "1000")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("TIMEOUT", done.stderr)
        done = self.reeve("map", "--handler", "sleep", "--retries", "0", "--time-limit", "200ms", ":::", "1000")
        self.assertEqual(done.returncode, 1)
        self.assertIn("TIMEOUT", done.stderr)

    def test_limits_of_a_command_are_set_and_end_it(self):
        done = self.reeve("run", "--limit", "cpu=100s", "--limit", "memory=512M", "--limit", "file-size=1M", "--limit", "open-files=50",
                          "--limit", "core=1M", "--", "sh", "-c", "ulimit -t; ulimit -v; ulimit -f; ulimit -n; ulimit -c")
        self.assertEqual(done.stdout, "100\n524288\n2048\n50\n2048\n", done.stderr)
        self.assertEqual(self.reeve("run", "--", "sh", "-c", "ulimit -c").stdout, "0\n")
        done = self.reeve("run", "--limit", "cpu=1s", "--", "sh", "-c", "while :; do :; done")
        self.assertEqual(done.returncode, 128 + signal.SIGXCPU, done.stderr)
        self.assertIn("CPU time limit exceeded", done.stderr)
        done = self.reeve("run", "--limit", "memory=1M", "--", "true")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("memory_bytes", done.stderr)

    def test_a_result_file_comes_beside_the_output(self):
        job = self.reeve("submit", "-q", "--wait", "--shell", "echo seen; printf '{\"loss\":0.25}' > $REEVE_RESULT_FILE").stdout.strip()
        result = json.loads(self.reeve("results", job, "--json").stdout)
        self.assertEqual((result["output"], result["result_file"]), ("seen\n", '{"loss":0.25}'))
        job = self.reeve("submit", "-q", "--wait", "--shell", "head -c 4000000 /dev/zero > $REEVE_RESULT_FILE").stdout.strip()
        result = json.loads(self.reeve("results", job, "--json").stdout)
        self.assertEqual(result["reason"], "RESULT_TOO_LARGE", result)

    def test_output_of_a_running_command_is_seen_live(self):
        run = self.cluster.popen("run", "--", "sh", "-c", "echo early; read never < /dev/zero; sleep 1000")
        self.assertEqual(run.stdout.readline(), "early\n")
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)

    def test_bad_input_gets_a_clear_error(self):
        for args, code, word in [
            (("map", "--handler", "nothing", ":::", "x"), 6, "offers the handler `nothing`"),
            (("run", "--"), 2, ""),
            (("job", "get", "999999"), 4, "999999"),
            (("task", "get", "999999/3"), 4, "999999"),
            (("mpa", "--", "true"), 2, "there is no verb `mpa`; did you mean `map`?"),
            (("job", "gt"), 2, "there is no verb `gt`; did you mean `get`?"),
            (("run", "--retries", "-1", "--", "true"), 2, "not in range 0 to 999"),
            (("run", "--limit", "stack=1M", "--", "true"), 2, "names are cpu, memory"),
            (("run", "--priority", "10", "--", "true"), 2, "not in range 0 to 9"),
            (("submit", "--handler", "echo", "--count", "0"), 2, "--count"),
            (("ps", "--limit", "0"), 2, "--limit"),
            (("bench", "spawn", "--tasks", "0"), 2, "--tasks"),
            (("up", "--master", "127.0.0.1:1"), 2, "--state-dir and --port"),
            (("map", "--", "echo", b"\xff", "{}", ":::", "1"), 2, "not UTF-8"),
            (("run", "--name", b"\xff", "--", "true"), 2, "not UTF-8"),
            (("map", "--orderd", "--", "true"), 2, "--ordered"),
            (("map", "--array", "5", "--bogus", "--", "true"), 2, ""),
            (("wait", "not-a-job"), 2, "not-a-job"),
        ]:
            done = self.reeve(*args)
            self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
            self.assertIn(word, done.stderr)

    def test_a_command_alone_may_hold_any_bytes(self):
        done = self.reeve("run", "--", "sh", "-c", 'printf %s "$1" | od -An -tx1', "sh", b"a\xff\xfe")
        self.assertEqual((done.returncode, done.stdout.split()), (0, ["61", "ff", "fe"]), done.stderr)

    def test_only_the_last_attempt_of_a_task_can_be_asked_for(self):
        self.reeve("run", "--name", "thrice", "--retries", "2", "--", "sh", "-c", "echo $REEVE_ATTEMPT; exit 3")
        job = json.loads(self.reeve("ps", "--json", "--limit", "1").stdout)["jobs"][0]["job_id"]
        self.assertIn("EXIT_NONZERO 3", self.reeve("task", "get", f"{job}/0#3").stdout)
        for attempt, word in ((1, "is not kept"), (4, "has not begun")):
            done = self.reeve("task", "get", f"{job}/0#{attempt}")
            self.assertEqual(done.returncode, 4)
            self.assertIn(word, done.stderr)

    def test_an_input_over_the_limit_is_refused_and_named(self):
        done = self.reeve("map", "--handler", "echo", stdin="x" * (3 * 1024 * 1024 + 1) + "\n")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("3", done.stderr)

    def test_errors_are_documents_with_json(self):
        done = self.reeve("job", "get", "999999", "--json")
        self.assertEqual(json.loads(done.stderr)["error"]["reason"], "JOB_NOT_FOUND")

    def test_a_master_that_is_not_there_and_a_wrong_token_exit_3(self):
        done = self.reeve("ps", env={"REEVE_MASTER": "127.0.0.1:1"})
        self.assertEqual(done.returncode, 3, done.stderr)
        wrong = self.cluster.folder / "wrong"
        wrong.write_text("nonsense\n")
        done = self.reeve("--token-file", wrong, "ps")
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_the_api_can_be_called_by_name(self):
        self.assertIn("reeve.v1.JobService", self.reeve("api", "list").stdout)
        self.assertIn("job_id", self.reeve("api", "describe", "reeve.v1.Job").stdout)
        called = self.reeve("api", "call", "reeve.v1.ClusterService/GetCluster", "{}")
        self.assertIn("cluster_id", json.loads(called.stdout))

    def test_completion_doctor_and_version_answer(self):
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("reeve", self.reeve("completion", shell).stdout)
        self.assertEqual(self.reeve("doctor").returncode, 0)
        self.assertIn("0.", self.reeve("version").stdout)

    def test_benchmarks_verify_every_result(self):
        for flags in ((), ("--array",), ("--durability", "ephemeral"), ("--streams", "4")):
            done = self.reeve("bench", "throughput", "--tasks", "50000", "--json", *flags)
            document = json.loads(done.stdout)
            self.assertEqual(document["results_verified"], document["tasks"], done.stdout)
            self.assertEqual([p["name"] for p in document["processes"]][:2], ["client", "master"])
        for verb, tasks, *flags in (("latency", 20), ("latency", 300, "--in-flight", "50"), ("spawn", 50), ("payload", 20)):
            document = json.loads(self.reeve("bench", verb, "--tasks", str(tasks), "--json", *flags).stdout)
            self.assertEqual(document["results_verified"], tasks, f"{verb} {flags}")
            self.assertEqual(document["p50_us"] is None, verb not in ("latency",))

    def test_benchmarks_of_size_run_on_clusters_of_their_own(self):
        for verb, figures in (("memory", ["array_task_bytes", "payload_task_bytes"]),
                              ("restart", ["restart_array", "restart_stream", "restart_jobs"])):
            done = self.reeve("bench", verb, "--tasks", "2000", "--json", timeout=120)
            document = json.loads(done.stdout)
            self.assertEqual([f["name"] for f in document["figures"]], figures)
            self.assertEqual(document["results_verified"], document["tasks"])


class InterruptedBenchmarkTest(unittest.TestCase):
    def test_a_benchmark_that_is_interrupted_takes_its_cluster_away(self):
        cluster = Cluster(start=False)
        self.addCleanup(cluster.stop)
        cluster.env["TMPDIR"] = str(cluster.folder)
        bench = cluster.popen("bench", "latency", "--local", "1", "--tasks", "1000000")
        made = wait_for(lambda: list(cluster.folder.glob("reeve-bench.*/run/worker-1.pid")), "the benchmark's cluster")
        workers = int(made[0].read_text().split()[0])
        bench.send_signal(signal.SIGINT)
        self.assertEqual(bench.wait(30), 130)
        self.assertEqual(list(cluster.folder.glob("reeve-bench.*")), [])
        self.assertTrue(is_gone(workers))


class SlowStoreTest(unittest.TestCase):
    # An ephemeral job could end while the reply to its creation still waited for the durable store, where the next thousand ids are reserved:
    # the stream of its call had missed the end and waited for ever.
    def test_an_ephemeral_job_that_ends_before_its_ids_are_durable_ends_its_call(self):
        stalls = ",".join(f"store.commit.before=stall:0.3:{n}" for n in range(1, 12))
        with Cluster(env={"REEVE_FAILPOINTS": stalls}) as cluster:
            done = cluster.reeve("bench", "latency", "--tasks", "1200", "--durability", "ephemeral", "--json", timeout=60)
            self.assertEqual(json.loads(done.stdout)["results_verified"], 1200)


class BarrierTest(unittest.TestCase):
    def test_four_thread_tasks_that_meet_at_a_barrier_finish_on_one_worker_with_four_threads(self):
        with Cluster(workers=0) as cluster:
            cluster.start_worker("meeting", slots=4, program=RUNFILES / "tests/integration/odd_worker")
            cluster.wait_for_workers(1)
            done = cluster.reeve("map", "--handler", "meet", "--array", "1-4", timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, "met\n" * 4), done.stderr)

    def test_a_worker_of_ones_own_serves_its_handler(self):
        with Cluster(workers=0) as cluster:
            cluster.start_worker("hello", program=RUNFILES / "examples/hello_worker/hello_worker")
            cluster.wait_for_workers(1)
            done = cluster.reeve("map", "--ordered", "--handler", "shout", ":::", "hello", "world")
            self.assertEqual(done.stdout, "HELLO\nWORLD\n", done.stderr)


class LocalClusterTest(unittest.TestCase):
    def test_up_starts_what_is_missing_and_down_stops_it(self):
        cluster = Cluster(start=False)
        try:
            state = cluster.folder / "local"
            up = cluster.reeve("up", "--workers", "2", "--slots", "2", "--detach", "--state-dir", state, "--port", cluster.port)
            self.assertEqual(up.returncode, 0, up.stderr)
            env = {"REEVE_TOKEN_FILE": str(state / "token")}
            run = cluster.reeve("run", "--", "pwd", env=env)
            self.assertEqual(run.stdout.strip(), str(cluster.folder), run.stderr)
            again = cluster.reeve("up", "--workers", "2", "--detach", "--state-dir", state, "--port", cluster.port, env=env)
            self.assertEqual(again.returncode, 0, again.stderr)
            # A cluster that cannot start there leaves the way into this one alone.
            other = cluster.reeve("up", "--workers", "1", "--detach", "--state-dir", cluster.folder / "other", "--port", cluster.port)
            self.assertNotEqual(other.returncode, 0)
            inside = cluster.reeve("ps", env={"REEVE_TOKEN_FILE": ""})
            self.assertEqual(inside.returncode, 0, inside.stderr)
            down = cluster.reeve("down", "--state-dir", state)
            self.assertEqual(down.returncode, 0, down.stderr)
        finally:
            cluster.reeve("down", "--state-dir", cluster.folder / "local")
            cluster.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
