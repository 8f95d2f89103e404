"""Rates, fair shares between tenants, and the reason why a task waits, against real processes."""

import collections
import json
import time
import unittest

from cluster import Cluster, wait_for


def starts_of(cluster, job):
    """When each task started, in seconds since the epoch, by index."""
    lines = cluster.reeve("results", str(job), "--json").stdout.splitlines()
    starts = {}
    for line in lines:
        entry = json.loads(line)
        if "start_time" not in entry:
            continue
        second, _, rest = entry["start_time"].rstrip("Z").partition(".")
        whole = time.mktime(time.strptime(second + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone
        starts[int(entry.get("index", 0))] = whole + float("0." + (rest or "0"))
    return starts


class RateTest(unittest.TestCase):
    RATE, SECONDS, PER_KEY = 50, 10, 600

    def test_keys_start_at_their_rate_while_an_unlimited_queue_runs_at_full_speed(self):
        with Cluster(workers=2, slots=2) as cluster:
            def done(job):
                return int(json.loads(cluster.reeve("job", "get", job, "--json").stdout)["counts"].get("succeeded", 0))

            def speed(job, seconds):
                begin, from_ = time.monotonic(), done(job)
                wait_for(lambda: time.monotonic() - begin > seconds, "the time")
                return (done(job) - from_) / (time.monotonic() - begin)

            flood = cluster.reeve("submit", "-q", "--queue", "flood", "--handler", "echo", "--array", "1-100000000").stdout.strip()
            wait_for(lambda: done(flood) > 0, "the flood")
            alone = speed(flood, 3)
            records = "".join(json.dumps({"host": "abc"[i % 3]}) + "\n" for i in range(3 * self.PER_KEY))
            slow = cluster.reeve("submit", "-q", "--queue", "slow", "--handler", "echo", "--rate", f"key=.host:{self.RATE}/s", "--jsonl", "-",
                                 stdin=records).stdout.strip()
            beside = speed(flood, self.SECONDS)
            self.assertEqual(cluster.reeve("wait", slow, "--timeout", "60s").returncode, 0)
            self.assertGreater(beside, alone / 2, "the unlimited queue goes on")
            starts = collections.defaultdict(list)
            for index, at in starts_of(cluster, slow).items():
                starts["abc"[index % 3]].append(at)
            self.assertEqual({key: len(times) for key, times in starts.items()}, dict.fromkeys("abc", self.PER_KEY))
            for key, times in starts.items():
                times.sort()
                most = max(sum(1 for later in times[i:i + 2 * self.RATE] if later < at + 1) for i, at in enumerate(times))
                within = sum(1 for at in times if at < times[0] + self.SECONDS)
                print(f"key {key}: at most {most} in a second, {within} in {self.SECONDS} s")
                self.assertLessEqual(most, self.RATE + 2, key)
                self.assertGreaterEqual(within, 475, key)
            cluster.reeve("cancel", flood)


class TenantsTest(unittest.TestCase):
    TASK_MS, FEW = 10, 100

    def check(self, cluster, first, second):
        """`first` and `second`: how each submits."""
        def submit(how, count):
            done = cluster.reeve("submit", "-q", *how["flags"], "--handler", "sleep", "--input", self.TASK_MS / 1000, "--count", count, env=how.get("env"))
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout.strip()

        def job_of(job):
            return json.loads(cluster.reeve("job", "get", job, "--json").stdout)

        many = submit(first, 1_000_000)
        wait_for(lambda: int(job_of(many)["counts"].get("succeeded", 0)) > 50, "the first tenant's tasks")
        asked = time.time()
        few = submit(second, self.FEW)
        self.assertEqual(cluster.reeve("wait", few, "--timeout", "60s").returncode, 0)
        last = max(starts_of(cluster, few).values())
        print(f"the second tenant's last task started after {(last - asked) * 1000 / self.TASK_MS:.0f} task times")
        self.assertLess(last - asked, self.FEW * self.TASK_MS / 1000)
        self.assertGreater(int(job_of(many)["counts"]["succeeded"]), self.FEW // 2, "the first tenant goes on")
        cluster.reeve("cancel", many)

    def test_queues_share_the_workers_however_long_they_are(self):
        with Cluster(workers=2, slots=4) as cluster:
            self.check(cluster, {"flags": ["--queue", "many"]}, {"flags": ["--queue", "few"]})

    def test_principals_share_a_queue_however_much_one_has_in_it(self):
        with Cluster(workers=2, slots=4) as cluster:
            def tenant(name):
                path = cluster.folder / f"{name}.token"
                made = cluster.reeve("token", "create", name, "--role", "submit", "--out", path)
                self.assertEqual(made.returncode, 0, made.stderr)
                return {"flags": [], "env": {"REEVE_TOKEN_FILE": str(path)}}
            self.check(cluster, tenant("alice"), tenant("bob"))


class WhyTest(unittest.TestCase):
    """The ten situations: a right and specific answer in each."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=0, slots=2)
        cls.gate = cls.cluster.folder / "go"

    @classmethod
    def tearDownClass(cls):
        cls.gate.touch()
        cls.cluster.stop()

    def submit(self, *args, stdin=None):
        done = self.cluster.reeve("submit", "-q", *args, stdin=stdin)
        self.assertEqual(done.returncode, 0, (args, done.stderr))
        return done.stdout.strip()

    def waits(self, task, wait, sentence):
        why = {}

        def there():
            why.clear()
            why.update(json.loads(self.cluster.reeve("task", "why", task, "--json").stdout))
            return wait in why.get("waits", [])
        wait_for(there, f"{wait} of {task}: {why}")
        self.assertTrue(any(sentence in said for said in why["explanations"]), (sentence, why))
        text = self.cluster.reeve("task", "why", task).stdout
        self.assertIn(sentence, text)

    def test_ten_reasons_to_wait(self):
        blocker = ("sh", "-c", f"until test -e {self.gate}; do sleep 0.05; done")
        early = self.submit("--", "true")
        self.waits(f"{early}/0", "NO_WORKER", "No worker is connected")                                                # 1
        other = self.submit("--handler", "nobody", "--input", "x")
        self.cluster.start_worker("w", flags=("--resource", "gpu=1"))
        self.cluster.wait_for_workers(1)
        self.waits(f"{other}/0", "NO_HANDLER", "No connected worker offers the handler `nobody`")                       # 2
        gpu = self.submit("--resource", "gpu=1", "--array", "1-2", "--", *blocker)
        self.waits(f"{gpu}/1", "RESOURCES", "It needs 1 gpu, of which w-1 has 0 left")                                  # 3
        behind = self.submit("--after", gpu, "--", "true")
        self.waits(f"{behind}/0", "DEPENDENCY", f"It waits for job {gpu} to succeed; 2 of 2 tasks")                     # 4
        later = self.submit("--delay", "1h", "--", "true")
        self.waits(f"{later}/0", "START_TIME", "The job's start time is ")                                             # 5
        again = self.submit("--retries", "1", "--retry-backoff", "1h,1h", "--", "false")
        self.waits(f"{again}/0", "BACK_OFF", "Attempt 1 failed or asked to be repeated; the next begins in ")           # 6
        held = self.submit("--hold", "--", "true")
        self.waits(f"{held}/0", "PAUSED", f"The job is paused; `reeve resume {held}` lets it go on")                    # 7
        self.assertEqual(self.cluster.reeve("queue", "pause", "night").returncode, 0)
        night = self.submit("--queue", "night", "--", "true")
        self.waits(f"{night}/0", "QUEUE_PAUSED", "The queue night is paused; `reeve queue resume night`")               # 8
        keyed = self.submit("--handler", "echo", "--rate", "key=.:1/h", ":::", "x", "x")
        self.waits(f"{keyed}/1", "KEY_RATE", "The rate of its key lets the next task start in ")                        # 9
        full = self.submit("--array", "1-100", "--", *blocker)
        self.waits(f"{full}/99", "PLACE", "1 worker could run it and holds ")                                            # 10


if __name__ == "__main__":
    unittest.main(verbosity=2)
