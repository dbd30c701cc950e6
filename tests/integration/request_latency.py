#!/usr/bin/python3
"""request_latency.py --satcheld PATH --fill PATH --fail-io PATH --slow-fs PATH: how long requests took.

satchel_request_seconds against what a client can know for sure: how many requests it has sent, a time
that none of them can have exceeded, and a time that those which were held up cannot have been under.
"""

import argparse
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from fail_io import FaultyStorage  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402
from resp import Resp, encode  # noqa: E402
from slow_fs import SlowFs  # noqa: E402

OPTIONS = None
HELD_S = 0.4
SESSIONS, VALUE_BYTES = 50000, 1000  # three times what memory holds
ASKED = 100  # of those


def get_frame(key, request=1):
    return native.frame(native.GET, native.tag(native.ID, key), request=request)


def set_frame(key, value):
    return native.frame(native.SET, native.tag(native.ID, key) + native.tag(native.VALUE, value))


class Told:
    """How many requests of each op there were since it was made, and the seconds they took."""

    def __init__(self, store):
        self.store = store
        self.before = self._now()

    def _now(self):
        return {(op, what): self.store.metric(f'satchel_request_seconds_{what}{{op="{op}"}}')
                for op in ("read", "change", "other") for what in ("count", "sum")}

    def counts(self):
        now = self._now()
        return tuple(now[op, "count"] - self.before[op, "count"] for op in ("read", "change", "other"))

    def seconds(self, op):
        return self._now()[op, "sum"] - self.before[op, "sum"]

    def wait_for(self, read, change, other):
        """A reply is counted a moment after its client may have it."""
        wait_until(lambda: self.counts() == (read, change, other),
                   f"{read} reads, {change} changes and {other} others are counted")


