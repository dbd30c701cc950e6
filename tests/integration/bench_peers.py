#!/usr/bin/python3
"""bench_peers.py --bin DIR: the comparison really runs, and fails with a line that says why.

One short round against every kind of server; those that are not installed are skipped by the
comparison itself, which says so. Nothing is concluded from the figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from harness import load, machine, server, servers, table  # noqa: E402

OPTIONS = None
DEADLINE_S = 250
SMALL = ("--rounds", "1", "--seconds", "0.3", "--keys", "500", "--quick")


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
        self.assertLessEqual({"null", "satchel-fast", "satchel-durable"}, expected)
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
        self.assertIn("null server", (self.out / "report.md").read_text(encoding="utf-8"))

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
        programs = server.Programs(OPTIONS.bin)
        kind = server.Kind("null", "lies", servers.NullServer)
        with servers.NullServer(kind, programs, str(self.data),
                                machine.all_cores()) as null:
            with self.assertRaisesRegex(server.Failed, "wrong value"):
                load.run(programs, null, {"keys": 100, "seconds": 0.2, "warmup": 0,
                                          "value-bytes": 512}, machine.all_cores())


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--bin", required=True)
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
