"""`reeve bench models`, small: every row is there and its results are right; a method that fails is a row and exit code 1."""

import json
import os
import subprocess
import unittest

from cluster import REEVE, RUNFILES

PLUGINS = ["--plugin", RUNFILES / "examples/sums/libsums.so", "--plugin", RUNFILES / "client/bench/libblocking_get.so"]


class ModelsTest(unittest.TestCase):
    def models(self, *flags):
        small = ["--requests", "20", "--answer-after", "0.05", "--runs", "1", "--sums", "10", "--workers", "1", "2"]
        env = {"HOME": os.environ["TEST_TMPDIR"], "TMPDIR": "/tmp", "PATH": "/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run([str(a) for a in [REEVE, "bench", "models", "--json", *small, *flags]], env=env, capture_output=True, text=True,
                              timeout=300)
        self.assertTrue(done.stdout, done.stderr)
        return done.returncode, json.loads(done.stdout)["rows"]

    def test_every_method_is_a_row_with_right_results(self):
        code, rows = self.models(*PLUGINS)
        self.assertEqual([row for row in rows if row.get("error") or row["verified"] != row["tasks"]], [])
        self.assertEqual(code, 0)
        self.assertTrue(all(len(row["seconds"]) == 1 and row["median"] > 0 for row in rows))
        lanes = {(row["work"], row["method"]): 0 for row in rows}
        for row in rows:
            lanes[row["work"], row["method"]] += 1
        python = {("requests", f"Python, {m}"): 1 for m in ("sequential", "asyncio", "threads", "processes")}
        python |= {("sums", f"Python, {m}"): 1 for m in ("sequential", "asyncio", "threads", "processes")}
        self.assertEqual(lanes, {
            ("requests", "async lane, one at a time"): 1, ("requests", "async lane (http)"): 2, ("requests", "thread lane (blocking)"): 2,
            ("requests", "process lane (bash)"): 2, ("sums", "thread lane, one at a time"): 1, ("sums", "thread lane"): 2,
            ("sums", "thread lane, isolated"): 2, ("sums", "process lane (Python)"): 2, **python})

    def test_a_method_that_fails_is_a_row_and_exit_code_1(self):
        code, rows = self.models("--plugin", RUNFILES / "examples/sums/libsums.so", "--python", "/no/python")
        self.assertEqual(code, 1)
        failed = [row for row in rows if row.get("error")]
        self.assertEqual({(row["method"], row["verified"]) for row in failed}, {("thread lane (blocking)", 0)})
        self.assertEqual(len(failed), 2)
        self.assertFalse(any("Python" in row["method"] for row in rows))


if __name__ == "__main__":
    unittest.main()