class RequestLatency(unittest.TestCase):
    def store(self, *options):
        return self.enterContext(Satcheld(OPTIONS.satcheld, *options))

    def total(self, store):
        _, text = store.ask_ops("/metrics")
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith("satchel_requests_total{"))

    def test_every_request_of_the_native_protocol_is_counted_once(self):
        store = self.store()
        told = Told(store)
        with Connection(store.address) as conn:
            conn.send(b"".join(set_frame(b"k%d" % n, b"v") for n in range(300)))
            conn.send(b"".join(get_frame(b"k%d" % n) for n in range(1000)))
            conn.send(native.frame(native.DELETE, native.tag(native.ID, b"k1")))
            for _ in range(1301):
                conn.take()
            self.assertEqual(conn.ping(), native.OK)
            self.assertEqual(len(conn.ids()), 299)  # a scan
        told.wait_for(1000, 301, 3)
        self.assertEqual(self.total(store), sum(told.counts()))
        self.assertGreater(told.seconds("read"), 0)

    def test_every_request_of_redis_is_counted_as_what_it_does(self):
        store = self.store()
        told = Told(store)
        with Resp(store.address) as conn:
            for commands, read, change, other in (
                    ([("PING",), ("SELECT", 0), ("SCAN", 0), ("NOSUCH",), ("DBSIZE",)], 0, 0, 5),
                    ([("SET", "k", "v")] * 16, 0, 16, 0),
                    ([("GET", "k"), ("MGET", "k", "l"), ("EXISTS", "k"), ("TTL", "k")], 4, 0, 0),
                    ([("GET", "k")] * 1000, 1000, 0, 0),
                    ([("EXPIRE", "k", 100), ("DEL", "l"), ("INCR", "n"), ("HSET", "h", "f", "v")], 0, 4, 0),
                    ([("MULTI",), ("GET", "k"), ("SET", "k", "w"), ("EXEC",)], 0, 1, 3),
                    ([("MULTI",), ("GET", "k"), ("EXEC",)], 1, 0, 2),
                    ([("MULTI",), ("SET", "k", "w"), ("DISCARD",)], 0, 0, 3),
                    ([("EVAL", "no such script", 1, "k")], 0, 1, 0)):
                with self.subTest(commands[-1]):
                    one = Told(store)
                    conn.send(b"".join(encode(*command) for command in commands))
                    for _ in commands:
                        conn.take()
                    one.wait_for(read, change, other)
        self.assertEqual(self.total(store), sum(told.counts()))

    def test_messages_to_subscribers_are_no_requests(self):
        store = self.store()
        with Resp(store.address) as listener, Resp(store.address) as speaker:
            told = Told(store)
            listener.send(encode("SUBSCRIBE", "news"))
            listener.take()
            for _ in range(10):
                speaker.send(encode("PUBLISH", "news", "hello"))
                speaker.take()
                listener.take()
            told.wait_for(0, 0, 11)
            self.assertEqual(told.counts(), (0, 0, 11))

    def hanging_store(self):
        """A store whose storage can be told to hang."""
        store = Satcheld(OPTIONS.satcheld)
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        storage = self.enterContext(SlowFs(OPTIONS.slow_fs))  # ends before the store, if it hangs
        store.data = storage.path("data")
        os.mkdir(store.data)
        store.start()
        return store, storage

    def test_a_change_waits_for_the_storage_and_a_read_beside_it_does_not(self):
        store, storage = self.hanging_store()
        with Connection(store.address) as writer, Connection(store.address) as reader, \
                Resp(store.address) as redis:
            self.assertEqual(reader.set(b"other", b"value"), native.OK)
            wait_until(lambda: store.metric("satchel_parked_replies") == 0, "nothing waits")
            told = Told(store)
            storage.be("hang=all")
            writer.send(set_frame(b"key", b"value"))
            redis.send(encode("SET", "k", "v") + encode("PING"))  # replies in order: both wait
            wait_until(lambda: store.metric("satchel_parked_replies") == 3, "they wait")
            begin = time.monotonic()
            for _ in range(100):
                self.assertEqual(reader.get(b"other"), b"value")
            reads_s = time.monotonic() - begin
            told.wait_for(100, 0, 0)
            time.sleep(HELD_S)  # not for luck: this is what they have to take
            held_s = time.monotonic() - begin
            storage.be("hang=none")
            self.assertEqual(writer.take().status, native.OK)
            self.assertEqual([redis.take().value, redis.take().value], [b"OK", b"PONG"])
        told.wait_for(100, 2, 1)
        self.assertGreater(told.seconds("change"), 2 * held_s)
        self.assertGreater(told.seconds("other"), held_s)
        self.assertLess(told.seconds("read"), reads_s)
        store.kill()

    def test_a_reply_to_nobody_is_not_counted(self):
        store, storage = self.hanging_store()
        with Connection(store.address) as reader:
            self.assertEqual(reader.set(b"other", b"value"), native.OK)
            storage.be("hang=all")
            told = Told(store)
            with Connection(store.address) as writer:
                writer.send(set_frame(b"key", b"value"))
                wait_until(lambda: store.metric("satchel_parked_replies") == 1, "it waits")
            wait_until(lambda: store.metric("satchel_net_connections") == 1, "its client is gone")
            storage.be("hang=none")
            wait_until(lambda: store.metric("satchel_parked_replies") == 0, "it is dropped")
            self.assertEqual(reader.get(b"key"), b"value")
            told.wait_for(1, 0, 1)  # the one that was gone has said HELLO
        store.kill()

    def test_a_read_takes_as_long_as_its_row_and_so_do_those_behind_it_in_redis(self):
        store = Satcheld(OPTIONS.satcheld, "--workers", "1", "--memory", "16m", "--checkpoint-interval", "50ms")
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        storage = FaultyStorage(OPTIONS.fail_io, store, "read_row")
        with storage.preloaded():
            store.start()
        subprocess.run([OPTIONS.fill, "load", "--server", store.address, "--sessions", str(SESSIONS),
                        "--value-bytes", str(VALUE_BYTES)], check=True, timeout=DEADLINE_S * 2,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(lambda: store.metric("satchel_dirty_sessions") == 0
                   and store.metric("satchel_memory_bytes") < 17 << 20, "values leave memory")
        keys = [b"session-%08d" % n for n in range(2 * ASKED)]
        with Connection(store.address) as conn, Resp(store.address) as redis:
            told = Told(store)
            received = store.metric("satchel_net_received_bytes_total")
            asked = [b"".join(get_frame(key, n) for n, key in enumerate(keys[:ASKED])),
                     b"".join(encode("GET", key) for key in keys[ASKED:]) + encode("PING")]
            storage.fault()
            conn.send(asked[0])
            redis.send(asked[1])
            wait_until(lambda: store.metric("satchel_net_received_bytes_total")
                       == received + len(b"".join(asked)), "all requests have come")
            begin = time.monotonic()
            time.sleep(HELD_S)  # not for luck: this is what they have to take
            held_s = time.monotonic() - begin
            done, _, others = told.counts()
            self.assertLess(done, 2 * ASKED)
            self.assertEqual(others, 0)
            storage.recover()
            for _ in range(ASKED):
                self.assertEqual(conn.take().status, native.OK)
            for _ in range(ASKED):
                self.assertEqual(len(redis.take().value), VALUE_BYTES)
            self.assertEqual(redis.take().value, b"PONG")
            told.wait_for(2 * ASKED, 0, 1)
            self.assertGreater(told.seconds("read"), (2 * ASKED - done) * held_s)
            self.assertGreater(told.seconds("other"), held_s)
        self.assertEqual(store.terminate(), 0)

    def test_a_peer_that_does_not_read_makes_its_replies_take_long(self):
        store = self.store()
        requests, value = 2000, b"x" * 64 * 1024
        with Connection(store.address, receive_bytes=64 * 1024) as conn:
            self.assertEqual(conn.set(b"large", value), native.OK)
            told = Told(store)
            conn.send(get_frame(b"large") * requests)
            wait_until(lambda: store.metric("satchel_net_choked_total") > 0, "it is not read from")
            time.sleep(HELD_S)  # not for luck: this is what they have to take
            self.assertLess(told.counts()[0], requests)
            for _ in range(requests):
                self.assertEqual(conn.take().value, value)
            told.wait_for(requests, 0, 0)
            self.assertGreater(told.seconds("read"), HELD_S)


def main():
    global OPTIONS  # pylint: disable=global-statement
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--fill", required=True)
    parser.add_argument("--fail-io", required=True)
    parser.add_argument("--slow-fs", default="", help="none: there is no FUSE to build it with")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
