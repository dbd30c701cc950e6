#!/usr/bin/env python3
"""The store is killed under connections that speak the Redis protocol, and started again.

Each connection owns some keys and writes a rising number into them, pipelined: SET, INCR, HSET, and
pairs of keys by MULTI. What was acknowledged has to be there; what was not may be; and a pair is never
halved, whatever moment the kill came at.
"""

import argparse
import os
import random
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from processes import Satcheld  # noqa: E402
from resp import Resp, encode  # noqa: E402

OPTIONS = None
CONNECTIONS = 6
PIPELINED = 8
SEED = 20


class Writer(threading.Thread):
    """Writes 1, 2, 3 … until its connection ends, and knows what was acknowledged."""

    def __init__(self, address, number, next_value):
        super().__init__()
        self.address = address
        self.keys = [f"{kind}:{number}" for kind in ("string", "counter", "hash", "left", "right")]
        self.next_value = next_value
        self.acknowledged = next_value - 1
        self.wrong = None  # a reply that should not be

    def batch(self, value):
        """The requests that write a value, and their replies."""
        string, counter, hashed, left, right = self.keys
        requests = [("SET", string, value), ("INCR", counter), ("HSET", hashed, "field", value),
                    ("MULTI",), ("SET", left, value), ("SET", right, value), ("EXEC",)]
        return b"".join(encode(*request) for request in requests), len(requests)

    def run(self):
        try:
            with Resp(self.address) as conn:
                while True:
                    values = range(self.next_value, self.next_value + PIPELINED)
                    sent = [self.batch(value) for value in values]
                    self.next_value += PIPELINED
                    conn.send(b"".join(data for data, _ in sent))
                    for value, (_, count) in zip(values, sent):
                        for _ in range(count):
                            reply = conn.take()
                            if reply.kind == "":
                                return
                            if reply.kind == "-":
                                self.wrong = reply.raw
                                return
                        self.acknowledged = value
        except OSError:
            pass  # killed while it was written to


class RedisCrashTest(unittest.TestCase):
    def number(self, reply):
        self.assertNotEqual(reply.kind, "-", reply.raw)
        return int(reply.value or 0)

    def check(self, conn, writer):
        """What is there of one writer's keys; returns the value to go on behind."""
        string, counter, hashed, left, right = writer.keys
        found = {
            string: self.number(conn.ask("GET", string)),
            counter: self.number(conn.ask("GET", counter)),
            hashed: self.number(conn.ask("HGET", hashed, "field")),
            left: self.number(conn.ask("GET", left)),
        }
        for key, value in found.items():
            self.assertGreaterEqual(value, writer.acknowledged, f"{key} lost a change")
            self.assertLess(value, writer.next_value, f"{key} has what nobody wrote")
        self.assertEqual(found[left], self.number(conn.ask("GET", right)), "half a transaction")
        # The counter counts by itself: all go on from where it is.
        last = max(found.values())
        for key in (string, left, right):
            conn.ask("SET", key, last)
        conn.ask("SET", counter, last)
        conn.ask("HSET", hashed, "field", last)
        return last + 1

    def test_what_was_acknowledged_is_there_and_transactions_are_whole(self):
        chance = random.Random(SEED)
        next_values = [1] * CONNECTIONS
        acknowledged = 0
        store = Satcheld(OPTIONS.satcheld)
        self.addCleanup(store.clean_up)
        self.addCleanup(store.kill)
        store.start()
        for number in range(OPTIONS.rounds):
            writers = [Writer(store.address, i, value) for i, value in enumerate(next_values)]
            for writer in writers:
                writer.start()
            threading.Event().wait(chance.uniform(0.05, 0.4))  # the moment is the point
            store.kill()
            for writer, first in zip(writers, next_values):
                writer.join()
                self.assertIsNone(writer.wrong)
                acknowledged += writer.acknowledged - first + 1
            store.start()
            with Resp(store.address) as conn:
                next_values = [self.check(conn, writer) for writer in writers]
            self.assertGreater(acknowledged, 0, f"round {number}")
        print(f"{OPTIONS.rounds} rounds, {acknowledged * 7} acknowledgements, 0 lost", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=1)
