"""The commands in the READMEs of the examples, in order, as somebody would paste them in the example's folder."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from cluster import Cluster, REEVE, RUNFILES, WORKER
from postgres import Postgres

READMES = sorted((RUNFILES / "examples").glob("*/README.md"))


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Postgres()
        cls.cluster = Cluster(workers=2, slots=2)
        programs = cls.cluster.folder / "bin"
        programs.mkdir()
        for program in (REEVE, WORKER):
            (programs / program.name).symlink_to(pathlib.Path(os.path.realpath(program)))
        (programs / "python3").symlink_to("/usr/bin/python3")  # Debian's, whatever else is there.
        cls.env = dict(cls.cluster.env, PATH=f"{programs}:{cls.cluster.env['PATH']}", DATABASE_URL=cls.database.url)
        # What stands beside examples/ in the repository and READMEs speak of.
        for name in ("proto", "worker"):
            (cls.cluster.folder / name).symlink_to(os.path.realpath(RUNFILES / name))
        (cls.cluster.folder / "examples").mkdir()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        cls.database.close()

    def paste(self, readme):
        folder = self.cluster.folder / "examples" / readme.parent.name
        shutil.copytree(readme.parent, folder)
        script = "\n".join(re.findall(r"^```sh\n(.*?)^```", readme.read_text(), re.M | re.S))
        self.assertTrue(script)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=self.env, cwd=folder, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_examples_are_here(self):
        self.assertGreaterEqual(len(READMES), 11)


for each in READMES:
    setattr(ExamplesTest, f"test_the_commands_of_{each.parent.name}_run", lambda self, readme=each: self.paste(readme))


if __name__ == "__main__":
    unittest.main(verbosity=2)
