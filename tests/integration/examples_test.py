"""The commands in the READMEs of the examples, in order, as somebody would paste them."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from cluster import Cluster, REEVE, RUNFILES


class ExamplesTest(unittest.TestCase):
    def test_the_commands_of_each_example_run(self):
        readmes = sorted((RUNFILES / "examples").glob("*/README.md"))
        self.assertGreaterEqual(len(readmes), 3)
        with Cluster(workers=2, slots=2) as cluster:
            programs = cluster.folder / "bin"
            programs.mkdir()
            (programs / "reeve").symlink_to(pathlib.Path(os.path.realpath(REEVE)))
            env = dict(cluster.env, PATH=f"{programs}:{cluster.env['PATH']}")
            for readme in readmes:
                with self.subTest(readme.parent.name):
                    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", readme.read_text(), re.M | re.S))
                    self.assertTrue(script)
                    with tempfile.TemporaryDirectory(dir=cluster.folder) as folder:
                        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=env, cwd=folder, capture_output=True, text=True,
                                              timeout=120, stdin=subprocess.DEVNULL)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
