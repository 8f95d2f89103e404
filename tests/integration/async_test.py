"""Tasks of the async lane on real workers: many at once, cancelled, past their limit, and with the handler http."""

import http.server
import json
import threading
import unittest

from cluster import Cluster, RUNFILES, wait_for

ODD_WORKER = RUNFILES / "tests/integration/odd_worker"


class AsyncTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=0)
        cls.cluster.start_worker("odd", slots=1, program=ODD_WORKER, flags=("--async-slots", "500"))
        cls.cluster.wait_for_workers(1)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def results(self, *args, stdin=None):
        done = self.cluster.reeve("map", "--json", *args, stdin=stdin)
        return done, {int(r["index"]): r for r in map(json.loads, done.stdout.splitlines())}

    def held(self):
        workers = json.loads(self.cluster.reeve("worker", "list", "--json").stdout)["workers"]
        return sum(int(w.get("heldCount", w.get("held_count", 0))) for w in workers)

    def test_tasks_that_wait_share_one_thread_and_end_by_cancel(self):
        self.assertIn("ASYNC", self.cluster.reeve("worker", "list").stdout)
        job = self.cluster.reeve("submit", "-q", "--handler", "wait", "--array", "600000-600999").stdout.strip()
        wait_for(lambda: self.held() >= 500, "a task in each slot")
        self.assertEqual(self.cluster.reeve("cancel", job).returncode, 0)
        self.cluster.reeve("wait", job, "--timeout", "60s")
        self.assertIn("CANCELLED", self.cluster.reeve("job", "get", job).stdout)
        # The slots are free again.
        done, results = self.results("--handler", "wait", "--array", "1-500")
        self.assertEqual((done.returncode, len(results)), (0, 500), done.stderr)

    def test_a_time_limit_reaches_what_waits(self):
        done, results = self.results("--handler", "wait", "--time-limit", "100ms", "--retries", "0", stdin="600000\n1\n")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual((results[0]["reason"], results[1]["state"]), ("TIMEOUT", "SUCCEEDED"))

    def test_a_handler_that_blocks_the_lane_is_named_in_the_log(self):
        done, _ = self.results("--handler", "wait", stdin="block\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_for(lambda: "blocked it" in self.cluster.log("odd") and "handler=wait" in self.cluster.log("odd"), "the warning")

    def test_http_fetches_what_is_there_and_says_what_is_not(self):
        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.path.encode()
                self.send_response(404 if self.path == "/missing" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}"
            inputs = "".join(f"{url}/{i}\n" for i in range(50)) + f"{url}/missing\n"
            done, results = self.results("--handler", "http", stdin=inputs)
            server.shutdown()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual([r["state"] for _, r in sorted(results.items())], ["SUCCEEDED"] * 50 + ["FAILED"])
        self.assertIn("status 404", json.dumps(results[50]))
        for i in range(50):
            self.assertIn(f"/{i}", json.dumps(results[i]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
