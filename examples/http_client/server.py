"""A server that misbehaves: the first request for /N is answered with 503 and `Retry-After: 1` if N ends in 3, and cut off in the middle if
it ends in 7; all later ones are well. There are no other pages. /report says, as JSON, how it was treated."""

import collections
import http.server
import json
import threading
import time

lock = threading.Lock()
requests = collections.defaultdict(list)  # Times of the requests for each path.
connections = {"made": 0, "open": 0, "most": 0}


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        with lock:
            connections["made"] += 1
            connections["open"] += 1
            connections["most"] = max(connections["most"], connections["open"])

    def finish(self):
        with lock:
            connections["open"] -= 1
        super().finish()

    def do_GET(self):
        with lock:
            requests[self.path].append(time.monotonic())
            is_first = len(requests[self.path]) == 1
        if self.path == "/report":
            pauses = [times[1] - times[0] for path, times in requests.items() if path.endswith("3") and len(times) > 1]
            self.answer(200, json.dumps({**connections, "requests": sum(map(len, requests.values())), "shortest_pause": min(pauses)}))
        elif not self.path[1:].isdigit():
            self.answer(404, "nothing here")
        elif self.path.endswith("3") and is_first:
            self.answer(503, "later", {"Retry-After": "1"})
        elif self.path.endswith("7") and is_first:
            self.close_connection = True
            self.answer(200, "half of", {"Content-Length": "100"})
        else:
            self.answer(200, "page " + self.path[1:])

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer.request_queue_size = 100
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
