"""Fifty records, /0 to /49. The first one is answered only once the file `seen` is there, or with an error after 20 s."""

import http.server
import json
import os
import time


class Records(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        number = int(self.path[1:])
        end = time.monotonic() + 20
        while number == 0 and not os.path.exists("seen") and time.monotonic() < end:
            time.sleep(0.01)
        record = json.dumps({"id": number, "square": number * number}).encode()
        self.send_response(200 if number > 0 or os.path.exists("seen") else 500)
        self.send_header("Content-Length", str(len(record)))
        self.end_headers()
        self.wfile.write(record)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer.request_queue_size = 100
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Records)
print(server.server_port, flush=True)
server.serve_forever()
