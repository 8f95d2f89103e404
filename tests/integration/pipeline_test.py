"""examples/pipeline, as its README says it: the master is killed in the middle, and still every task is recorded once and the report is right."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from cluster import Cluster, MASTER, REEVE, RUNFILES, WORKER, free_ports


class PipelineTest(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(start=False)
        self.folder = self.cluster.folder / "pipeline"
        shutil.copytree(RUNFILES / "examples/pipeline", self.folder)
        programs = self.cluster.folder / "bin"
        programs.mkdir()
        for program in (REEVE, MASTER, WORKER):
            (programs / program.name).symlink_to(pathlib.Path(os.path.realpath(program)))
        self.env = dict(self.cluster.env, PATH=f"{programs}:{self.cluster.env['PATH']}")

    def tearDown(self):
        subprocess.run([str(REEVE), "down", "--state-dir", str(self.folder / "state")], env=self.env, capture_output=True, timeout=60)
        self.cluster.stop()

    def test_the_report_is_right_although_the_master_was_killed_in_the_middle(self):
        readme = (self.folder / "README.md").read_text().replace("7620", str(free_ports()))
        script = "\n".join(re.findall(r"^```bash\n(.*?)^```", readme, re.M | re.S))
        script += "\nreeve job get $(tr '\\n' ' ' < ids) --json > jobs\n"
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        jobs = json.loads((self.folder / "jobs").read_text())["jobs"]
        self.assertEqual([job["spec"]["name"] for job in jobs], ["split", "words", "sizes", "reduce", "report"])
        for job in jobs:
            self.assertEqual(job["state"], "SUCCEEDED")
            self.assertEqual(job["counts"]["succeeded"], job["counts"]["total"], job)
            self.assertEqual(job["counts"]["failed"], "0")
        started = re.findall(r"started ([^)]*)\)", done.stdout)
        self.assertEqual([line.split(", ")[0] for line in started], ["master", "master"], "it was started again, alone")
        self.assertEqual(started[1], "master")
        killed = float((self.folder / "killed").read_text())
        ended = subprocess.run(["date", "-d", jobs[1]["end_time"], "+%s.%N"], capture_output=True, text=True, check=True).stdout
        self.assertGreater(float(ended), killed, "it was killed in the middle of `words`")

        headers = subprocess.run(["find", "/usr/include", "-name", "*.h", "-type", "f"], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
        text = b"".join(pathlib.Path(name).read_bytes() for name in headers)
        counts = {}
        for word in re.findall(rb"[A-Za-z0-9_]+", text):
            counts[word] = counts.get(word, 0) + 1
        report = (self.folder / "report").read_text().splitlines()
        self.assertEqual(report[0], f"The headers here: {len(headers)} files, {text.count(bytes([10]))} lines, {len(text)} bytes")
        self.assertEqual(len(report), 11)
        for line in report[1:]:
            count, word = line.split()
            self.assertEqual(int(count), counts[word.encode()], word)


if __name__ == "__main__":
    unittest.main(verbosity=2)
