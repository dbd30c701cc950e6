"""HTTP/1.1 messages read from and written to a socket piece by piece, as a proxy needs them.

The head of a message is kept as the bytes that came: what was signed stays signed.
"""

import re
import socket

PIECE_BYTES = 256 << 10
HEAD_BYTES_MAX = 64 << 10
LAST_CHUNK = b"0\r\n\r\n"


class Lost(OSError):
    """The other side closed the connection in the middle of a message."""


def frame(piece, is_chunked):
    """A piece of a body as it goes over the line. Empty ones vanish: they would end the body."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked and piece else piece


class Head:
    """The first line and the headers (their names in lower case) of a message; never changed."""

    def __init__(self, raw):
        self.raw = raw
        self.line, *rows = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = (row.partition(":") for row in rows)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def status(self):
        """Of a reply."""
        match = re.match(r"HTTP/\S+ (\d{3})\b", self.line)
        if match is None:
            raise Lost(f"this is no status line: {self.line!r}")
        return int(match[1])

    @property
    def length(self):
        """Content-Length, or None."""
        return int(self.headers["content-length"]) if "content-length" in self.headers else None

    @property
    def is_chunked(self):
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def is_last(self):
        """True when the sender closes the connection after this message."""
        return self.headers.get("connection", "").lower() == "close"

    def with_header(self, name, value):
        """The same head with another value of one header."""
        rows = [row for row in self.raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
                if not row.lower().startswith(name.lower() + ":")]
        return Head("\r\n".join([*rows, f"{name}: {value}", "", ""]).encode("latin-1"))


class Stream:
    """One end of a connection. Reads on one thread; any thread may end it with shut()."""

    def __init__(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.received = b""  # and not taken yet

    def send(self, data):
        self.socket.sendall(data)

    def read_head(self):
        """The head of the next message, or None when the other side has closed instead."""
        while b"\r\n\r\n" not in self.received:
            if len(self.received) > HEAD_BYTES_MAX:
                raise Lost("the head of a message is too long")
            if not self._receive():
                if self.received:
                    raise Lost("closed within the head of a message")
                return None
        raw, _, self.received = self.received.partition(b"\r\n\r\n")
        return Head(raw + b"\r\n\r\n")

    def read_body(self, head, until_end=False, piece_bytes=PIECE_BYTES):
        """Yields the body that follows that head, without its chunks' frames. `until_end`: without
        a length it lasts until the other side closes (a reply), otherwise there is none."""
        if head.is_chunked:
            yield from self._read_chunks(piece_bytes)
        elif head.length is not None:
            yield from self._read_exactly(head.length, piece_bytes)
        elif until_end:
            while self.received or self._receive():
                piece, self.received = self.received, b""
                yield piece

    def _read_exactly(self, count, piece_bytes=PIECE_BYTES):
        while count > 0:
            if not self.received and not self._receive(min(count, piece_bytes)):
                raise Lost("closed within the body of a message")
            take = min(count, piece_bytes)
            piece, self.received = self.received[:take], self.received[take:]
            count -= len(piece)
            yield piece

    def _read_chunks(self, piece_bytes):
        while (count := int(self._read_line().partition(b";")[0], 16)) > 0:
            yield from self._read_exactly(count, piece_bytes)
            self._read_line()
        while self._read_line():
            pass  # trailers

    def _read_line(self):
        while b"\r\n" not in self.received:
            if not self._receive():
                raise Lost("closed within a chunk's frame")
        line, _, self.received = self.received.partition(b"\r\n")
        return line

    def _receive(self, count=PIECE_BYTES):
        data = self.socket.recv(count)
        self.received += data
        return data

    def is_stale(self):
        """True when the other side has closed, or said something that nobody asked for."""
        if self.received:
            return True
        try:
            self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    def shut(self):
        """Ends it: whoever waits in send() or for a message gets an error, or the end."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended

    def close(self, reset=False):
        """`reset`: the other side sees ECONNRESET, and what is still on its way to it is lost."""
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()
