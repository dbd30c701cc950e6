#!/usr/bin/env python3
"""Connections of the Redis protocol that mean no good, beside one that does: slow requests, giant
lengths, ten thousand idle ones, readers that do not read, transactions and subscriptions without end,
strangers. The one that does is served all the time, and memory stays bounded."""

import argparse
import os
import resource
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from bystander import Bystander  # noqa: E402
from processes import Satcheld, wait_until  # noqa: E402
from resp import Resp, encode  # noqa: E402

OPTIONS = None
STALL_S = 1
UNSENT_MAX = 1 << 20
VALUE_MAX = 1 << 20  # as shipped
P99_MS_MAX = 250  # a busy machine, not a stall
IDLE_CONNECTIONS = 10000
IDLE_KIB_MAX = 10
GROWTH_MIB_MAX = 64
OFFENDERS = 16


def bystander(address):
    conn = Resp(address)
    assert conn.ask("SET", "bystander", "x" * 512).raw == b"+OK\r\n"
    return Bystander(lambda: conn.ask("GET", "bystander").value == b"x" * 512, conn.close)


class Hostile(unittest.TestCase):
    def store(self, *options):
        return self.enterContext(Satcheld(OPTIONS.satcheld, "--stall", f"{STALL_S}s",
                                          "--unsent-max", str(UNSENT_MAX), "--workers", "2",
                                          *options))

    def expect_served(self, store, served, before_kib, grown_mib_max=GROWTH_MIB_MAX):
        """The store lives, the bystander was served all the time, and memory is what it was."""
        self.assertTrue(store.is_running(), store.log())
        if not OPTIONS.sanitized:
            self.assertLess(served.p99_ms(), P99_MS_MAX)
            self.assertLess((store.memory_kib() - before_kib) / 1024, grown_mib_max)

    def closes(self, store, data):
        """What the server says to these bytes before it closes."""
        with Resp(store.address) as conn:
            conn.send(data)
            reply = conn.take()
            self.assertEqual(conn.take().kind, "", data)
            return reply.raw

    def test_requests_that_never_end_are_closed(self):
        store = self.store()
        whole = encode("SET", "half", "x" * 100000)
        before = store.memory_kib()
        with bystander(store.address) as served:
            start = time.monotonic()
            stalled = [Resp(store.address) for _ in range(4)]
            for conn, count in zip(stalled, (1, 3, 30, 90000)):
                conn.send(whole[:count])
            for conn in stalled:
                self.assertEqual(conn.take().kind, "")
                conn.close()
            took = time.monotonic() - start
        self.assertGreater(took, STALL_S * 0.9)
        self.assertLess(took, STALL_S * 2 + 5)
        self.expect_served(store, served, before)

    def test_giant_lengths_are_refused_by_their_header(self):
        store = self.store()
        before = store.memory_kib()
        with bystander(store.address) as served:
            for data in (b"*1\r\n$536870912\r\n", b"*2147483647\r\n", b"*1\r\n$-5\r\n",
                         b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (VALUE_MAX + 1),
                         b"A" * (70 * 1024)):
                self.assertTrue(self.closes(store, data).startswith(b"-ERR Protocol error"), data)
        self.expect_served(store, served, before)

    def test_a_browser_cannot_be_made_to_send_commands(self):
        """A page may post anything to any port: what looks like HTTP is closed, and nothing behind
        it runs."""
        store = self.store()
        for line in (b"POST / HTTP/1.1", b"post / HTTP/1.1", b"GET / HTTP/1.1\r\nHost: 127.0.0.1"):
            with Resp(store.address) as conn:
                conn.send(line + b"\r\nContent-Length: 99\r\n\r\nSET stolen yes\r\n")
                while conn.take().kind != "":
                    pass
            with Resp(store.address) as conn:
                self.assertEqual(conn.ask("EXISTS", "stolen").value, 0, line)
        store.wait_for_line("looks like HTTP")

    def test_a_request_of_many_large_arguments_is_bounded(self):
        """Each argument is allowed, all of them together are not."""
        store = self.store()
        before = store.memory_kib()
        pair = b"$1\r\nk\r\n$%d\r\n" % VALUE_MAX + b"x" * VALUE_MAX + b"\r\n"
        with bystander(store.address) as served:
            with Resp(store.address) as conn:
                try:
                    conn.send(b"*65\r\n$4\r\nMSET\r\n")
                    for _ in range(32):
                        conn.send(pair)
                except OSError:
                    pass  # closed before all was sent
                kinds = [conn.take().kind, conn.take().kind]
        self.assertIn(kinds, (["-", ""], ["", ""]))
        self.expect_served(store, served, before)

    def test_readers_that_never_read_are_closed(self):
        store = self.store()
        with Resp(store.address) as conn:
            self.assertEqual(conn.ask("SET", "big", "x" * VALUE_MAX).raw, b"+OK\r\n")
        before = store.memory_kib()
        name = 'satchel_net_connections_closed_total{reason="stalled"}'
        with bystander(store.address) as served:
            sockets = []
            for _ in range(OFFENDERS):
                conn = Resp(store.address)
                conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                conn.socket.setblocking(False)
                try:
                    conn.socket.send(encode("GET", "big") * 500)
                except BlockingIOError:
                    pass
                sockets.append(conn)
            wait_until(lambda: store.metric(name) >= OFFENDERS, "those who do not read are closed")
            for conn in sockets:
                conn.close()
        self.expect_served(store, served, before, OFFENDERS * 6 + GROWTH_MIB_MAX)

    def test_transactions_without_end_are_refused(self):
        store = self.store()
        before = store.memory_kib()
        value = "x" * VALUE_MAX
        with bystander(store.address) as served:
            with Resp(store.address) as conn:
                conn.ask("MULTI")
                replies = []
                while len(replies) < 200 and (not replies or replies[-1] == b"+QUEUED\r\n"):
                    replies.append(conn.ask("SET", "k", value).raw)
                self.assertEqual(replies[-1], b"-ERR the transaction is too large\r\n")
                self.assertLess(len(replies), 100)
                self.assertTrue(conn.ask("EXEC").raw.startswith(b"-EXECABORT"))
                self.assertEqual(conn.ask("EXISTS", "k").value, 0)
        self.expect_served(store, served, before, 192)  # what the allocator keeps included

    def test_many_transactions_together_are_bounded(self):
        store = self.store()
        value = "x" * VALUE_MAX
        before = store.memory_kib()
        with bystander(store.address) as served:
            conns = [Resp(store.address) for _ in range(8)]
            refused = 0
            for conn in conns:
                conn.ask("MULTI")
                for _ in range(50):
                    refused += conn.ask("SET", "k", value).kind == "-"
            self.assertGreater(refused, 0)
            if not OPTIONS.sanitized:  # buffers double as they grow
                self.assertLess((store.memory_kib() - before) / 1024, 2 * 256 + GROWTH_MIB_MAX)
            for conn in conns:
                conn.close()
            with Resp(store.address) as conn:  # what the others held is free again
                wait_until(lambda: conn.ask("MULTI").kind and all(
                    [conn.ask("SET", "k", value).kind == "+" for _ in range(40)]
                    + [conn.ask("DISCARD").kind == "+"]), "there is room again")
        self.expect_served(store, served, before, 320)

    def test_strangers_collect_nothing(self):
        file = self.enterContext(tempfile.NamedTemporaryFile())
        file.write(b"correct horse battery\n")
        file.flush()
        store = self.store("--token-file", file.name)
        self.assertEqual(self.closes(store, b"*1\r\n$20000\r\n"),
                         b"-ERR Protocol error: unauthenticated bulk length\r\n")
        self.assertEqual(self.closes(store, b"*11\r\n"),
                         b"-ERR Protocol error: unauthenticated multibulk length\r\n")
        with Resp(store.address) as conn:
            self.assertEqual(conn.ask("GET", "a").raw, b"-NOAUTH Authentication required.\r\n")
            self.assertTrue(conn.ask("AUTH", "wrong").raw.startswith(b"-WRONGPASS"))
            self.assertEqual(conn.ask("AUTH", "correct horse battery").raw, b"+OK\r\n")
            self.assertEqual(conn.ask("SET", "a", "b").raw, b"+OK\r\n")
        self.assertNotIn("correct horse", store.log())

    def test_ten_thousand_idle_connections_cost_little(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        store = self.enterContext(Satcheld(OPTIONS.satcheld))
        for conn in [Resp(store.address) for _ in range(64)]:
            conn.ask("PING")
            conn.close()  # what serving needs once is not counted
        before = store.memory_kib()
        idle = []
        with bystander(store.address) as served:
            while len(idle) < IDLE_CONNECTIONS:
                idle.append(Resp(store.address))
                self.assertEqual(idle[-1].ask("PING").raw, b"+PONG\r\n")
            wait_until(lambda: len(served.took_s) > 2000, "the bystander is served")
        each = (store.memory_kib() - before) / IDLE_CONNECTIONS
        print(f"\n{IDLE_CONNECTIONS} idle connections: {each:.2f} KiB each; another client meanwhile: "
              f"p99 {served.p99_ms():.2f} ms", flush=True)
        if not OPTIONS.sanitized:
            self.assertLessEqual(each, IDLE_KIB_MAX)
            self.assertLess(served.p99_ms(), P99_MS_MAX)
        for conn in idle[::500]:  # they are idle, not forgotten
            self.assertEqual(conn.ask("PING").raw, b"+PONG\r\n")
        for conn in idle:
            conn.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--sanitized", action="store_true")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=1)
