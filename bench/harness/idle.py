"""Connections that do nothing, by the thousand: what they cost, and whether they disturb others."""

import resource
import socket

from harness.server import Failed

import native  # tests/support, found through harness.server

SPARE_FDS = 200
AT_ONCE = 200


class Crowd:
    """`count` connections that have said HELLO and read one session. Use with `with`.

    `bytes_each` is what the server's process grew by; the kernel's part is not in it.
    """

    def __init__(self, server, count):
        self.server = server
        self.count = count
        self.sockets = []
        self.bytes_each = None

    def __enter__(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self.count + SPARE_FDS
        if soft < needed:
            if hard != resource.RLIM_INFINITY and hard < needed:
                raise Failed(f"{self.count} connections need {needed} open files, "
                             f"the limit is {hard} (ulimit -n)")
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        before = self.server.memory_bytes()
        try:
            while len(self.sockets) < self.count:
                self.add(min(AT_ONCE, self.count - len(self.sockets)))
        except BaseException:
            self.__exit__()
            raise
        self.server.wait_quiet()
        self.bytes_each = (self.server.memory_bytes() - before) / self.count
        return self

    def add(self, count):
        host, port = self.server.address.rsplit(":", 1)
        ask = native.hello() + native.frame(native.GET, native.tag(native.ID, b"idle"))
        new = [socket.create_connection((host, int(port)), 30) for _ in range(count)]
        self.sockets += new
        for conn in new:
            conn.sendall(ask)
        for conn in new:
            if not read_replies(conn, 2):
                raise Failed("the server closed an idle connection at once")

    def __exit__(self, *_):
        for conn in self.sockets:
            conn.close()
        self.sockets = []


def read_replies(conn, count):
    """Takes whole replies, of a socket with a timeout; False: the server closed."""
    received = b""
    while count:
        try:
            chunk = conn.recv(1 << 16)
        except TimeoutError:
            raise Failed("the server does not answer a new connection") from None
        if not chunk:
            return False
        received += chunk
        while len(received) >= native.HEADER_BYTES:
            whole = native.HEADER_BYTES + int.from_bytes(received[4:8], "little")
            if len(received) < whole:
                break
            received = received[whole:]
            count -= 1
    return True
