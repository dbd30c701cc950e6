"""The native protocol in a few lines, for tests that send what no client would.

    with Connection(address) as conn:
        conn.set(b"id", b"value")
        conn.send(frame(GET, tag(ID, b"id"), request=7)[:10])   # half a frame
"""

import socket
import struct

HELLO, PING, GET, SET, DELETE, TOUCH, PATCH, STATS, SCAN, GOAWAY = range(1, 11)
OK, NOT_FOUND = 0, 1
BAD_REQUEST, TOO_LARGE, UNSUPPORTED, HELLO_REQUIRED, UNAUTHENTICATED = range(16, 21)
BUSY, LOADING, STOPPING, NO_SPACE = range(32, 36)
ACK_DURABLE, ACK_FAST = 2, 4
TOKEN, WIRE_VERSION, ID, VALUE, LIMIT_BODY_BYTES = 0x8001, 0x8002, 0x8010, 0x8011, 0x15
VERSION, ENTRY, CURSOR, COUNT = 0x20, 0x31, 0x801D, 0x801E
ENTRY_HEAD_BYTES = 21  # before the id
PIPELINE = 256  # of contents()
HEADER_BYTES = 24
MASK = (1 << 64) - 1

# The beginning of XXH3's default secret; a header's 20 bytes need no more of it.
SECRET = bytes.fromhex("b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f")


def _fold(a, b):
    product = a * b
    return (product & MASK) ^ (product >> 64)


def header_checksum(header):
    """The low half of XXH3-64, seed 0, of 17 to 32 bytes."""
    total = len(header) * 0x9E3779B185EBCA87 & MASK
    for at, secret in ((0, SECRET[:16]), (len(header) - 16, SECRET[16:])):
        low, high = struct.unpack_from("<QQ", header, at)
        secret_low, secret_high = struct.unpack("<QQ", secret)
        total = (total + _fold(low ^ secret_low, high ^ secret_high)) & MASK
    total = (total ^ total >> 37) * 0x165667919E3779F9 & MASK
    return (total ^ total >> 32) & 0xFFFFFFFF


def tag(number, value):
    return struct.pack("<HI", number, len(value)) + value


def header(opcode, body_bytes, request=1, flags=0, version=1, reserved=0):
    start = struct.pack("<BBBBIQHH", 0xB5, version, opcode, flags, body_bytes, request, 0, reserved)
    return start + struct.pack("<I", header_checksum(start))


def frame(opcode, body=b"", **members):
    return header(opcode, len(body), **members) + body


def hello(token=None):
    body = tag(WIRE_VERSION, struct.pack("<H", 1))
    return frame(HELLO, body + (tag(TOKEN, token) if token is not None else b""))


class Reply:
    def __init__(self, head, body):
        self.opcode, self.request, self.status = head[2], *struct.unpack_from("<QH", head, 8)
        self.tags = {}
        self.entries = []  # the one tag that comes several times
        while body:
            number, length = struct.unpack_from("<HI", body)
            self.tags[number] = body[6:6 + length]
            if number == ENTRY:
                self.entries.append(body[6:6 + length])
            body = body[6 + length:]

    @property
    def value(self):
        return self.tags.get(VALUE)

    def number(self, tag_number):
        """The value of a tag that is a U64."""
        return struct.unpack("<Q", self.tags[tag_number])[0]


class Connection:
    """One connection; blocking, with a deadline for every wait."""

    def __init__(self, address, greet=True, token=None, deadline_s=30, receive_bytes=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        self.socket.settimeout(deadline_s)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        if greet:
            self.send(hello(token))
            reply = self.take()
            assert reply is not None and reply.status == OK, reply and reply.status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _need(self, count):
        while len(self.received) < count:
            try:
                chunk = self.socket.recv(1 << 20)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return False
            self.received += chunk
        return True

    def take(self):
        """The next reply, or None when the server closed the connection."""
        if not self._need(HEADER_BYTES):
            return None
        length = struct.unpack_from("<I", self.received, 4)[0]
        if not self._need(HEADER_BYTES + length):
            return None
        head, body = self.received[:HEADER_BYTES], self.received[HEADER_BYTES:HEADER_BYTES + length]
        self.received = self.received[HEADER_BYTES + length:]
        assert header_checksum(head[:20]) == struct.unpack_from("<I", head, 20)[0]
        return Reply(head, body)

    def take_all(self):
        """Everything until the server closes."""
        replies = []
        while (reply := self.take()) is not None:
            replies.append(reply)
        return replies

    def ask(self, opcode, body=b"", **members):
        self.send(frame(opcode, body, **members))
        return self.take()

    def ping(self):
        return self.ask(PING).status

    def set(self, key, value, flags=0):
        return self.ask(SET, tag(ID, key) + tag(VALUE, value), flags=flags).status

    def get(self, key):
        reply = self.ask(GET, tag(ID, key))
        return reply.value if reply.status == OK else None

    def ids(self):
        """Those of all sessions, in no order."""
        found, cursor = [], 0
        while True:
            reply = self.ask(SCAN, tag(CURSOR, struct.pack("<Q", cursor))
                             + tag(COUNT, struct.pack("<Q", 1000)))
            assert reply.status == OK, reply.status
            found += [entry[ENTRY_HEAD_BYTES:] for entry in reply.entries]
            cursor = reply.number(CURSOR)
            if cursor == 0:
                return found

    def contents(self):
        """All sessions with a value, while nobody changes them: {id: value}."""
        found = {}
        ids = self.ids()
        for at in range(0, len(ids), PIPELINE):
            some = dict(enumerate(ids[at:at + PIPELINE]))
            self.send(b"".join(frame(GET, tag(ID, key), request=n) for n, key in some.items()))
            for _ in some:
                reply = self.take()
                assert reply.status == OK, reply.status
                found[some[reply.request]] = reply.value
        return found
