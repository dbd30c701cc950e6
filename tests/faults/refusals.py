#!/usr/bin/python3
"""refusals.py --satcheld PATH: directories that a store must not start on, and a data file that may not grow.

Refused is: exit code 1, one line that names what is wrong, and every file as it was.
"""

import argparse
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402

OPTIONS = None
EXIT_STOPPED, EXIT_START = 0, 1
LMDB_VERSION_AT = 16 + 4  # in each of the two meta pages: page header, magic number
PAGE_BYTES = 4096


class StoreTest(unittest.TestCase):
    def new_store(self, *options):
        store = Satcheld(OPTIONS.satcheld, *options)
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        return store


class Refused(StoreTest):
    def killed_store(self, changes=6, value_bytes=400000):
        """One with rows, and behind them a journal of several segments."""
        store = self.new_store("--segment-bytes", "1m")
        store.start()
        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"in a row", b"r"), native.OK)
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        store.options = ("--segment-bytes", "1m", "--checkpoint-interval", "1h")
        store.start()
        # The first checkpoint comes at once, with what little there is.
        wait_until(lambda: store.metric("satchel_dirty_sessions") == 0, "a checkpoint is made")
        with Connection(store.address) as conn:
            for number in range(changes):
                self.assertEqual(conn.set(b"s%d" % number, b"v" * value_bytes), native.OK)
        store.kill()
        return store

    def segments(self, store):
        return sorted(Path(store.data, "journal").glob("*.jnl"))

    def data_file(self, store):
        return next(Path(store.data).glob("data-*.mdb"))

    def refused(self, store):
        """It has to refuse; returns the line."""
        def content():
            return {path: path.read_bytes() for path in Path(store.data).rglob("*")
                    if path.is_file() and path.name != "lease"}

        before = content()
        told = subprocess.run(
            [OPTIONS.satcheld, "--data", store.data, "--run-dir", store.run,
             "--listen", "127.0.0.1:0", "--ops", ""],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        lines = [line for line in told.stderr.splitlines()
                 if line.startswith("satcheld: ") or "storage failed" in line]
        self.assertEqual(told.returncode, EXIT_START, told.stderr)
        self.assertEqual(len(lines), 1, told.stderr)
        self.assertEqual(content(), before)
        return lines[0]

    def test_a_missing_segment(self):
        store = self.killed_store()
        missing = self.segments(store)[-2]
        os.rename(missing, store.directory + "/kept")
        self.assertIn("missing", self.refused(store))
        os.rename(store.directory + "/kept", missing)
        store.start()  # it was only that
        with Connection(store.address) as conn:
            self.assertEqual(conn.get(b"s5"), b"v" * 400000)

    def test_a_segment_of_another_store(self):
        store, other = self.killed_store(), self.killed_store()
        foreign = self.segments(other)[-1]
        shutil.copy(foreign, self.segments(store)[-1])
        self.assertIn(foreign.name, self.refused(store))

    def test_a_data_file_of_another_store(self):
        store, other = self.killed_store(), self.killed_store()
        shutil.copy(self.data_file(other), self.data_file(store))
        self.assertIn("another store", self.refused(store))

    def test_a_data_file_of_a_later_version(self):
        store = self.killed_store()
        with open(self.data_file(store), "r+b") as file:
            for page in (0, 1):
                file.seek(page * PAGE_BYTES + LMDB_VERSION_AT)
                file.write(b"\x02")
        self.assertIn(self.data_file(store).name, self.refused(store))

    def test_a_data_file_that_is_cut(self):
        store = self.killed_store()
        size = os.path.getsize(self.data_file(store))
        for length in (size - 1, size // 2, PAGE_BYTES, 1):
            with self.subTest(length=length):
                os.truncate(self.data_file(store), length)
                self.refused(store)


class FullMap(StoreTest):
    def test_a_data_file_that_may_not_grow_further_holds_up_no_reads_and_loses_nothing(self):
        """Changes are taken by the journal, until memory is full of them."""
        store = self.new_store("--map-size", "16m", "--memory", "24m",
                               "--checkpoint-interval", "50ms")
        store.start()
        with Connection(store.address) as conn:
            number = 0
            while (status := conn.set(b"s%d" % number, b"%d " % number * 10000)) == native.OK:
                number += 1
                self.assertLess(number, 5000, "no end")
            self.assertEqual(status, native.BUSY)
            store.wait_for_line("no space for a checkpoint")
            for taken in range(0, number, 50):
                self.assertEqual(conn.get(b"s%d" % taken), b"%d " % taken * 10000)
        store.kill()
        store.options = ("--memory", "24m",)  # and the largest file again
        store.start()
        with Connection(store.address) as conn:
            for taken in range(number):
                self.assertEqual(conn.get(b"s%d" % taken), b"%d " % taken * 10000)
            wait_until(lambda: conn.set(b"new", b"again") == native.OK, "changes are taken again")
        self.assertEqual(store.terminate(), EXIT_STOPPED)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
