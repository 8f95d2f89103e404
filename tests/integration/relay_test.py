"""Results that come through a relay, `reeve-collector`."""

import re
import unittest

from cluster import Cluster, RUNFILES, WORKER, wait_for

RELAY = RUNFILES / "relay/reeve-collector"
ANOTHER_WAY = "results go another way"


class RelayedCluster(Cluster):
    """Workers that use a relay; `relay` says whether it is there."""

    def __init__(self, workers, relay=True, **kwargs):
        self.relay = relay
        super().__init__(workers=workers, **kwargs)

    def start_relay(self):
        relay = self.spawn("relay", [RELAY, "--master", f"127.0.0.1:{self.port + 2}", "--port", self.port + 3])
        wait_for(lambda: "relay serves" in self.log("relay"), "the relay\n" + self.log("relay"))
        return relay

    def start(self):
        if self.relay:
            self.start_relay()
        super().start()

    def start_worker(self, name, flags=(), **kwargs):
        return super().start_worker(name, flags=["--collector", f"tcp://127.0.0.1:{self.port + 3}", *flags], **kwargs)

    def went_past_the_relay(self):
        return [i for i in range(1, self.workers + 1) if ANOTHER_WAY in self.log(f"worker-{i}")]


class RelayTest(unittest.TestCase):
    def check(self, done, count):
        """Each input's result is there once."""
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(done.stdout.splitlines()), sorted(str(i) for i in range(count)))

    def test_results_of_four_workers_come_through_a_relay_each_once(self):
        with RelayedCluster(workers=4) as cluster:
            inputs = "".join(f"{i}\n" for i in range(20_000))
            self.check(cluster.reeve("map", "--handler", "echo", stdin=inputs), 20_000)
            # Output of a command that runs for more than a moment is a frame of its own.
            job = cluster.reeve("submit", "-q", "--", "sh", "-c", "echo early; sleep 1; echo late").stdout.strip()
            wait_for(lambda: "early" in cluster.reeve("logs", job).stdout, "output")
            self.assertEqual(cluster.reeve("wait", job).returncode, 0)
            # Workers that are told to stop do so once all is acknowledged.
            for i in range(1, 5):
                worker = cluster.processes[f"worker-{i}"]
                worker.terminate()
                self.assertEqual(worker.wait(20), 0, cluster.log(f"worker-{i}"))
            self.assertEqual(cluster.went_past_the_relay(), [])
            relay = cluster.processes["relay"]
            relay.terminate()
            self.assertEqual(relay.wait(20), 0)
            messages, frames, dropped = map(int, re.search(r"relay ends messages=(\d+) frames=(\d+) dropped=(\d+)", cluster.log("relay")).groups())
            self.assertEqual(dropped, 0)
            self.assertGreater(messages, frames, "some were merged")

    def test_a_relay_that_is_killed_costs_nothing_when_another_takes_its_place(self):
        with RelayedCluster(workers=2, env={"REEVE_TIME_SCALE": "0.2"}) as cluster:
            job = cluster.popen("map", "--handler", "sleep", ":::", *["0.05"] * 200)
            succeeded = re.compile(r'"succeeded": "?([1-9]\d*)')
            wait_for(lambda: succeeded.search(cluster.reeve("job", "list", "--json").stdout), "first results")
            cluster.processes["relay"].kill()
            cluster.processes["relay"].wait()
            cluster.start_relay()
            out, errors = job.communicate(timeout=120)
            self.assertEqual((job.returncode, len(out.splitlines())), (0, 200), errors)

    def test_without_the_relay_workers_go_to_the_master_and_come_back_later(self):
        with RelayedCluster(workers=2, relay=False, env={"REEVE_TIME_SCALE": "0.05"}) as cluster:
            inputs = "".join(f"{i}\n" for i in range(100))
            self.check(cluster.reeve("map", "--handler", "echo", stdin=inputs), 100)
            self.assertNotEqual(cluster.went_past_the_relay(), [])
            cluster.start_relay()

            def through_the_relay():
                self.check(cluster.reeve("map", "--handler", "echo", stdin=inputs), 100)
                return any(cluster.log(f"worker-{i}").count(ANOTHER_WAY) == 2 for i in (1, 2))
            wait_for(through_the_relay, "results by the relay")

    def test_encrypted_a_relay_must_be_enrolled_as_one(self):
        with RelayedCluster(workers=0, relay=False, start=False, master_flags=["--encrypt"], env={"REEVE_TIME_SCALE": "0.1"}) as cluster:
            cluster.start_master()
            wait_for(lambda: "master serves" in cluster.log("master") and (cluster.state / "join_token").exists(), "the master")
            trusted = cluster.folder / ".config/reeve/clusters"
            trusted.mkdir(parents=True)
            (trusted / f"127.0.0.1_{cluster.port}.ca").write_bytes((cluster.state / "ca.pem").read_bytes())

            made = cluster.reeve("token", "create", "relays", "--role", "admin", "--out", cluster.folder / "admin.token")
            self.assertEqual(made.returncode, 0, made.stderr)

            def join(folder, *flags):
                token = cluster.folder / "admin.token" if "--relay" in flags else cluster.state / "join_token"
                done = cluster.reeve("--token-file", token, "worker", "join", cluster.address, "--no-start",
                                     "--state-dir", cluster.folder / folder, *flags)
                self.assertEqual(done.returncode, 0, done.stderr)
                words = re.split("[Ss]tart it with: ", done.stderr)[1].split()
                return words[:words.index("--listen")] if "--listen" in words else words

            def start_relay(name, command):
                relay = cluster.spawn(name, [*command, "--port", cluster.port + 3])
                wait_for(lambda: "relay serves" in cluster.log(name), name)
                return relay, re.search(r"relay serves .* key=(\S{40})", cluster.log(name)).group(1)

            refused = cluster.reeve("--token-file", cluster.state / "join_token", "worker", "join", cluster.address, "--no-start", "--relay",
                                    "--state-dir", cluster.folder / "refused")
            self.assertEqual((refused.returncode, "admin" in refused.stderr), (3, True), refused.stderr)
            relay, key = start_relay("relay", [RELAY, *join("relay", "--relay")[1:]])
            self.assertIn("relay", cluster.reeve("worker", "enrolled").stdout)
            worker = join("worker")[1:]
            self.assertIn("--key-file", worker)
            cluster.spawn("worker-1", [WORKER, *worker, "--collector", f"tcp://127.0.0.1:{cluster.port + 3}", "--collector-key", key])
            cluster.workers = 1
            cluster.wait_for_workers(1)
            inputs = "".join(f"{i}\n" for i in range(1_000))
            self.check(cluster.reeve("map", "--handler", "echo", stdin=inputs), 1_000)
            self.assertEqual(cluster.went_past_the_relay(), [])
            # A worker that plays relay is not believed, and its workers go past it.
            relay.terminate()
            self.assertEqual(relay.wait(20), 0)
            keys = join("false")
            _, false_key = start_relay("relay-false", [RELAY, "--master", f"127.0.0.1:{cluster.port + 2}", "--key-file",
                                                       keys[keys.index("--key-file") + 1]])
            another = join("another")[1:]
            cluster.processes["worker-1"].terminate()
            cluster.processes["worker-1"].wait(20)
            cluster.spawn("worker-1", [WORKER, *another, "--collector", f"tcp://127.0.0.1:{cluster.port + 3}", "--collector-key", false_key])
            cluster.wait_for_workers(1)
            self.check(cluster.reeve("map", "--handler", "echo", stdin=inputs), 1_000)
            self.assertEqual(cluster.went_past_the_relay(), [1])
            self.assertIn("not of an enrolled relay", cluster.log("master"))

    def test_what_cannot_be_is_refused(self):
        with RelayedCluster(workers=0, relay=False, start=False) as cluster:
            for flags, why in {("--listen", "0.0.0.0"): "worker join --relay", ("--master", "10.0.0.1:7522"): "worker join --relay", ("--master", "nowhere"): "HOST:PORT"}.items():
                relay = cluster.spawn("relay", [RELAY, *flags])
                self.assertEqual(relay.wait(20), 78)
                self.assertIn(why, cluster.log("relay"))
            worker = super(RelayedCluster, cluster).start_worker("worker", flags=["--collector", "127.0.0.1:1"])
            self.assertEqual(worker.wait(20), 78)
            self.assertIn("tcp://HOST:PORT", cluster.log("worker"))


if __name__ == "__main__":
    unittest.main()
