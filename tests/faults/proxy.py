"""A TCP fault proxy on loopback, and ZMTP spoken by hand.

A Proxy forwards connections to a port and does what its fields say, which may be changed at any time:

  delay, jitter   seconds that bytes wait            rate        bytes a second, each way; 0: no limit
  stalled         {"up", "down"}: ways that hold     cut_after   {way: bytes} after which a connection is cut (RST), once
  messages        a function (connection, way, message) -> list of messages for the same connection and way, which drops,
                  repeats, holds back, changes; a message is the list of its frames. It sees whole ZMTP messages after the handshake.

"up" is from worker to master.
"""

import ctypes
import socket
import struct
import threading
import time

MAGIC, PROTOCOL = 0x31564552, 1
TYPES = {"HELLO": 1, "WELCOME": 2, "WHO_ARE_YOU": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ASSIGN": 6, "RECALL": 7, "RECALLED": 8, "CANCEL": 9,
         "RELEASE": 10, "RESULTS": 11, "RESULT_ACK": 12, "OUTPUT": 13, "DRAIN": 14, "GOODBYE": 15}
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


class Proxy:
    def __init__(self, target, listen=0, host="127.0.0.1"):
        self.target = (host, target)
        self.delay = self.jitter = self.rate = 0
        self.stalled, self.cut_after, self.messages = set(), {}, None
        self.cuts = self.connections = 0
        self.open = set()
        self.closing = False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", listen))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.closing = True
        self.listener.close()
        self.reset()

    def reset(self):
        """Cuts every connection."""
        with self.lock:
            pairs, self.open = self.open, set()
        for a, b in pairs:
            rst(a)
            rst(b)

    def accept(self):
        while not self.closing:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            name = (self.port, self.connections)
            with self.lock:  # From here on reset() may close both.
                self.open.add((near, far))
            for way, source, sink in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self.pump, args=(name, way, source, sink, (near, far)), daemon=True).start()

    def pump(self, name, way, source, sink, pair):
        passed, stream = 0, Zmtp()
        import random
        jitter = random.Random(self.port)
        try:
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                while way in self.stalled and not self.closing:
                    time.sleep(0.005)
                if self.delay or self.jitter:
                    time.sleep(max(0, self.delay + jitter.uniform(-self.jitter, self.jitter)))
                if self.rate:
                    time.sleep(len(data) / self.rate)
                if self.messages is not None:
                    data = stream.rewrite(data, lambda m: self.messages(name, way, m))
                most = self.cut_after.get(way)
                if most is not None and passed + len(data) >= most:
                    self.cut_after.pop(way)
                    self.cuts += 1
                    sink.sendall(data[:most - passed])
                    for one in pair:
                        rst(one)
                    return
                passed += len(data)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(pair)
            for one in pair:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def rst(connection):
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # Wakes the thread that reads; a close alone would wait for it.
        connection.close()
    except OSError:
        pass


def frame(body, more):
    if len(body) < 256:
        return bytes([1 if more else 0, len(body)]) + body
    return bytes([3 if more else 2]) + struct.pack(">Q", len(body)) + body


def message(frames):
    return b"".join(frame(f, i + 1 < len(frames)) for i, f in enumerate(frames))


class Zmtp:
    """Cuts a stream of bytes into greeting, commands and messages."""

    def __init__(self):
        self.buffer, self.greeting, self.parts = b"", 64, []

    def rewrite(self, data, change):
        self.buffer += data
        out = []
        if self.greeting:  # Passed on as it comes: libzmq says the rest only once it has heard the beginning.
            part, self.buffer = self.buffer[:self.greeting], self.buffer[self.greeting:]
            self.greeting -= len(part)
            out.append(part)
            if self.greeting:
                return part
        while True:
            taken = self.take()
            if taken is None:
                return b"".join(out)
            flags, body, raw = taken
            if flags & 4:  # A command.
                out.append(raw)
                continue
            self.parts.append(body)
            if not flags & 1:
                whole, self.parts = self.parts, []
                out += [message(m) for m in change(whole)]

    def take(self):
        buffer = self.buffer
        if len(buffer) < 2:
            return None
        flags = buffer[0]
        if flags & 2:
            if len(buffer) < 9:
                return None
            length, start = struct.unpack(">Q", buffer[1:9])[0], 9
        else:
            length, start = buffer[1], 2
        if len(buffer) < start + length:
            return None
        self.buffer = buffer[start + length:]
        return flags, buffer[start:start + length], buffer[:start + length]


def type_of(frames):
    """Number of a message's type; 0 if it is none of ours."""
    if len(frames) != 3 or len(frames[0]) != 40:
        return 0
    magic, _, type_ = struct.unpack("<IHH", frames[0][:8])
    return type_ if magic == MAGIC else 0


_xxhash = None


def xxh3(data, seed):
    global _xxhash
    if _xxhash is None:
        _xxhash = ctypes.CDLL("libxxhash.so.0")
        _xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
        _xxhash.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    return _xxhash.XXH3_64bits_withSeed(data, len(data), seed)


def frames_of(type_, epoch, session, body, blob=b"", protocol=PROTOCOL):
    """A message with a right head."""
    head = struct.pack("<IHHQQQ", MAGIC, protocol, type_, epoch, session, 0)
    total = xxh3(blob, xxh3(body, xxh3(head, 0)))
    return [head + struct.pack("<Q", total), body, blob]


class Dealer:
    """A DEALER by hand, for what no worker would say."""

    def __init__(self, port, host="127.0.0.1", handshake=True):
        self.socket = socket.create_connection((host, port), 10)
        self.stream = Zmtp()
        self.received = []
        if handshake:
            ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER" + b"\x08Identity" + bytes(4)
            self.socket.sendall(GREETING)
            self.exactly(64)  # libzmq closes on who does not wait for its greeting.
            self.stream.greeting = 0
            self.socket.sendall(b"\x04" + bytes([len(ready)]) + ready)
            # Nor does it take a message before the gate has let the connection in, which its READY says.
            self.exactly(self.exactly(2)[1])

    def exactly(self, count):
        data = b""
        while len(data) < count:
            data += self.socket.recv(count - len(data)) or bytes(count)
        return data

    def send(self, frames):
        self.socket.sendall(message(frames))

    def receive(self, within=5):
        """The next message; None if there is none or the other side has closed."""
        end = time.monotonic() + within
        while not self.received:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.socket.recv(1 << 16)
            except (TimeoutError, socket.timeout):
                return None
            except OSError:
                return None
            if not data:
                return None
            self.stream.rewrite(data, lambda m: self.received.append(m) or [])
        return self.received.pop(0)

    def close(self):
        self.socket.close()
