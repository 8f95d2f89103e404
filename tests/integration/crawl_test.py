"""The handler `crawl` on a generated site with traps: exactly the pages that can be reached, whatever is killed."""

import http.server
import json
import random
import signal
import socket
import socketserver
import threading
import time
import unittest
import urllib.parse

from cluster import Cluster, wait_for

PAGES = 5000


class Site:
    """Pages 0 to PAGES-1, of which those below `reachable` can be reached from 0. Built anew each time from the same seed."""

    def __init__(self):
        rng = random.Random(1)
        self.reachable = PAGES * 9 // 10
        self.links = {i: [rng.randrange(self.reachable) for _ in range(3)] for i in range(self.reachable)}
        for i in range(1, self.reachable):  # A tree, so that each of them is reached.
            self.links[rng.randrange(max(0, i - 200), i)].append(i)
        for i in range(self.reachable, PAGES):  # Islands lead in, but nothing leads to them.
            self.links[i] = [rng.randrange(PAGES) for _ in range(3)]
        self.hits, self.lock = {}, threading.Lock()

    def spelling(self, i, k):
        """One page has many."""
        path = f"/p/{i}"
        return [path, f"{path}#part{k}", f"/x/../p/{i}", f"http://LOCALHOST:{self.port}{path}", f"../p/{i}", f"/%70/{i}"][k % 6]

    def traps(self, i):
        traps = {1: "<a href='/loop'>", 2: "<a href='/missing'>", 3: "<a href='/huge'>", 4: "<a href='/slow'>", 5: "<a href='/out'>",
                 6: "<a href='http://10.0.0.1/'><a href='http://169.254.169.254/latest'><a href='mailto:a@b'><a href='javascript:x()'>",
                 7: "<a href='/broken'>", 8: f"<a href='http://127.0.0.1:{self.port}/other-host'>", 9: "<a href='/forbidden/page'>",
                 10: "<a href='/flaky'>", 11: "<a href='/encoding'>", 12: "<a href='//[bad'><a href='http://'><a href=''><a>"}
        return traps.get(i, "")

    def page(self, i):
        body = "".join(f"<p><a href=\"{self.spelling(j, i + j)}\">page {j}" for j in self.links[i])
        return f"<html><body>{body}{self.traps(i)}".encode()

    def expected(self):
        """Path -> (status, error begins with)."""
        pages = {f"/p/{i}": (200, "") for i in range(self.reachable)}
        pages.update({"/loop": (302, ""), "/loop2": (302, ""), "/missing": (404, "status 404"), "/huge": (200, "the answer has more"),
                      "/slow": (200, ""), "/out": (302, ""), "/broken": (0, ""), "/forbidden/page": (0, "robots.txt"), "/flaky": (200, ""),
                      "/encoding": (200, "")})
        return pages

    def serve(self):
        site = self

        class Pages(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body=b"", headers=()):
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
                self.wfile.write(head.encode() + body)

            def do_GET(self):
                html = ("Content-Type", "text/html; charset=utf-8")
                path = self.path
                with site.lock:
                    site.hits[path] = hit = site.hits.get(path, 0) + 1
                if path == "/robots.txt":
                    self.answer(200, b"User-agent: *\nDisallow: /forbidden/\n")
                elif path.startswith("/p/") and path[3:].isdigit() and int(path[3:]) < PAGES:
                    self.answer(200, site.page(int(path[3:])), [html])
                elif path in ("/loop", "/loop2"):
                    self.answer(302, headers=[("Location", "/loop2" if path == "/loop" else "/loop")])
                elif path == "/huge":
                    self.answer(200, b"x" * (3 << 20), [html])
                elif path == "/slow":
                    time.sleep(1)
                    self.answer(200, b"<a href='/p/0'>", [html])
                elif path == "/out":
                    self.answer(302, headers=[("Location", "http://example.invalid/")])
                elif path == "/broken":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                elif path == "/flaky" and hit == 1:
                    self.answer(503)
                elif path in ("/flaky", "/encoding"):
                    self.answer(200, b"<meta charset=nonsense>\xff\xfe<a href='/p/1'>\x80\xc3(", [html])
                else:
                    self.answer(404, b"<a href='/p/4999'>", [html])

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):  # The other end was killed.
                pass

        server = Server(("127.0.0.1", 0), Pages)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


