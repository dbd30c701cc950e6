"""The Redis protocol in a few lines, for tests that look at the bytes of replies.

    with Resp(address) as conn:
        conn.ask(b"SET", b"k", b"v").raw == b"+OK\\r\\n"
        conn.send(b'GET k\\r\\nECHO "half a li')   # what no client would send
        conn.take().value == b"v"
"""

import socket
from collections import namedtuple

DEADLINE_S = 30
CLOSED = b"(closed)"  # the raw bytes of what comes from a connection that has ended

# A reply: its first byte ("" when the connection was closed), its bytes, and what they mean: bytes,
# int, None, or a list of replies (of a map: names and values in turn).
Reply = namedtuple("Reply", "kind raw value")


def encode(*args):
    """A request: an array of bulk strings; numbers are written out."""
    args = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in args)


def is_message(reply):
    """True when it was not asked for: a message of a channel or pattern."""
    return reply.kind in (">", "*") and bool(reply.value) and \
        reply.value[0].value in (b"message", b"pmessage")


class Resp:
    """A connection. `address` is "HOST:PORT", or the path of a Unix socket."""

    def __init__(self, address, deadline_s=DEADLINE_S):
        if "/" in address:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(deadline_s)
            self.socket.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), deadline_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, *args):
        """Sends one request and takes one reply."""
        self.send(encode(*args))
        return self.take()

    def take(self):
        """The next reply; of kind "" when there is none because the connection has ended."""
        try:
            reply, end = self._parse(0)
        except (EOFError, ConnectionResetError):
            return Reply("", bytes(self.received) + CLOSED, None)
        del self.received[:end]
        return reply

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _await(self, count):
        while len(self.received) < count:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self.received += data

    def _line(self, at):
        while (end := self.received.find(b"\r\n", at)) < 0:
            self._await(len(self.received) + 1)
        return bytes(self.received[at:end]), end + 2

    def _parse(self, begin):
        """The reply at `begin`, and where it ends."""
        line, at = self._line(begin)
        kind, rest = chr(line[0]), line[1:]
        if kind in "*~>%":
            count = int(rest) * (2 if kind == "%" else 1)
            value = None if count < 0 else []
            for _ in range(count):
                item, at = self._parse(at)
                value.append(item)
        elif kind in "$=!":
            value = None
            if int(rest) >= 0:
                self._await(at + int(rest) + 2)
                value = bytes(self.received[at:at + int(rest)])
                at += len(value) + 2
        elif kind in "+-,#(":
            value = rest
        elif kind == ":":
            value = int(rest)
        elif kind == "_":
            value = None
        else:
            raise AssertionError(f"no reply begins like this: {bytes(self.received[begin:][:80])}")
        return Reply(kind, bytes(self.received[begin:at]), value), at
