#!/usr/bin/python3
"""bench_peers.py --bin DIR: the comparison really runs, and fails with a line that says why.

Its floor server answers right, too, and a wrong value in it is seen. One short round against every
kind of server; those that are not installed are skipped by the comparison itself, which says so.
Nothing is concluded from the figures.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from harness import load, machine, server, servers, table  # noqa: E402

import native  # noqa: E402  tests/support, found through harness.server

OPTIONS = None
DEADLINE_S = 250
SMALL = ("--rounds", "1", "--seconds", "0.3", "--keys", "500", "--quick")


def lying_null_server(directory):
    """The null server, said to keep what it is given; not started."""
    kind = server.Kind("null", "lies", servers.NullServer, servers.ONE_WORKER)
    return servers.NullServer(kind, server.Programs(OPTIONS.bin), directory, machine.all_cores())


class Peers(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.out = self.directory / "out"
        self.data = self.directory / "data"
        self.data.mkdir()

    def bench(self, program, *arguments, programs=None, path=None):
        environment = os.environ | ({"PATH": path} if path is not None else {})
        done = subprocess.run(
            [sys.executable, str(ROOT / "bench" / program), "--bin", str(programs or OPTIONS.bin),
             "--data", str(self.data), "--out", str(self.out), *arguments],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment)
        return done.returncode, done.stdout, done.stderr

    def measured(self, series):
        found = {}
        for path in (self.out / series).glob("*.json"):
            one = json.loads(path.read_text(encoding="utf-8"))
            found[one["server"]] = one
        return found

    def test_the_store_alone_does_its_updates(self):
        done = subprocess.run(
            [os.path.join(OPTIONS.bin, "store_updates"), str(self.data), "500", "200", "10", "512"],
            input="\n" * 3, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()],
                         ["loaded", "updated", "closed"])

    def test_every_server_is_measured_and_leaves_nothing_behind(self):
        status, told, why = self.bench("peers", *SMALL, "--series", "mixed-p1")
        self.assertEqual(status, 0, told + why)
        skipped = json.loads((self.out / "run.json").read_text(encoding="utf-8"))["notes"]
        expected = {name for name in table.ALL
                    if not any((servers.KINDS[name].server.package or "-") in line
                               for line in skipped)}
        self.assertLessEqual({"null", "floor", "satchel-fast", "satchel-durable"}, expected)
        found = self.measured("mixed-p1")
        self.assertEqual(set(found), expected)
        for name, one in found.items():
            result = one["load"]["result"]
            self.assertGreater(one["figures"]["cpu_us_per_op"], 0, name)
            self.assertGreater(one["figures"]["ops_per_s"], 0, name)
            self.assertGreater(result["histograms_us"]["get"][0][1], 0, name)
            self.assertEqual(result["errors"], 0, name)
            # Every GET found a session, and its value was right.
            if name != "null":
                self.assertEqual(result["misses"], 0, name)
                self.assertGreater(result["verified_gets"], 0, name)
        self.assertEqual(list(self.data.iterdir()), [])
        self.assertEqual(self.left_running(), [])
        done = subprocess.run([sys.executable, str(ROOT / "bench" / "report"), str(self.out)],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.out / "report.md").read_text(encoding="utf-8")
        self.assertIn("null server", text)
        self.assertRegex(text, r"\| CPU/op, mixed, no pipelining: fast \| ≤ 1\.08 ×"
                               r"( \| [0-9.]+ ×){6} \|")

    def left_running(self):
        """Processes that still have our directory in their command line."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self.data).encode() in path.read_bytes():
                    found.append(path.parent.name)
            except OSError:
                pass
        return found

    def test_a_server_that_is_not_installed_is_one_line(self):
        """Here none is: the search path has nothing but tools."""
        status, told, why = self.bench("peers", *SMALL, "--series", "set-p1", "--server",
                                       "redis-always", "--server", "satchel-durable",
                                       path=self.without_peers())
        self.assertEqual(status, 0, told + why)
        self.assertIn("skipped: redis-server is not installed (package redis-server)", told)
        self.assertEqual(set(self.measured("set-p1")), {"satchel-durable"})

    def without_peers(self):
        """A directory with nothing but what the comparison itself calls."""
        tools = self.directory / "tools"
        tools.mkdir()
        for name in ("taskset", "git"):
            for directory in os.environ["PATH"].split(":"):
                if (Path(directory) / name).exists():
                    (tools / name).symlink_to(Path(directory) / name)
                    break
        return str(tools)

    def test_bad_arguments_and_missing_programs_are_said(self):
        for arguments, words in ((("--rounds", "0"), "--rounds"), (("--seconds", "x"), "--seconds"),
                                 (("--series", "none"), "--series"),
                                 (("--quick", "--full"), "not allowed"), (("--what",), "--what")):
            status, _, why = self.bench("peers", *arguments)
            self.assertEqual((status, words in why, "Traceback" in why), (2, True, False), why)
        status, _, why = self.bench("peers", *SMALL, programs=self.directory)
        self.assertEqual((status, why.count("\n")), (1, 1), why)
        self.assertIn("satchel-bench is not built", why)

    def test_a_server_that_does_not_start_is_an_error_with_its_log(self):
        programs = self.directory / "bin"
        programs.mkdir()
        (programs / "satchel-bench").symlink_to(Path(OPTIONS.bin) / "satchel-bench")
        broken = programs / "satcheld"
        broken.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 9\n", encoding="ascii")
        broken.chmod(0o755)
        status, _, why = self.bench("peers", *SMALL, "--series", "set-p1", programs=programs)
        self.assertEqual(status, 1, why)
        self.assertIn("satchel-durable ended with 9", why)
        self.assertIn("no such luck", why)
        self.assertNotIn("Traceback", why)

    def test_a_wrong_value_is_no_figure(self):
        """The null server answers a constant; taken for one that keeps what it is given, it lies."""
        with lying_null_server(str(self.data)) as null:
            with self.assertRaisesRegex(server.Failed, "wrong value"):
                load.run(server.Programs(OPTIONS.bin), null,
                         {"keys": 100, "seconds": 0.2, "warmup": 0, "value-bytes": 512},
                         machine.all_cores())