class TwoHosts:
    """One server under two names; each page leads to the next three under both. Counts who is served at once."""
    PAGES = 40

    def __init__(self):
        self.lock = threading.Lock()
        self.forget()

    def forget(self):
        self.running, self.most, self.at_once = {"localhost": 0, "127.0.0.1": 0}, {"localhost": 0, "127.0.0.1": 0}, 0
        self.begun = {"localhost": [], "127.0.0.1": []}

    def serve(self):
        hosts = self

        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host, page = self.headers["Host"].rsplit(":", 1)[0], int(self.path[1:])
                with hosts.lock:
                    hosts.running[host] += 1
                    hosts.begun[host].append(time.monotonic())
                    hosts.most[host] = max(hosts.most[host], hosts.running[host])
                    hosts.at_once = max(hosts.at_once, sum(hosts.running.values()))
                time.sleep(0.05)
                links = "".join(f"<a href='http://{name}:{hosts.port}/{i}'>" for name in hosts.running
                                for i in range(page + 1, min(page + 4, hosts.PAGES)))
                with hosts.lock:
                    hosts.running[host] -= 1
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(links)))
                self.end_headers()
                self.wfile.write(links.encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


class CrawlTest(unittest.TestCase):
    def crawl(self, cluster, site, *params, page="p/0"):
        job = cluster.reeve("submit", "-q", "--handler", "crawl", *params, ":::", f"http://localhost:{site.port}/{page}").stdout.strip()
        self.assertTrue(job)
        return job

    def lines(self, cluster, job):
        done = cluster.reeve("wait", job, "--timeout", "120s")
        self.assertEqual(done.returncode, 0, done.stderr)
        return cluster.reeve("results", job).stdout.splitlines()

    def pages(self, cluster, site, job):
        pages = [json.loads(line) for line in self.lines(cluster, job)]
        found = {}
        for page in pages:
            url = urllib.parse.urlsplit(page["url"])
            self.assertEqual((url.scheme, url.netloc), ("http", f"localhost:{site.port}"))
            self.assertNotIn(url.path, found, "visited twice")
            found[url.path] = page
        return found

    def check(self, found, site):
        expected = site.expected()
        self.assertEqual(set(found), set(expected))
        for path, (status, error) in expected.items():
            self.assertEqual(found[path]["status"], status, found[path])
            self.assertTrue(found[path].get("error", "").startswith(error), found[path])
            self.assertEqual("error" in found[path], path in ("/missing", "/huge", "/broken", "/forbidden/page"), found[path])

    def test_exactly_the_pages_that_can_be_reached_are_found_once_whatever_is_killed(self):
        params = ("--param", "allow_private=true", "--param", "tries=2")
        with Cluster(workers=2, slots=2) as cluster:
            site = Site()
            with site.serve() as server:
                undisturbed = self.pages(cluster, site, self.crawl(cluster, site, *params))
                self.check(undisturbed, site)
                self.assertEqual({p for p, n in site.hits.items() if n > 1} - {"/robots.txt"}, {"/flaky", "/broken"})
                server.shutdown()
            site = Site()
            with site.serve() as server:
                job = self.crawl(cluster, site, *params)
                wait_for(lambda: len(site.hits) > 500, "the crawl is under way")
                cluster.processes["worker-1"].send_signal(signal.SIGKILL)
                wait_for(lambda: len(site.hits) > 1500, "the crawl goes on")
                cluster.processes["master"].send_signal(signal.SIGKILL)
                cluster.processes["master"].wait()
                cluster.start_master()
                found = self.pages(cluster, site, job)
                self.check(found, site)
                self.assertEqual(set(found), set(undisturbed))
                server.shutdown()

    def test_private_addresses_are_not_connected_to_unless_allowed(self):
        with Cluster(workers=1, slots=1) as cluster:
            site = Site()
            with site.serve() as server:
                for params, error in (((), "robots.txt cannot be had: "), (("--param", "robots=false"), "")):
                    found = self.pages(cluster, site, self.crawl(cluster, site, *params))
                    self.assertEqual(set(found), {"/p/0"})
                    self.assertEqual(found["/p/0"]["error"], error + "the address is not a public one")
                    self.assertEqual(site.hits, {})
                # Another job is not told what this one may not do.
                allowed = self.crawl(cluster, site, "--param", "allow_private=true", "--param", "depth=0")
                self.assertEqual(self.pages(cluster, site, allowed)["/p/0"]["status"], 200)
                server.shutdown()

    def test_depth_and_number_of_tasks_are_bounded(self):
        with Cluster(workers=1, slots=1) as cluster:
            site = Site()
            with site.serve() as server:
                params = ("--param", "allow_private=true")
                found = self.pages(cluster, site, self.crawl(cluster, site, *params, "--param", "depth=1"))
                self.assertEqual(set(found), {"/p/0"} | {f"/p/{i}" for i in site.links[0]})
                found = self.pages(cluster, site, self.crawl(cluster, site, *params, "--max-tasks", "50"))
                self.assertEqual(len(found), 49)  # And the seed.
                server.shutdown()

    def test_each_host_has_its_limit_and_its_rate_over_all_workers(self):
        site = TwoHosts()
        with Cluster(workers=2, slots=4) as cluster, site.serve() as server:
            params = ("--param", "allow_private=true", "--param", "robots=false", "--param", "hosts=localhost,127.0.0.1", "--max-tasks", "1000")
            job = self.crawl(cluster, site, *params, "--limit", "key=@host:1", page="0")
            wait_for(lambda: sum(map(len, site.begun.values())) > 10, "the crawl is under way")
            cluster.processes["master"].kill()
            cluster.processes["master"].wait()
            cluster.start_master()
            wait_for(lambda: cluster.reeve("job", "get", job).returncode == 0, "the master")
            before, site.at_once = site.at_once, 0
            self.assertEqual(len(self.lines(cluster, job)), 2 * site.PAGES - 1)
            self.assertEqual(site.most, {"localhost": 1, "127.0.0.1": 1})
            self.assertEqual((before, site.at_once), (2, 2), "the hosts do not wait for one another, nor do pages found after the restart")

            site.forget()
            job = self.crawl(cluster, site, *params, "--rate", "key=@host:10/s", page="0")
            self.assertEqual(len(self.lines(cluster, job)), 2 * site.PAGES - 1)
            for name, begun in site.begun.items():
                self.assertGreaterEqual(len(begun), site.PAGES - 1, name)
                self.assertGreater(begun[-1] - begun[0], (site.PAGES - 2) / 10 - 0.5, name)
            server.shutdown()


if __name__ == "__main__":
    unittest.main(verbosity=2)
