"""`reeve stats`: calls, times and errors of handlers."""

import json
import re
import unittest

from cluster import Cluster


def seconds(text):
    return float(text.rstrip("s"))


class StatsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, slots=8)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def stats(self, *flags):
        done = self.cluster.reeve("stats", "--json", *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        return {h["handler"]: h for h in answer.get("handlers", [])}, answer["since_time"]

    def test_calls_times_and_errors_are_those_of_the_tasks(self):
        _, began = self.stats("--reset")
        self.cluster.reeve("map", "--handler", "sleep", ":::", *["0.05"] * 40)
        self.cluster.reeve("map", "--handler", "sleep", ":::", "nonsense", "0")
        self.cluster.reeve("map", "--retries", "2", "--shell", "exit 3", ":::", "a")
        self.cluster.reeve("map", "--", "true", ":::", *"abc")
        handlers, since = self.stats()
        self.assertGreater(since, began)
        sleep = handlers["sleep"]
        self.assertEqual((int(sleep["succeeded_count"]), int(sleep["failed_count"]), sleep["failed_by_reason"]), (41, 1, {"BAD_INPUT": "1"}))
        self.assertEqual(int(sleep["timed_count"]), 42)
        self.assertGreaterEqual(seconds(sleep["p50"]), 0.05)
        self.assertGreaterEqual(seconds(sleep["p99"]), seconds(sleep["p50"]))
        self.assertGreaterEqual(seconds(sleep["run_time"]), 40 * 0.05)
        self.assertAlmostEqual(seconds(sleep["mean"]), seconds(sleep["run_time"]) / 42, places=5)
        # Three attempts of the one that fails.
        self.assertEqual((int(handlers["exec"]["succeeded_count"]), handlers["exec"]["failed_by_reason"]), (3, {"EXIT_NONZERO": "3"}))
        text = self.cluster.reeve("stats").stdout
        self.assertRegex(text, r"sleep +42 +1 ")
        self.assertIn("exec: 3 EXIT_NONZERO\n", text)
        self.prometheus()
        before, _ = self.stats("--reset")
        self.assertEqual(before["sleep"], sleep, "a reset shows what was there")
        self.assertEqual(self.stats()[0], {})

    def prometheus(self):
        text = self.cluster.reeve("stats", "--prometheus").stdout
        samples, types = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                types[name] = kind
            elif not line.startswith("# HELP "):
                name, labels, value = re.fullmatch(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\\]|\\\\.)*",?)*\})? (\S+)', line).groups()
                samples[name, labels or ""] = float(value)
        self.assertEqual(types, {"reeve_handler_calls_total": "counter", "reeve_handler_run_seconds": "summary",
                                 "reeve_statistics_since_seconds": "gauge"})
        self.assertEqual(samples["reeve_handler_calls_total", '{handler="sleep",outcome="SUCCEEDED"}'], 41)
        self.assertEqual(samples["reeve_handler_calls_total", '{handler="exec",outcome="EXIT_NONZERO"}'], 3)
        self.assertEqual(samples["reeve_handler_run_seconds_count", '{handler="sleep"}'], 42)
        self.assertGreaterEqual(samples["reeve_handler_run_seconds", '{handler="sleep",quantile="0.5"}'], 0.05)
        both = self.cluster.reeve("stats", "--prometheus", "--json")
        self.assertEqual(both.returncode, 2)


if __name__ == "__main__":
    unittest.main()
