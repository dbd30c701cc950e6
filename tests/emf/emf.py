#!/usr/bin/python3
"""emf.py --satcheld PATH --npm DIRECTORY [--seconds N]: metrics for CloudWatch.

Every line that a server under load sends is checked against the JSON schema and the limits that it
misses, and all together against /metrics; to standard output, to an agent that goes and returns, and
to a pipe that nobody reads. --seconds: how long it is under load, instead of a few seconds; the pipe is
blocked for a tenth of that, at most a minute, and the times of requests then are compared with those before.
"""

import argparse
import fcntl
import os
import re
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from ecs_agent import METADATA, TASK_ID, EcsAgent  # noqa: E402
from emf_lines import Agent, BadLine, Lines, check, require  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402
from steady_load import SteadyLoad, Yardstick, percentile  # noqa: E402

OPTIONS = None
HERE = Path(__file__).resolve().parent
SHORT_S = 4
STOP_S_MAX = 5  # with nobody who reads: half a second for the lines, the rest for a busy machine
BLOCKED_S_MAX = 60
GO_ON_S_MAX = 2
QUEUE_BYTES = 16384
PIPE_BYTES = 4096
MEMORY_KIB_MAX = 4096  # that a blocked receiver may cost
# What asking for /metrics, a timer, or the end itself counts up.
MOVING = ("satchel_ops_", "satchel_emf_", "satchel_net_", "satchel_lease_", "satchel_checkpoint",
          "satchel_journal_segments", "process_")


def emf_key(series):
    """The name and the op of a series of /metrics, by the rule of docs/metrics.md."""
    name, labels = re.fullmatch(r"(\w+?)(?:_total)?(?:\{(.*)\})?", series).groups()
    pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels or ""))
    op = pairs.pop("op", None)
    words = "_".join([name.removeprefix("satchel_").removesuffix("_seconds"), *pairs.values()])
    return "".join(word[0].upper() + word[1:] for word in words.split("_")), op


def read_metrics(text):
    """Of /metrics: {series: value} of all counters, and {series: (cumulative buckets, sum)} of all
    histograms, whose series are those of their sums without `_sum`."""
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    counters, histograms = {}, {}
    for series, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M):
        name = series.split("{")[0]
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        if types.get(name) == "counter":
            counters[series] = float(value)
        elif types.get(family) == "histogram":
            whole = re.sub(r',?le="[^"]*"', "", series).replace(name, family, 1).removesuffix("{}")
            buckets, total = histograms.get(whole, ([], 0.0))
            if name.endswith("_bucket"):
                buckets = buckets + [float(value)]
            histograms[whole] = (buckets, float(value) if name.endswith("_sum") else total)
    return counters, histograms


def settled_metrics(store):
    """What /metrics says when as many requests were timed as were counted: a request is timed a
    moment after its client may have the reply."""
    def ask():
        text = store.ask_ops("/metrics")[1]
        counters, histograms = read_metrics(text)
        counted = sum(value for series, value in counters.items() if series.startswith("satchel_requests_"))
        timed = sum(buckets[-1] for series, (buckets, _) in histograms.items()
                    if series.startswith("satchel_request_seconds"))
        return text if counted == timed > 0 else None
    return wait_until(ask, "all requests are timed")


class Pipe:
    """Standard output of a server: read when somebody wants, or not at all."""

    def __init__(self, size=None):
        self.reading, self.writing = os.pipe()
        if size is not None:
            fcntl.fcntl(self.reading, fcntl.F_SETPIPE_SZ, size)
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)

    def _read(self):
        with os.fdopen(self.reading, "rb") as stream:
            for line in stream:
                self.lines.append(line.rstrip(b"\n"))

    def follow(self):
        self.thread.start()

    def rest(self):
        """After the server's end: all lines there were."""
        if not self.thread.ident:
            self.follow()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive(), "the pipe has no end"
        return self.lines


