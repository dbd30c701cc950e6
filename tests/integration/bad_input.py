#!/usr/bin/python3
"""bad_input.py --satcheld PATH: what no client should do, done to one server.

After every test the server is alive, serves others, has not grown beyond a bound and has said
(by a status, or by closing and a line in its log) what it thinks of the offender.
"""

import argparse
import os
import random
import resource
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

import native  # noqa: E402
from bystander import Bystander  # noqa: E402
from native import Connection, frame, header, tag  # noqa: E402
from processes import Satcheld, wait_until  # noqa: E402

OPTIONS = None
STALL_S = 1
IDLE_CONNECTIONS = 10000
IDLE_KIB_MAX = 10
UNSENT_MAX = 1 << 20
P99_MS_MAX = 250  # a busy machine, not a stall
GROWTH_MIB_MAX = 48  # of memory that a test may leave behind, buffers that are kept included


def bystander(address):
    conn = Connection(address)
    assert conn.set(b"bystander", b"x" * 512) == native.OK
    return Bystander(lambda: conn.get(b"bystander") == b"x" * 512, conn.socket.close)


def reset_on_close(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.store = cls.enterClassContext(Satcheld(
            OPTIONS.satcheld, "--stall", f"{STALL_S}s", "--unsent-max", str(UNSENT_MAX),
            "--workers", "2"))

    def setUp(self):
        self.memory_before = self.store.memory_kib()
        self.logged_before = len(self.store.lines)

    def tearDown(self):
        self.assertTrue(self.store.is_running(), self.store.log())
        with Connection(self.store.address) as conn:
            self.assertEqual(conn.set(b"after", self.id().encode()), native.OK)
            self.assertEqual(conn.get(b"after"), self.id().encode())
        if OPTIONS.sanitized:
            return
        grown = (self.store.memory_kib() - self.memory_before) / 1024
        self.assertLess(grown, GROWTH_MIB_MAX, "MiB of memory more than before")

    def logged(self, text, *offence, greet=True):
        """Waits for a line of this test. The log holds lines back when there are many, and says how
        many: so the offence is repeated until its line comes."""

        def repeated():
            for data in offence:
                with Connection(self.store.address, greet=greet) as conn:
                    conn.send(data)
                    conn.take_all()
            return any(text in line for line in self.store.lines[self.logged_before:])

        wait_until(repeated, f"a line with {text!r}", pause_s=0.1)

    def counter(self, name):
        return self.store.metric(name)

    # ---- bytes that are no requests

    def test_the_whole_fuzz_corpus_is_survived(self):
        files = [path for path in sorted((TESTS / "fuzz" / "corpus").rglob("*")) if path.is_file()]
        self.assertGreater(len(files), 30)
        with bystander(self.store.address):
            for path in files:
                for greet in (False, True):
                    with Connection(self.store.address, greet=greet) as conn:
                        try:
                            conn.send(path.read_bytes())
                            conn.socket.shutdown(socket.SHUT_WR)
                            conn.take_all()
                        except (ConnectionResetError, BrokenPipeError):
                            pass  # closed while we were sending
            # Framed properly, so that it reaches the decoder of bodies.
            with Connection(self.store.address) as conn:
                for opcode in range(16):
                    for path in files:
                        body = path.read_bytes()[:2048]
                        reply = conn.ask(opcode, body, request=opcode)
                        if reply is None:  # a wrong HELLO ends the connection
                            conn.__init__(self.store.address)
                        else:
                            self.assertEqual(reply.request, opcode)

    def test_garbage_closes_the_connection(self):
        dice = random.Random(1)
        closed_before = self.counter('satchel_net_connections_closed_total{reason="protocol"}')
        for _ in range(300):
            garbage = b"\xb5" + dice.randbytes(dice.randrange(24, 3000))  # it claims to be a frame
            with Connection(self.store.address, greet=False) as conn:
                conn.send(garbage)
                self.assertEqual(conn.take_all(), [])
        self.logged("not a Satchel frame", garbage)
        self.assertGreaterEqual(
            self.counter('satchel_net_connections_closed_total{reason="protocol"}') - closed_before,
            300)

    def test_a_wrong_checksum_closes_the_connection(self):
        for position in range(1, native.HEADER_BYTES):  # the first byte tells the protocol
            wrong = bytearray(frame(native.PING))
            wrong[position] ^= 0x10
            with Connection(self.store.address) as conn:
                conn.send(bytes(wrong) + frame(native.PING))
                self.assertEqual(conn.take_all(), [])
        self.logged("not a Satchel frame", bytes(wrong))

    # ---- sizes

    def test_oversized_requests_are_refused_by_their_header(self):
        with Connection(self.store.address) as conn:
            limits = conn.ask(native.HELLO, tag(native.WIRE_VERSION, b"\1\0")).tags
            limit = struct.unpack("<Q", limits[native.LIMIT_BODY_BYTES])[0]
            self.assertLessEqual(limit, (1 << 20) + (1 << 16))
        for size in (limit + 1, 1 << 24, 1 << 31, (1 << 32) - 1):
            with Connection(self.store.address) as conn:
                conn.send(header(native.SET, size, request=9))
                replies = conn.take_all()
                self.assertEqual([(reply.request, reply.status) for reply in replies],
                                 [(9, native.TOO_LARGE)], size)
        self.logged("oversized request", header(native.SET, 1 << 24))

    def test_values_above_the_limit_are_refused_and_the_connection_lives(self):
        with Connection(self.store.address) as conn:
            self.assertEqual(conn.set(b"big", b"v" * (1 << 20)), native.OK)
            self.assertEqual(conn.set(b"big", b"w" * ((1 << 20) + 1)), native.TOO_LARGE)
            self.assertEqual(conn.get(b"big"), b"v" * (1 << 20))
            self.assertEqual(conn.set(b"i" * 513, b""), native.TOO_LARGE)
            self.assertEqual(conn.set(b"", b""), native.BAD_REQUEST)

    def test_strangers_cannot_make_the_server_collect(self):
        with Connection(self.store.address, greet=False) as conn:
            conn.send(header(native.HELLO, 1 << 20, request=3))
            self.assertEqual([reply.status for reply in conn.take_all()], [native.TOO_LARGE])
        with Connection(self.store.address, greet=False) as conn:
            conn.send(header(native.SET, 1 << 20, request=3))
            replies = conn.take_all()
            self.assertEqual([reply.status for reply in replies], [native.HELLO_REQUIRED])

    # ---- pieces

    def test_frames_may_come_split_at_every_byte(self):
        request = frame(native.SET, tag(native.ID, b"split") + tag(native.VALUE, b"0123456789"),
                        request=5)
        with Connection(self.store.address) as conn:
            for at in range(1, len(request)):
                conn.send(request[:at])
                conn.send(request[at:])
                self.assertEqual(conn.take().status, native.OK)
            for at in range(len(request)):
                conn.send(request[at:at + 1])
            self.assertEqual(conn.take().status, native.OK)

    def test_half_requests_that_stall_are_closed(self):
        whole = frame(native.SET, tag(native.ID, b"half") + tag(native.VALUE, bytes(100000)))
        with bystander(self.store.address):
            stalled = [Connection(self.store.address) for _ in range(4)]
            start = time.monotonic()
            for conn, count in zip(stalled, (1, 23, 30, 90000)):
                conn.send(whole[:count])
            for conn in stalled:
                self.assertIsNone(conn.take())
                conn.socket.close()
            took = time.monotonic() - start
        self.assertGreater(took, STALL_S * 0.9)
        self.assertLess(took, STALL_S * 2 + 5)
        self.logged("half a request", whole[:30])

    # ---- requests that are not understood

    def test_unknown_things_get_their_status(self):
        with Connection(self.store.address) as conn:
            for body, opcode, status in (
                    (b"", 0, native.UNSUPPORTED), (b"", 11, native.UNSUPPORTED),
                    (b"", 255, native.UNSUPPORTED), (b"", native.GOAWAY, native.BAD_REQUEST),
                    (tag(native.ID, b"a") + tag(0x8FFF, b""), native.GET, native.UNSUPPORTED),
                    (b"abc", native.GET, native.BAD_REQUEST),
                    (b"", native.GET, native.BAD_REQUEST),
                    (tag(native.ID, b"a") * 2, native.GET, native.BAD_REQUEST)):
                reply = conn.ask(opcode, body, request=77)
                self.assertEqual((reply.request, reply.status), (77, status), (opcode, body))
            # Not critical: skipped.
            self.assertEqual(conn.ask(native.GET, tag(native.ID, b"no") + tag(0x7FF0, b"?")).status,
                             native.NOT_FOUND)
        for members in ({"version": 2}, {"flags": 0x80}, {"reserved": 1}):
            with Connection(self.store.address) as conn:
                conn.send(frame(native.PING, request=5, **members))
                self.assertEqual([(reply.request, reply.status) for reply in conn.take_all()],
                                 [(5, native.UNSUPPORTED)], members)
        self.logged("unknown protocol version", frame(native.PING, version=2))

    def test_without_hello_nothing_is_answered_but_ping(self):
        with Connection(self.store.address, greet=False) as conn:
            self.assertEqual(conn.ping(), native.OK)
            conn.send(frame(native.GET, tag(native.ID, b"a"), request=4))
            self.assertEqual([(reply.request, reply.status) for reply in conn.take_all()],
                             [(4, native.HELLO_REQUIRED)])
        self.logged("no HELLO first", frame(native.GET, tag(native.ID, b"a")), greet=False)

    # ---- many, and slow ones

    def test_a_slow_reader_gets_everything(self):
        value = os.urandom(200000)
        with Connection(self.store.address) as conn:
            self.assertEqual(conn.set(b"slow", value), native.OK)
        asked = frame(native.GET, tag(native.ID, b"slow"))
        with bystander(self.store.address) as served, \
                Connection(self.store.address, receive_bytes=8192) as conn:
            sender = threading.Thread(target=conn.send, args=(asked * 40,))
            sender.start()
            for _ in range(40):
                time.sleep(STALL_S / 20)  # the test: slower than the stall time in all, never idle
                self.assertEqual(conn.take().value, value)
            sender.join()
        self.assertLess(served.p99_ms(), P99_MS_MAX)

    def test_thousands_of_requests_may_be_on_the_way(self):
        count = 5000
        with bystander(self.store.address), Connection(self.store.address) as conn:
            requests = b"".join(
                frame(native.SET, tag(native.ID, b"p%d" % i) + tag(native.VALUE, b"v%d" % i),
                      request=i, flags=native.ACK_DURABLE) for i in range(count))
            sender = threading.Thread(target=conn.send, args=(requests,))
            sender.start()
            replies = [conn.take() for _ in range(count)]
            sender.join()
            self.assertEqual({reply.status for reply in replies}, {native.OK})
            self.assertEqual(sorted(reply.request for reply in replies), list(range(count)))
            self.assertEqual(conn.get(b"p4999"), b"v4999")


class Limits(unittest.TestCase):
    """Servers of their own: with other limits, or whose memory is measured."""

    def test_ten_thousand_idle_connections_cost_little(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        idle = []
        store = self.enterContext(Satcheld(OPTIONS.satcheld))
        for conn in [Connection(store.address) for _ in range(64)]:
            conn.socket.close()  # what serving needs once is not counted
        before = store.memory_kib()
        start = time.monotonic()
        with bystander(store.address) as served:
            while len(idle) < IDLE_CONNECTIONS:
                idle.append(Connection(store.address))
                reset_on_close(idle[-1].socket)
            opened_s = time.monotonic() - start
            wait_until(lambda: len(served.took_s) > 2000, "the bystander is served")
        each = (store.memory_kib() - before) / IDLE_CONNECTIONS
        print(f"\n{IDLE_CONNECTIONS} idle connections in {opened_s:.1f} s: {each:.2f} KiB each; "
              f"another client meanwhile: p99 {served.p99_ms():.2f} ms")
        if not OPTIONS.sanitized:
            self.assertLessEqual(each, IDLE_KIB_MAX)
            self.assertLess(served.p99_ms(), P99_MS_MAX)
        for conn in idle[::500]:  # they are idle, not forgotten
            self.assertEqual(conn.ping(), native.OK)
        for conn in idle:
            conn.socket.close()

    def test_clients_that_never_read_are_closed(self):
        store = self.enterContext(Satcheld(OPTIONS.satcheld, "--stall", f"{STALL_S}s",
                                           "--unsent-max", str(UNSENT_MAX)))
        value = bytes(1 << 20)
        asked = frame(native.GET, tag(native.ID, b"big"))
        readers = 16
        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"big", value), native.OK)
        before = store.memory_kib()
        most = 0
        with bystander(store.address) as served:
            never_read = [Connection(store.address, receive_bytes=4096)
                          for _ in range(readers)]
            for conn in never_read:
                conn.socket.setblocking(False)
                try:
                    conn.socket.send(asked * 500)  # 500 MiB of replies, if somebody took them
                except BlockingIOError:
                    pass
            closed = store.metric('satchel_net_connections_closed_total{reason="stalled"}')

            def all_closed():
                nonlocal most
                most = max(most, store.memory_kib() - before)
                return store.metric('satchel_net_connections_closed_total{reason="stalled"}') \
                    - closed >= readers

            wait_until(all_closed, "clients that do not read are closed")
            for conn in never_read:
                conn.socket.close()
        print(f"\n{readers} clients that never read: at most {most / 1024:.1f} MiB more memory; "
              f"another client meanwhile: p99 {served.p99_ms():.2f} ms")
        # Each may hold unsent-max and the reply that went over it, in buffers that double.
        if not OPTIONS.sanitized:
            self.assertLess(most * 1024, readers * 2 * (UNSENT_MAX + 2 * len(value)))
            self.assertLess(served.p99_ms(), P99_MS_MAX)
        store.wait_for_line("does not read its replies")

    def test_connections_above_the_limit_are_closed(self):
        with Satcheld(OPTIONS.satcheld, "--connections-max", "10") as store:
            taken = [Connection(store.address) for _ in range(10)]
            for _ in range(5):
                with Connection(store.address, greet=False) as conn:
                    self.assertEqual(conn.take_all(), [])
            store.wait_for_line("connections-max is reached")
            for conn in taken:
                self.assertEqual(conn.ping(), native.OK)
            taken.pop().socket.close()

            def has_room():
                try:
                    with Connection(store.address):
                        return True
                except (AssertionError, OSError):
                    return False

            wait_until(has_room, "a place is free again")
            for conn in taken:
                conn.socket.close()

    def test_a_wrong_token_is_refused(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"correct horse battery\n")
            file.flush()
            with Satcheld(OPTIONS.satcheld, "--token-file", file.name) as store:
                for token in (None, b"", b"correct horse batterz", b"correct horse batter",
                              b"correct horse battery\n", b"x" * 4000):
                    with Connection(store.address, greet=False) as conn:
                        conn.send(native.hello(token) + frame(native.GET, tag(native.ID, b"a")))
                        self.assertEqual([reply.status for reply in conn.take_all()],
                                         [native.UNAUTHENTICATED], token)
                store.wait_for_line("wrong token")
                self.assertNotIn("correct horse", store.log())
                with Connection(store.address, token=b"correct horse battery") as conn:
                    self.assertEqual(conn.set(b"a", b"b"), native.OK)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
