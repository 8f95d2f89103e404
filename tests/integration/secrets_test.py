"""What a command may do on a worker, and that secrets are found nowhere but in their files.

The search is shown to be able to fail: it finds secrets that were planted where they must not be.
"""

import json
import os
import pathlib
import subprocess
import unittest

from cluster import Cluster, WORKER, wait_for

CANARY = "canary-8f14e45fceea167a5a36dedd4bea2543"


def with_children(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [below for child in children for below in with_children(int(child))]


def content_of(path):
    """Nothing of a process that has ended, nor of one that shows it to root alone, and of a file that was removed meanwhile."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def occurrences(secret, pids, folder, but):
    """Where the secret is: arguments and environments of processes, and all files but those it is kept in."""
    secret = secret.encode()
    found = [f"/proc/{pid}/{what}" for pid in pids for what in ("cmdline", "environ")
             if secret in content_of(pathlib.Path(f"/proc/{pid}/{what}"))]
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path not in but]
    return found + [str(path) for path in files if secret in content_of(path)]


class SecretsTest(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(workers=0, env={"REEVE_LOG": "debug", "LD_LIBRARY_PATH": "/nowhere"})
        self.addCleanup(self.cluster.stop)
        self.secrets = self.cluster.folder / "secrets"
        self.secrets.mkdir(mode=0o700)
        self.file = self.secrets / "db-password"
        self.file.touch(mode=0o600)
        self.file.write_text(CANARY)

    def worker(self, *flags):
        self.cluster.start_worker("worker", flags=flags)
        self.cluster.wait_for_workers(1)

    def result(self, *args):
        """The one result of a job that `reeve run` made."""
        done = self.cluster.reeve("run", *args)
        lines = self.cluster.reeve("results", "last", "--json").stdout.splitlines()
        return done, json.loads(lines[0])

    def go(self):
        """A command that reads it ends when it is written."""
        path = self.cluster.folder / "go"
        os.mkfifo(path)
        return path

    def pids(self):
        return [pid for process in self.cluster.processes.values() for pid in with_children(process.pid)]

    def test_a_secret_is_in_its_file_and_nowhere_else(self):
        self.worker("--secrets-dir", self.secrets)
        ready, go = self.cluster.folder / "ready", self.go()
        script = f'test "$(cat $REEVE_SECRET_DB_PASSWORD_FILE)" = "$(cat {self.file})" && touch {ready} && exec cat {go}'
        running = self.cluster.popen("run", "--secret", "db-password", "--", "sh", "-c", script)
        wait_for(ready.exists, "the command has read its secret")
        pids = self.pids() + [running.pid]
        # Master, worker and its parent, command, client.
        self.assertGreaterEqual(len(pids), 5)
        token = (self.cluster.state / "token").read_text().strip()
        folder = self.cluster.folder
        self.assertEqual(occurrences(CANARY, pids, folder, {self.file}), [])
        self.assertEqual(occurrences(token, pids, folder, {self.cluster.state / "token"}), [])
        for pid in pids[:-1]:
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 ", f"of {pid}")
        go.write_bytes(b"")
        _, said = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 0, said)

    def test_the_search_finds_what_is_planted(self):
        self.worker()
        go = self.go()
        running = self.cluster.popen("run", "--env", f"PLANTED={CANARY}", "--", "cat", go)
        wait_for(lambda: any("environ" in where for where in occurrences(CANARY, self.pids(), self.cluster.folder, {self.file})), "planted")
        found = occurrences(CANARY, self.pids(), self.cluster.folder, {self.file})
        self.assertTrue(any("/state/" in where for where in found), found)
        go.write_bytes(b"")
        running.communicate(timeout=60)
        self.assertEqual(running.returncode, 0)
        planted = subprocess.Popen(["sh", "-c", "read line", CANARY], stdin=subprocess.PIPE)
        # The kernel shows the arguments a moment after the start.
        wait_for(lambda: f"/proc/{planted.pid}/cmdline" in occurrences(CANARY, [planted.pid], self.cluster.folder, {self.file}), "planted")
        planted.communicate(b"\n")

    def test_a_secret_that_the_worker_does_not_have_fails_for_good(self):
        self.worker("--secrets-dir", self.secrets)
        done, result = self.result("--retries", "3", "--secret", "other", "--", "true")
        self.assertEqual((result["reason"], result["attempt"]), ("NOT_ALLOWED", 1))
        self.assertIn("secret `other`: the worker has no such secret", done.stderr)
        for name in ("../token", "a b", ""):
            self.assertIn("spec.secrets", self.cluster.reeve("run", "--secret", name, "--", "true").stderr)
        self.assertIn("only for commands", self.cluster.reeve("run", "--secret", "x", "--handler", "echo").stderr)

    def test_a_worker_whose_secrets_others_may_read_does_not_start(self):
        self.secrets.chmod(0o755)
        worker = self.cluster.start_worker("worker", flags=["--secrets-dir", self.secrets])
        self.assertEqual(worker.wait(60), 78)
        self.assertIn("others than its owner may use it; chmod 700", self.cluster.log("worker"))

    def test_shells_and_commands_need_the_owners_word(self):
        self.worker("--no-shell")
        for args in (["--shell", "true"], ["--retries", "2", "--shell", "echo $HOME"]):
            done, result = self.result(*args)
            self.assertEqual((result["reason"], result["attempt"]), ("NOT_ALLOWED", 1))
            self.assertIn("--allow-shell", done.stderr)
        self.assertEqual(self.cluster.reeve("run", "--", "echo", "a  b").stdout, "a  b\n")

    def test_a_worker_offers_what_its_file_names(self):
        config = self.cluster.folder / "worker.yaml"
        config.write_text("handlers: [http, echo]\nslots: 3\n")
        self.worker("--config", config)
        worker = json.loads(self.cluster.reeve("worker", "list", "--json").stdout)["workers"][0]
        self.assertEqual(sorted(handler["name"] for handler in worker["handlers"]), ["echo", "http"])
        for name in ("../sh", "sh -c", "еcho", "Echo"):
            self.assertIn("spec.handler", self.cluster.reeve("run", "--handler", name).stderr)
        config.write_text("handler: [http]\n")
        for argv, said in (
            (["--config", config], "handler"),
            (["--handlers", "http,sh"], "there is no built-in handler `sh`"),
            (["--handlers", "Exec"], "there is no built-in handler `Exec`"),
        ):
            done = subprocess.run([str(a) for a in [WORKER, *argv]], env=self.cluster.env, capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)

    def test_root_for_another_machine_is_refused(self):
        as_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
        argv = [*as_root, str(WORKER), "--master", "192.0.2.1:7520", "--key-file", "/nowhere", "--state-dir", str(self.cluster.folder / "w")]
        done = subprocess.run(argv, env=self.cluster.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 78)
        self.assertIn("--allow-root", done.stderr)
        self.assertFalse((self.cluster.folder / "w").exists())


if __name__ == "__main__":
    unittest.main()