def check_by_schema(texts, npm):
    """All lines at once, by ajv, which is installed in `npm`. Raises BadLine."""
    told = subprocess.run(["node", HERE / "validate.js", HERE / "schema.json"], text=True,
                          input="".join(text.decode() + "\n" for text in texts), capture_output=True,
                          env={**os.environ, "NODE_PATH": f"{npm}/node_modules"},
                          timeout=120, check=False)
    require(told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:])
    return told.stdout.strip()


class EmfTest(unittest.TestCase):
    def new_store(self, *options, pipe=None, **environment):
        store = Satcheld(OPTIONS.satcheld, "--emf-interval", "1s", *options)
        store.environment = environment
        if pipe is not None:
            store.output = pipe.writing
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        store.start()
        if pipe is not None:
            os.close(pipe.writing)
        return store

    def check(self, texts):
        """All lines, by schema and limits; what they hold and their sums."""
        self.assertTrue(texts)
        checked = Lines(texts)
        print(f"\n  emf: {check_by_schema(texts, OPTIONS.npm)}, "
              f"the longest has {max(map(len, texts))} bytes")
        return checked

    def check_sums(self, checked, metrics):
        """What CloudWatch would add up is what /metrics had said."""
        counters, histograms = read_metrics(metrics)
        compared = 0
        for series, value in counters.items():
            key = emf_key(series)
            self.assertGreaterEqual(checked.sums[key] + 1e-9, value, series)
            if not series.startswith(MOVING):
                self.assertEqual(checked.sums[key], value, series)
                compared += value > 0
        for series, (buckets, total) in histograms.items():
            if series.startswith(MOVING):
                continue
            name, op = emf_key(series)
            key = (name + "Latency", op)
            for number, below in enumerate(buckets[:-1]):  # the bounds are 1 us * 2^number
                sent = sum(n for at, n in checked.distributions[key].items() if at < 2 ** number)
                self.assertEqual(sent, below, f"{series} up to {2 ** number} us")
            self.assertAlmostEqual(checked.sums[key] / 1e6, total, places=6, msg=series)
            compared += buckets[-1] > 0
        print(f"  emf: {compared} sums and distributions equal /metrics")
        self.assertGreater(compared, 5)


class Output(EmfTest):
    def test_every_line_is_valid_and_the_sums_are_those_of_metrics(self):
        pipe = Pipe()
        store = self.new_store("--emf", "stdout", "--emf-service-name", 'my "shop"', pipe=pipe,
                               AWS_EMF_NAMESPACE="Shop/Test", AWS_EMF_LOG_GROUP_NAME="/ecs/shop",
                               **self.enterContext(EcsAgent()).environment())
        pipe.follow()
        with SteadyLoad(store.address):
            time.sleep(OPTIONS.seconds or SHORT_S)
        metrics = settled_metrics(store)
        self.assertEqual(store.terminate(), 0)
        checked = self.check(pipe.rest())
        self.check_sums(checked, metrics)
        for line in checked.lines:
            self.assertEqual((line["ServiceName"], line["TaskId"], line["Revision"]),
                             ('my "shop"', TASK_ID, METADATA["Revision"]))
            directive = line["_aws"]["CloudWatchMetrics"][0]
            self.assertEqual(directive["Namespace"], "Shop/Test")
            self.assertEqual(line["_aws"]["LogGroupName"], "/ecs/shop")
            self.assertEqual(directive["Dimensions"], [["ServiceName"]] + (
                [["ServiceName", "Op"]] if "Op" in line else []))
        self.assertEqual({"hello", "set", "delete", "change", "other"},
                         {line["Op"] for line in checked.lines if "Op" in line})

    def test_arrays_are_within_the_published_format(self):
        pipe = Pipe()
        store = self.new_store("--emf", "stdout", "--emf-histogram", "array", pipe=pipe)
        pipe.follow()
        with SteadyLoad(store.address):
            time.sleep(2)
        self.assertEqual(store.terminate(), 0)
        checked = self.check(pipe.rest())
        self.assertTrue(any(isinstance(line.get("JournalFlushLatency"), list) for line in checked.lines))
        self.assertFalse(any(isinstance(value, dict) for line in checked.lines
                             for name, value in line.items() if name != "_aws"))

    def test_a_reader_that_goes_away_stops_nothing(self):
        pipe = Pipe()
        store = self.new_store("--emf", "stdout", pipe=pipe)
        os.close(pipe.reading)
        store.wait_for_line("emf: metrics cannot be written")
        with native.Connection(store.address) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
        wait_until(lambda: store.metric("satchel_emf_dropped_lines_total") > 0, "lines are dropped")
        self.assertEqual(store.terminate(), 0)


