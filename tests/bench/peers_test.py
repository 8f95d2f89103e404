"""The comparison with what is there wherever the tests are: Reeve itself, Python's pools and xargs."""

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peers  # noqa: E402
import python_peers  # noqa: E402

SCRIPT = [sys.executable, "-B", str(HERE / "peers.py")]


def outcome(measure):
    """Runs this measure alone. Returns: exit code and the JSON document."""
    saved, output = list(peers.MEASURES), io.StringIO()
    peers.MEASURES[:] = [measure]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
            code = peers.main(["--only", measure.peer, "--runs", "1", "--json"])
    finally:
        peers.MEASURES[:] = saved
    return code, json.loads(output.getvalue())


def commands(argv):
    """A row of 20 commands; `argv` should print each line it reads once."""
    return peers.Measure("xargs", [peers.Row("xargs", "commands")], lambda bench: peers.commands(bench, "commands", argv, 20))


class PeersTest(unittest.TestCase):
    def check_rows(self, only, runs):
        argv = [*SCRIPT, "--only", *only, "--tasks-scale", "0.01", "--runs", str(runs), "--json"]
        ran = subprocess.run(argv, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        document = json.loads(ran.stdout)
        wanted = [row for m in peers.MEASURES if m.peer in only for row in m.rows]
        self.assertEqual([(r["system"], r["what"], r["durable"]) for r in document["rows"]],
                         [(r.system, r.what, r.durable) for r in wanted])
        for row in document["rows"]:
            self.assertIsNone(row["failure"])
            self.assertEqual(len(row["runs"]), runs)
            for run in row["runs"]:
                self.assertGreaterEqual(run["tasks"], 20)
                self.assertEqual(run["verified"], run["tasks"])
                self.assertGreater(run["tasks_per_second"], 0)
            self.assertEqual(row["p50_us"] is not None, row["what"] == "single calls")
        self.assertEqual((document["skipped"], document["ratios"]), ([], []), "no gearmand, no ratio to it")

    def test_each_row_of_reeve_is_measured_and_verified(self):
        self.check_rows(["reeve"], runs=1)

    def test_each_row_of_pools_and_xargs_is_measured_and_verified_in_every_run(self):
        self.check_rows(["executor", "pool", "xargs"], runs=2)

    def test_ratios_are_of_the_same_round_and_judged_by_their_bar(self):
        def row(*rates):
            return peers.Row("", "", samples=[{"tasks": rate, "seconds": 1} for rate in rates])

        def rate(sample):
            return sample["tasks"]

        found = peers.ratio("x", row(100, 20, 90), row(5, 2, 3), rate, 20, at_least=True)
        self.assertEqual(found, {"name": "x", "value": 20, "min": 10, "max": 30, "bar": 20, "met": True})
        self.assertFalse(peers.ratio("x", row(39), row(2), rate, 20, at_least=True)["met"])
        self.assertTrue(peers.ratio("x", row(4), row(2), rate, 2)["met"])
        self.assertFalse(peers.ratio("x", row(5), row(2), rate, 2)["met"])
        failed = row(1)
        failed.failure = "19 of 20 results are right"
        self.assertIsNone(peers.ratio("x", failed, row(1), rate, 2))

    def test_a_row_fails_unless_each_result_is_there_once_with_its_content(self):
        for argv, verified in [(["cat"], 20), (["head", "-n", "19"], 19), (["sed", "1p"], 19), (["sed", "1s/$/\\nmore/"], 19),
                               (["sed", "s/7/8/"], 16)]:
            code, document = outcome(commands(argv))
            row, = document["rows"]
            self.assertEqual(row["runs"][0]["verified"], verified, argv)
            self.assertEqual((code, row["failure"]), (0, None) if verified == 20 else (1, f"{verified} of 20 results are right"))

    def test_a_python_peer_is_believed_no_result_that_is_missing_or_another(self):
        for results, verified in [(lambda p: p, 20), (lambda p: p[1:], 0), (lambda p: [*p, p[0]], 0), (lambda p: ["", *p[1:]], 19),
                                  (lambda p: [*p[1:], p[0]], 0)]:
            peer = unittest.mock.Mock(map=results, call=lambda payload: payload)
            self.assertEqual(python_peers.measure_tasks(peer, 20)["verified"], verified)
        peer.call = lambda payload: payload if payload.endswith("7") else payload + "0"
        self.assertEqual(python_peers.measure_calls(peer, 20)["verified"], 2)

    def test_a_row_fails_if_the_command_does(self):
        code, document = outcome(commands(["sh", "-c", "cat; echo no luck >&2; exit 3"]))
        self.assertEqual((code, document["rows"][0]["failure"]), (1, "commands: exit code 3: no luck"))

    def test_what_hangs_is_ended_and_fails(self):
        saved, peers.WITHIN = peers.WITHIN, 0.3
        try:
            code, document = outcome(commands(["sh", "-c", "sleep 1000 & wait"]))
        finally:
            peers.WITHIN = saved
        self.assertEqual((code, document["rows"][0]["failure"]), (1, "commands: not within 0.3 s"))
        self.assertEqual(peers.children(), [])

    def test_a_run_that_measures_nothing_fails(self):
        saved, peers.PACKAGES["xargs"] = peers.PACKAGES["xargs"], ["reeve-no-such-package"]
        try:
            code, document = outcome(commands(["cat"]))
        finally:
            peers.PACKAGES["xargs"] = saved
        self.assertEqual((code, document["rows"]), (1, []))
        self.assertEqual(document["skipped"], [{"peer": "xargs", "reason": "not installed: reeve-no-such-package (see --install)"}])

    def test_an_interrupted_run_leaves_no_process_and_no_folder(self):
        peers.adopt_orphans()  # What it leaves behind becomes ours.
        with tempfile.TemporaryDirectory() as folder:
            argv = [*SCRIPT, "--only", "executor", "--tasks-scale", "50"]
            script = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": folder})
            started = f"/proc/{script.pid}/task/{script.pid}/children"
            peers.until(lambda: pathlib.Path(started).read_text(), "the client runs")
            script.send_signal(signal.SIGINT)
            _, errors = script.communicate(timeout=60)
            self.assertEqual(script.returncode, 128 + signal.SIGINT, errors)
            self.assertEqual((peers.children(), os.listdir(folder)), ([], []))

    def test_an_unknown_peer_is_a_usage_error(self):
        ran = subprocess.run([*SCRIPT, "--only", "pool,nobody"], capture_output=True, text=True)
        self.assertEqual((ran.returncode, "nobody: not one of" in ran.stderr), (2, True), ran.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
