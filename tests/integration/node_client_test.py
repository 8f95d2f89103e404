"""A Node client made from the protos alone: npm's gRPC packages and nothing of ours."""

import os
import pathlib
import shutil
import subprocess
import unittest

from cluster import Cluster, RUNFILES


class NodeClientTest(unittest.TestCase):
    def test_a_node_client_creates_a_job_and_reads_its_results(self):
        folder = pathlib.Path(os.environ["TEST_TMPDIR"]) / "node"
        folder.mkdir()
        for name in ("client.js", "package.json", "package-lock.json"):
            shutil.copy(RUNFILES / "tests/integration/node" / name, folder / name)
        env = {**os.environ, "HOME": str(folder), "npm_config_cache": str(folder / "cache")}
        installed = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, env=env, capture_output=True, text=True)
        self.assertEqual(installed.returncode, 0, installed.stdout + installed.stderr)
        with Cluster(workers=1) as cluster:
            token = (cluster.state / "token").read_text().strip()
            done = subprocess.run(["node", "client.js", cluster.address, token, str(RUNFILES / "proto")], cwd=folder, env=env,
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual((done.returncode, done.stdout), (0, "node client ok\n"), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