class Blocked(EmfTest):
    def test_nobody_reads_and_nobody_waits(self):
        """Requests go on, memory is bounded, what is dropped is counted; and nothing of the sums is
        lost when somebody reads again."""
        pipe = Pipe(PIPE_BYTES)
        store = self.new_store("--emf", "stdout", "--emf-queue", str(QUEUE_BYTES), pipe=pipe)
        seconds = min((OPTIONS.seconds or 0) / 10, BLOCKED_S_MAX)
        other, reader = os.dup(pipe.reading), threading.Event()

        def read_all(into):
            while not reader.is_set():
                into.append(os.read(other, 65536))

        with SteadyLoad(store.address, rate_hz=100) as load, Yardstick(load, store.directory) as machine:
            early = []
            thread = threading.Thread(target=read_all, args=(early,))
            thread.start()
            with load.phase("read"):
                time.sleep(max(seconds, SHORT_S))
            reader.set()
            thread.join()
            begun_kib = store.memory_kib()
            with load.phase("blocked"):
                time.sleep(seconds)
                wait_until(lambda: store.metric("satchel_emf_dropped_lines_total") > 0,
                           "lines are dropped", deadline_s=2 * DEADLINE_S)
            grown_kib = store.memory_kib() - begun_kib
            waiting = store.metric("satchel_emf_waiting_bytes")
        self.assertLessEqual(waiting, QUEUE_BYTES)
        print(f"\n  emf: a blocked output costs {grown_kib} KiB", end="")
        for name in ("read", "blocked"):
            told = [percentile(times.latencies_s(name), 0.99) * 1000 for times in (load, machine)]
            print(f"\n  emf: p99 of a change while the output is {name}: {told[0]:.1f} ms, of a file "
                  f"synced beside it {told[1]:.1f} ms", end="")
        before, after = (percentile(load.latencies_s(name), 0.99) for name in ("read", "blocked"))
        grown = percentile(machine.latencies_s("blocked"), 0.99) \
            / percentile(machine.latencies_s("read"), 0.99)
        # A few seconds of a busy disk say only whether requests go on at all.
        self.assertLess(after, 2 * before * max(grown, 1) + 0.02 if OPTIONS.seconds else GO_ON_S_MAX,
                        "a blocked output slows requests")
        if not OPTIONS.sanitized:
            self.assertLess(grown_kib, MEMORY_KIB_MAX)
        # Somebody reads again: the next lines hold all that was counted meanwhile.
        dropped = store.metric("satchel_emf_dropped_lines_total")
        pipe.follow()
        wait_until(lambda: store.metric("satchel_emf_waiting_bytes") == 0, "the queue is empty")
        metrics = settled_metrics(store)
        self.assertEqual(store.terminate(), 0)
        os.close(other)
        texts = (b"".join(early) + b"\n".join(pipe.rest())).splitlines()
        checked = self.check(texts)
        self.check_sums(checked, metrics)
        self.assertEqual(checked.sums["EmfDroppedLines", None], dropped)

    def test_sigterm_ends_it_in_time(self):
        pipe = Pipe(PIPE_BYTES)
        store = self.new_store("--emf", "stdout", "--emf-queue", str(QUEUE_BYTES), pipe=pipe)
        with native.Connection(store.address) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
        wait_until(lambda: store.metric("satchel_emf_waiting_bytes") > 0, "lines wait")
        start = time.monotonic()
        self.assertEqual(store.terminate(), 0)
        took_s = time.monotonic() - start
        print(f"\n  emf: stopped in {took_s:.1f} s while nobody read")
        self.assertLess(took_s, STOP_S_MAX)
        self.assertTrue(any("last metrics could not be written" in line for line in store.lines))
        Lines(pipe.rest())