class FloorServer(unittest.TestCase):
    """It is a store only for the load, but what it says has to be true."""

    VALUE = bytes(range(256)) * 2

    def serve(self, name="floor", sessions=100):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        one = servers.make(name, server.Programs(OPTIONS.bin), directory, machine.all_cores(),
                           sessions=sessions)
        return self.enterContext(one)

    def connect(self, floor):
        return self.enterContext(native.Connection(floor.address))

    def load(self, target, **options):
        return load.run(server.Programs(OPTIONS.bin), target,
                        {"warmup": 0, "value-bytes": len(self.VALUE), **options},
                        machine.all_cores())["result"]

    def test_what_was_set_is_got(self):
        conn = self.connect(self.serve())
        for number in range(100):
            self.assertEqual(conn.set(b"id %d" % number, self.VALUE), native.OK)
        other = self.VALUE[::-1]
        self.assertEqual(conn.set(b"id 7", other), native.OK)
        for number in range(100):
            self.assertEqual(conn.get(b"id %d" % number), other if number == 7 else self.VALUE)
        self.assertEqual(conn.ask(native.GET, native.tag(native.ID, b"id")).status,
                         native.NOT_FOUND)

    def test_more_requests_than_a_batch_are_answered_in_order(self):
        conn = self.connect(self.serve())
        frames = b"".join(
            native.frame(native.SET, native.tag(native.ID, b"%d" % (number % 50))
                         + native.tag(native.VALUE, b"%04d" % number), request=number)
            for number in range(100))
        conn.send(frames[:1000])  # ends inside a request
        self.assertEqual(conn.take().request, 0)  # so that the rest arrives later
        conn.send(frames[1000:])
        self.assertEqual([conn.take().request for _ in range(99)], list(range(1, 100)))
        for number in range(50):
            self.assertEqual(conn.get(b"%d" % number), b"%04d" % (number + 50))

    def test_what_it_does_not_do_is_refused(self):
        conn = self.connect(self.serve(sessions=2))
        for key in (b"a", b"b"):
            self.assertEqual(conn.set(key, self.VALUE), native.OK)
        self.assertEqual(conn.set(b"a", self.VALUE + b"x"), native.UNSUPPORTED)
        self.assertEqual(conn.set(b"c", self.VALUE), native.NO_SPACE)
        self.assertEqual(conn.set(b"b", self.VALUE[::-1]), native.OK)
        self.assertEqual(conn.get(b"a"), self.VALUE)
        self.assertEqual(conn.ask(native.DELETE, native.tag(native.ID, b"a")).status,
                         native.UNSUPPORTED)
        self.assertEqual(conn.ask(native.SET, native.tag(native.ID, b"a")).status,
                         native.UNSUPPORTED)
        self.assertEqual(conn.ask(native.GET).status, native.BAD_REQUEST)
        self.assertEqual(conn.ping(), native.OK)

    def test_what_cannot_be_followed_ends_the_connection(self):
        floor = self.serve()
        for junk in (b"GET / HTTP/1.1\r\n\r\n....", native.frame(native.GET, b"\0" * 7),
                     native.header(native.SET, 1 << 20)):
            conn = self.connect(floor)
            conn.send(junk)
            self.assertIsNone(conn.take())

    def test_two_workers_do_not_tear_values_apart(self):
        """Few sessions, so that both are at the same one often. The load checks each value."""
        result = self.load(self.serve("floor-2-workers"), keys=2, seconds=1, pipeline=16, threads=2,
                           mix="get 50, set 50")
        self.assertGreater(result["verified_gets"], 0)
        self.assertEqual((result["errors"], result["misses"]), (0, 0))

    def test_a_wrong_value_is_seen(self):
        # The null server is always wrong; the complaint names the session that is asked for.
        null = lying_null_server(self.enterContext(tempfile.TemporaryDirectory()))
        only = {"keys": 1, "seconds": 0.1, "mix": "get 1"}
        with null, self.assertRaisesRegex(server.Failed, "wrong value") as caught:
            self.load(null, **only)
        key = re.search(r"get of (\S+): wrong value", str(caught.exception))[1].encode()
        floor = self.serve()
        self.load(floor, **only)
        self.load(floor, **only, preload="no")
        self.assertEqual(self.connect(floor).set(key, self.VALUE), native.OK)
        with self.assertRaisesRegex(server.Failed, "wrong value"):
            self.load(floor, **only, preload="no")


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--bin", required=True)
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
