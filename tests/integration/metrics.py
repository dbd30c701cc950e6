#!/usr/bin/python3
"""metrics.py --satcheld PATH: the metrics of a live store, as those who collect them understand them.

Prometheus' text and OpenMetrics by strict readers and by a real Prometheus; StatsD's dialects by a
listener that takes every packet apart. (statsd.py has a real StatsD server.)
"""

import argparse
import http.client
import math
import re
import shutil
import socket
import subprocess
import sys
import threading
import unittest
from collections import Counter, defaultdict
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402
from prometheus import Prometheus  # noqa: E402

OPTIONS = None
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# What Prometheus 2.42 sends.
PROMETHEUS_ACCEPT = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
                     "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
SETS = 300
PACKET_BYTES_MAX = 1432


class StoreTest(unittest.TestCase):
    def start_store(self, *options):
        """A store with `SETS` changes behind it; ended with the test."""
        store = self.enterContext(Satcheld(OPTIONS.satcheld, *options))
        with Connection(store.address) as conn:
            for n in range(SETS):
                self.assertEqual(conn.set(b"k%d" % n, b"v"), native.OK)
        return store


def scrape(store, accept):
    """The type and the text of /metrics."""
    connection = http.client.HTTPConnection(store.ops, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


def series(families):
    """The names and labels of all samples."""
    return [(sample.name, tuple(sorted(sample.labels.items())))
            for family in families for sample in family.samples]


class Exposition(StoreTest):
    def check_histogram(self, family):
        """Bounds ascend, counts do not fall, the last one is +Inf and equals _count."""
        groups = defaultdict(list)
        counts = {}
        for sample in family.samples:
            labels = dict(sample.labels)
            bound = labels.pop("le", None)
            key = tuple(sorted(labels.items()))
            if sample.name.endswith("_bucket"):
                groups[key].append((float(bound), sample.value))
            elif sample.name.endswith("_count"):
                counts[key] = sample.value
        self.assertEqual(groups.keys(), counts.keys(), family.name)
        for key, buckets in groups.items():
            bounds, values = zip(*buckets)
            self.assertEqual(list(bounds), sorted(set(bounds)), family.name)
            self.assertEqual(list(values), sorted(values), family.name)
            self.assertEqual(buckets[-1], (math.inf, counts[key]), family.name)
        return sum(counts.values())

    def test_both_formats_are_understood_and_say_the_same(self):
        store = self.start_store()
        kind, text = scrape(store, "text/plain")
        self.assertEqual(kind, TEXT)
        kind, openmetrics = scrape(store, PROMETHEUS_ACCEPT)
        self.assertEqual(kind, OPENMETRICS)
        told = subprocess.run([shutil.which("promtool"), "check", "metrics"], input=text,
                              capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        self.assertEqual((told.returncode, told.stdout, told.stderr), (0, "", ""))
        strict = list(read_openmetrics(openmetrics))  # raises for what is not OpenMetrics
        self.assertEqual(series(strict), series(read_text(text)))
        families = {family.name: family for family in strict}
        waited = [self.check_histogram(family) for family in strict if family.type == "histogram"]
        self.assertGreater(len(waited), 2)
        self.assertGreaterEqual(self.check_histogram(families["satchel_durable_wait_seconds"]), SETS)
        for name, kind, unit in (("satchel_requests", "counter", ""), ("satchel_sessions", "gauge", ""),
                                 ("satchel_net_sent_bytes", "counter", "bytes"), ("satchel_build", "info", ""),
                                 ("process_cpu_seconds", "counter", "seconds"),
                                 ("satchel_durable_wait_seconds", "histogram", "seconds")):
            self.assertEqual((families[name].type, families[name].unit), (kind, unit), name)
        self.assertEqual([sample.value for sample in families["satchel_build"].samples], [1])

    def test_the_page_has_all_of_them(self):
        page = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
        written = set(re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE))
        told = re.findall("^# TYPE (.*) ", scrape(self.start_store(), "text/plain")[1], re.MULTILINE)
        self.assertEqual([name for name in told if name not in written], [])

    def test_a_browser_and_curl_get_text(self):
        store = self.start_store()
        for accept in ("*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "application/openmetrics-text;q=0"):
            self.assertEqual(scrape(store, accept)[0], TEXT, accept)

    def test_a_prometheus_scrapes_it(self):
        store = self.start_store()
        with Prometheus(store.ops) as prometheus:
            found = wait_until(lambda: prometheus.query('satchel_requests_total{op="set"}'), "it is scraped")
            self.assertEqual([value for _, value in found], [SETS])
            (target,) = prometheus.api("targets")["activeTargets"]
            self.assertEqual((target["health"], target["lastError"]), ("up", ""))
            self.assertEqual([value for _, value in prometheus.query("satchel_build_info")], [1])
            # It knows a unit only from OpenMetrics: that is what it asked for and got.
            (about,) = prometheus.api("metadata", metric="satchel_net_sent_bytes")["satchel_net_sent_bytes"]
            self.assertEqual((about["type"], about["unit"]), ("counter", "bytes"))
            (_, p99), = prometheus.query("histogram_quantile(0.99, satchel_durable_wait_seconds_bucket)")
            self.assertTrue(0 < p99 < DEADLINE_S, p99)


WORD = r"[A-Za-z0-9_-]+"
NUMBER = r"-?\d+(?:\.\d+)?"
RATE = r"(?:\|@(0\.\d+))?"
LINES = {
    "plain": re.compile(rf"({WORD}(?:\.{WORD})+):({NUMBER})\|(c|g|ms){RATE}"),
    "graphite": re.compile(rf"({WORD}\.{WORD}(?:;\w+=[\w.-]+)*):({NUMBER})\|(c|g|ms){RATE}"),
    "dogstatsd": re.compile(rf"({WORD}\.{WORD}):({NUMBER})\|(c|g|d){RATE}((?:\|#\w+:[\w.-]+(?:,\w+:[\w.-]+)*)?)"),
}
NAMES = {  # of the counter of sets, the sessions, and the waits, with their type
    "plain": ("satchel.requests.set", "satchel.sessions", "satchel.durable_wait_ms"),
    "graphite": ("satchel.requests;op=set", "satchel.sessions", "satchel.durable_wait_ms"),
    "dogstatsd": ("satchel.requests|#op:set", "satchel.sessions", "satchel.durable_wait_seconds"),
}


def address_of(bound):
    return f"127.0.0.1:{bound.getsockname()[1]}"


class Listener:
    """Takes packets from a UDP port until it is closed; the ones that are there then as well."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.address = address_of(self.socket)
        self.packets = []
        self.thread = threading.Thread(target=self._take, daemon=True)
        self.thread.start()

    def _take(self):
        while packet := self.socket.recv(65536):
            self.packets.append(packet)

    def close(self):
        """An empty packet from ourselves, behind all others, is the end."""
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(DEADLINE_S)
        self.socket.close()


class Statsd(StoreTest):
    def test_every_line_of_every_dialect_is_as_it_should_be(self):
        for dialect in LINES:
            with self.subTest(dialect):
                self.check_dialect(dialect)

    def check_dialect(self, dialect):
        listener = Listener()
        self.addCleanup(listener.socket.close)
        store = self.start_store("--statsd", listener.address, "--statsd-dialect", dialect,
                                 "--statsd-interval", "100ms")
        waits = store.metric("satchel_durable_wait_seconds_count")
        wait_until(lambda: len(listener.packets) > 50, "packets come")
        self.assertEqual(store.metric("satchel_statsd_lost_packets_total"), 0)
        self.assertEqual(store.terminate(), 0)
        listener.close()
        sums, gauges, events = self.add_up(dialect, listener.packets)
        sets, sessions, wait = NAMES[dialect]
        self.assertEqual(sums[sets], SETS)
        self.assertEqual(gauges[sessions], SETS)
        self.assertAlmostEqual(events[wait], waits, places=3)

    def add_up(self, dialect, packets):
        """What a receiver knows at the end: sums of counters, last gauges, numbers of timed events."""
        sums, gauges, events = Counter(), {}, Counter()
        for packet in packets:
            self.assertLess(len(packet), PACKET_BYTES_MAX)
            for line in packet.decode("ascii").split("\n"):
                match = LINES[dialect].fullmatch(line)
                self.assertTrue(match, line)
                name, value, kind, rate, *tags = match.groups()
                name += "".join(tags)
                if kind == "c":
                    sums[name] += float(value)
                    self.assertIsNone(rate, line)
                elif kind == "g":
                    gauges[name] = float(value)
                else:
                    events[name] += 1 / float(rate or 1)
        return sums, gauges, events

    def test_without_a_receiver_it_serves_and_counts(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = address_of(nobody)
        store = self.start_store("--statsd", address, "--statsd-interval", "100ms")
        wait_until(lambda: store.metric("satchel_statsd_lost_packets_total") > 3, "losses are counted")
        self.assertEqual(store.metric('satchel_requests_total{op="set"}'), SETS)
        store = self.start_store("--statsd", "no..where:8125", "--statsd-interval", "100ms")
        wait_until(lambda: store.metric("satchel_statsd_failed_lookups_total") > 1, "it looks again")
        self.assertEqual(len([line for line in store.lines if "statsd" in line]), 1, store.log())

    def test_options_that_cannot_be_used_are_named(self):
        for options in (("--statsd", "nowhere"), ("--statsd", "127.0.0.1:0"),
                        ("--statsd", "127.0.0.1:8125", "--statsd-prefix", "a b"),
                        ("--statsd-interval", "1ms"), ("--statsd-dialect", "collectd")):
            store = Satcheld(OPTIONS.satcheld, *options)
            self.addCleanup(store.clean_up)
            told = subprocess.run(store.command(), capture_output=True, text=True, timeout=DEADLINE_S,
                                  check=False)
            self.assertEqual(told.returncode, 2, told.stderr)  # unusable options
            self.assertIn(options[-2][2:], told.stderr)


def main():
    global OPTIONS  # pylint: disable=global-statement
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--satcheld", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