class ToAgent(EmfTest):
    def test_an_agent_goes_and_returns(self):
        agent = Agent()
        self.addCleanup(agent.close)
        store = self.new_store("--emf", "agent", AWS_EMF_AGENT_ENDPOINT=agent.target)
        wait_until(lambda: len(agent.texts) > 1, "it sends")
        self.assertEqual(agent.accepted, 1)
        agent.close()
        store.wait_for_line("emf: metrics cannot be written to=agent")
        with native.Connection(store.address) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
        agent.open()
        wait_until(lambda: agent.accepted >= 2, "it connects again")
        metrics = settled_metrics(store)
        self.assertEqual(store.terminate(), 0)
        agent.close()
        checked = self.check(agent.texts)
        self.assertEqual({line["_aws"]["LogGroupName"] for line in checked.lines}, {"satchel-metrics"})
        self.assertIn('satchel_requests_total{op="set"} 1', metrics)
        self.assertEqual(checked.sums["Requests", "set"], 1)

    def test_nobody_is_there(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        store = self.new_store("--emf", f"tcp://127.0.0.1:{port}")
        wait_until(lambda: store.metric("satchel_emf_connections_total") > 1, "it tries again")
        with native.Connection(store.address) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
        start = time.monotonic()
        self.assertEqual(store.terminate(), 0)
        self.assertLess(time.monotonic() - start, STOP_S_MAX)


class TheChecks(unittest.TestCase):
    """A check that cannot fail is none."""

    GOOD = ('{"_aws":{"Timestamp":%d,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["S"]],'
            '"Metrics":[{"Name":"A","Unit":"Count"}]}]},"S":"s","A":1}')

    def line(self, old="", new=""):
        assert old in self.GOOD
        return (self.GOOD.replace(old, new) % int(time.time() * 1000)).encode()

    def test_bad_lines_are_found(self):
        check(self.line())
        distribution = '"A":{"Values":[1],"Counts":[%d],"Min":0,"Max":2,"Count":2,"Sum":2}'
        check(self.line('"A":1', distribution % 2))
        unsorted = '"A":{"Values":[2,1],"Counts":[1,1],"Min":0,"Max":2,"Count":2,"Sum":3}'
        many = ",".join('{"Name":"A%d"}' % n for n in range(101))
        for old, new in (('"A":1', '"B":1'), ('"A":1', '"A":1,"A":1'), ('"A":1', '"A":NaN'),
                         ('"A":1', '"A":1e300'), ('"A":1', '"A":true'), ('"A":1', '"A":"1"'),
                         ('"A":1', '"A":[%s]' % ",".join("1" * 101)), ('"S":"s"', '"S":1'),
                         ('"A":1', distribution % 1), ('"A":1', unsorted), ('"Count"', '"ms"'), ("{", "{{"),
                         ('"S":"s"', '"S":"%s"' % ("s" * 17000)),
                         ('{"Name":"A","Unit":"Count"}', many), ("%d", "%d000")):
            with self.subTest(new=new[:60]), self.assertRaises(BadLine):
                check(self.line(old, new))

    def test_a_metric_has_one_unit(self):
        with self.assertRaises(BadLine):
            Lines([self.line(), self.line('"Count"', '"Bytes"')])

    def test_the_schema_finds_its_own(self):
        check_by_schema([self.line()], OPTIONS.npm)
        for old, new in (('"Count"', '"ms"'), ('[["S"]]', '["S"]'), ('"N"', '""'), ("%d", '"%d"')):
            with self.subTest(new=new), self.assertRaises(BadLine):
                check_by_schema([self.line(old, new)], OPTIONS.npm)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--npm", required=True, help="where packages are installed, if need be")
    PARSER.add_argument("--seconds", type=float)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    subprocess.run([HERE.parent / "clients" / "install-npm", OPTIONS.npm, HERE], check=True)
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
