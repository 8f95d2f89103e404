"""Node clients made from the protos alone: one with npm's gRPC packages, as most people would write it, and one with Node's own HTTP/2 and a
descriptor set, which needs nothing to be downloaded and so runs everywhere."""

import os
import pathlib
import shutil
import subprocess
import unittest

from cluster import Cluster, RUNFILES

FOLDER = RUNFILES / "tests/integration/node"


class NodeClientTest(unittest.TestCase):
    def setUp(self):
        self.scratch = pathlib.Path(os.environ["TEST_TMPDIR"]) / self.id()
        self.scratch.mkdir()

    def creates_a_job_and_reads_its_results(self, script, protos, cwd):
        with Cluster(workers=1) as cluster:
            token = (cluster.state / "token").read_text().strip()
            done = subprocess.run(["node", script, cluster.address, token, protos], cwd=cwd, capture_output=True, text=True, timeout=120)
            self.assertEqual((done.returncode, done.stdout), (0, "node client ok\n"), done.stderr)

    def test_a_client_of_nothing_but_node_creates_a_job_and_reads_its_results(self):
        descriptors = self.scratch / "protos.bin"
        subprocess.run(["protoc", "-I", RUNFILES / "proto", "--include_imports", f"--descriptor_set_out={descriptors}",
                        "reeve/v1/services.proto"], check=True)
        self.creates_a_job_and_reads_its_results(FOLDER / "plain_client.js", descriptors, self.scratch)

    def test_a_client_with_the_packages_of_npm_creates_a_job_and_reads_its_results(self):
        if shutil.which("npm") is None:
            self.skipTest("there is no npm here")
        for name in ("grpc_js_client.js", "package.json", "package-lock.json"):
            shutil.copy(FOLDER / name, self.scratch / name)
        env = {**os.environ, "HOME": str(self.scratch), "npm_config_cache": str(self.scratch / "cache")}
        installed = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=self.scratch, env=env, capture_output=True, text=True)
        self.assertEqual(installed.returncode, 0, installed.stdout + installed.stderr)
        self.creates_a_job_and_reads_its_results("grpc_js_client.js", RUNFILES / "proto", self.scratch)


if __name__ == "__main__":
    unittest.main(verbosity=2)
