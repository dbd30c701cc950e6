#!/usr/bin/python3
"""statsd.py --satcheld PATH --node-modules PATH: a real StatsD server receives the metrics of a live store."""

import argparse
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from native import Connection  # noqa: E402
from processes import Satcheld, wait_until  # noqa: E402
from statsd_receiver import StatsdReceiver  # noqa: E402

OPTIONS = None
SETS = 1000


class Receiving(unittest.TestCase):
    def receive(self, dialect):
        """A receiver that has got everything of a store's life with `SETS` changes, and their waits."""
        receiver = self.enterContext(StatsdReceiver(OPTIONS.node_modules))
        store = self.enterContext(Satcheld(OPTIONS.satcheld, "--statsd", receiver.address,
                                           "--statsd-dialect", dialect, "--statsd-interval", "200ms"))
        with Connection(store.address) as conn:
            for n in range(SETS):
                self.assertEqual(conn.set(b"k%d" % (n % 10), b"v"), native.OK)
        waits = store.metric("satchel_durable_wait_seconds_count")
        self.assertEqual(store.terminate(), 0)  # the last gains go when it stops
        return receiver, waits

    def check(self, dialect, sets, sessions):
        receiver, waits = self.receive(dialect)
        wait_until(lambda: receiver.counters[sets] >= SETS, "all sets are received")
        receiver.wait_for_line("^flush ")
        self.assertEqual(receiver.counters[sets], SETS)
        self.assertEqual(receiver.gauges[sessions], 10)
        self.assertGreater(receiver.counters["statsd.metrics_received"], 100)
        self.assertEqual(receiver.counters["statsd.bad_lines_seen"], 0)
        return receiver, waits

    def check_timings(self, receiver, waits):
        self.assertAlmostEqual(receiver.timings["satchel.durable_wait_ms"], waits, places=3)
        values = receiver.timers["satchel.durable_wait_ms"]
        self.assertTrue(values and all(0 < value < 67109 for value in values), values)

    def test_plain(self):
        self.check_timings(*self.check("plain", "satchel.requests.set", "satchel.sessions"))

    def test_graphite(self):
        self.check_timings(*self.check("graphite", "satchel.requests;op=set", "satchel.sessions"))

    def test_dogstatsd(self):
        """It knows the tags of Datadog; distributions it takes for counters, so it says nothing of them."""
        self.check("dogstatsd", "satchel.requests;op=set", "satchel.sessions")


def main():
    global OPTIONS  # pylint: disable=global-statement
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--node-modules", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
