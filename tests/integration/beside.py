#!/usr/bin/python3
"""beside.py --satcheld PATH --satchel PATH: `satchel verify` and `satchel inspect` on the directory
of a store that runs.

What a store changes meanwhile is never taken for damage, damage is found however busy the store is,
and the store notices nothing of it.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

# pylint: disable=wrong-import-position
import native  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402
from summary import take_summary  # noqa: E402

OPTIONS = None
SOUND, DAMAGED, _, UNCHECKED = range(4)
BUSY = ("--checkpoint-interval", "100ms", "--segment-bytes", "1m")
CHECKPOINTS, SEGMENTS = 30, 30  # a busy store makes at least so many meanwhile
ROUNDS_MIN, ROUNDS_MAX = 30, 200
SESSIONS = 2000  # so many that a look takes about as long as it is from one checkpoint to the next
LARGE, SMALL = 40000, 1000  # values: many segments, or a journal that no checkpoint follows soon


class Load:
    """Writers that rewrite sessions of their own as fast as they can, until the end of the block."""

    def __init__(self, store, writers=2, value_bytes=LARGE):
        self.store = store
        self.value_bytes = value_bytes
        self.stopping = threading.Event()
        self.written = [0] * writers
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(writers)]

    def _run(self, number):
        with contextlib.suppress(OSError), Connection(self.store.address) as conn:
            while not self.stopping.is_set():
                key = b"load %d %d" % (number, self.written[number] % 200)
                value = os.urandom(self.value_bytes)
                reply = conn.ask(native.SET,
                                 native.tag(native.ID, key) + native.tag(native.VALUE, value))
                if reply is None:
                    break  # the store was killed
                self.written[number] += reply.status == native.OK

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: all(self.written), "every writer has written")
        return self

    def __exit__(self, kind, value, trace):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def flip(path, offset):
    """Turns one bit around."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


class Beside(unittest.TestCase):
    def setUp(self):
        self.store = Satcheld(OPTIONS.satcheld)
        self.addCleanup(self.store.clean_up)
        self.addCleanup(lambda: self.store.is_running() and self.store.kill())

    def ask(self, *words):
        """Runs a command on the store's directory; its exit code, output and summary."""
        told = subprocess.run([OPTIONS.satchel, *words, "--json", self.store.data],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=10 * DEADLINE_S, check=False)
        self.assertIn(told.returncode, (SOUND, DAMAGED, UNCHECKED), told.stdout + told.stderr)
        return told.returncode, told.stdout, take_summary(told.stdout, words[0], told.returncode)

    def fill(self, count=50):
        with Connection(self.store.address) as conn:
            for number in range(count):
                self.assertEqual(conn.set(b"k%d" % number, b"value %d;" % number * 20), native.OK)

    def start_filled(self, *options):
        """A store whose rows are in the data file, and that writes none soon unless told to."""
        self.store.start()
        self.fill()
        self.assertEqual(self.store.terminate(), 0)
        self.store.options = options
        self.store.start()

    def flip_row(self):
        """Damages a row that no load rewrites, in every place of the data file where it stands."""
        path = next(Path(self.store.data).glob("data-*.mdb"))
        data = path.read_bytes()
        wanted = b"value 7;value 7;"
        offset = data.find(wanted)
        self.assertGreater(offset, 0)
        while offset >= 0:
            flip(path, offset)
            offset = data.find(wanted, offset + 1000)

    def work(self):
        """How much the store has done of what could be taken for damage."""
        return (self.store.metric("satchel_checkpoints_total"),
                self.store.metric("satchel_journal_segments_total"))

    def test_a_store_at_rest(self):
        self.start_filled()
        before = sorted(os.listdir(self.store.data))
        code, _, told = self.ask("verify")
        self.assertEqual((code, told["result"], told["beside"]), (SOUND, "sound", True), told)
        self.assertEqual((told["data_file"]["rows"], told["recovery"]["sessions_live"]), (50, 50))
        self.assertIn(f"pid {self.store.process.pid}", told["owner"])
        code, shown, told = self.ask("inspect", "--session", "k7")
        self.assertEqual((code, told["beside"], told["problems"]), (SOUND, True, 0), shown)
        self.assertIn(f"pid {self.store.process.pid}", shown)
        self.assertEqual(shown.count("\nmeta row "), 1, shown)
        self.assertRegex(shown, r"\nrow \d+: version=")
        self.assertEqual(sorted(os.listdir(self.store.data)), before)
        self.assertEqual(self.store.terminate(), 0)
        code, _, told = self.ask("verify")
        self.assertEqual((code, told["beside"], told["owner"]), (SOUND, False, ""))

    def test_a_store_that_writes(self):
        self.store.options = BUSY
        self.store.start()
        self.fill(SESSIONS)
        checkpoints, segments = self.work()
        enough = (checkpoints + CHECKPOINTS, segments + SEGMENTS)

        def has_worked():
            return all(did >= least for did, least in zip(self.work(), enough, strict=True))

        codes = []
        looks = 0
        with Load(self.store) as load:
            while len(codes) < ROUNDS_MAX and (len(codes) < ROUNDS_MIN or not has_worked()):
                for command in ("verify", "inspect"):
                    code, shown, told = self.ask(command)
                    self.assertNotEqual(code, DAMAGED, shown)
                    codes.append(code)
                    looks += told["looks"] if command == "verify" else 0
                    if code == SOUND:
                        self.assertTrue(told["beside"])
        told = (f"{sum(load.written)} writes; {codes.count(SOUND)} of {len(codes)} sound, "
                f"{looks} looks of verify")
        print(told, flush=True)
        self.assertTrue(has_worked(), told)
        self.assertGreater(codes.count(SOUND), 0 if OPTIONS.sanitized else len(codes) / 2, told)
        with Connection(self.store.address) as conn:
            self.assertEqual(conn.get(b"k1"), b"value 1;" * 20)
        self.assertEqual(self.store.terminate(), 0)
        code, shown, _ = self.ask("verify")
        self.assertEqual(code, SOUND, shown)

    def test_a_store_that_is_killed_and_starts_anew(self):
        """Its successor makes a data file of its own and removes the one that may just be read."""
        self.store.options = BUSY
        self.store.start()
        self.fill()
        ended = threading.Event()

        def restart():
            for _ in range(4):
                with Load(self.store, 1):
                    self.store.kill()
                self.store.start()
            ended.set()

        restarts = threading.Thread(target=restart)
        restarts.start()
        looks = 0
        while not ended.is_set() and restarts.is_alive():
            code, shown, _ = self.ask("verify")
            self.assertNotEqual(code, DAMAGED, shown)
            looks += 1
        restarts.join()
        self.assertTrue(ended.is_set(), self.store.log())
        self.assertGreater(looks, 0)

    def test_a_damaged_row(self):
        self.start_filled()
        self.flip_row()
        code, shown, told = self.ask("verify")
        self.assertEqual((code, told["beside"], told["damages"]), (DAMAGED, True, 1), shown)
        self.assertRegex(told["problems"][0]["what"], r"row \d+ is damaged")

    def test_a_damaged_row_while_others_are_written(self):
        self.start_filled("--checkpoint-interval", "300ms", "--segment-bytes", "1m")
        self.flip_row()
        with Load(self.store):
            code, shown, told = self.ask("verify")
        self.assertEqual((code, told["beside"], told["damages"]), (DAMAGED, True, 1), shown)
        self.assertGreaterEqual(told["looks"], 2)
        self.assertRegex(told["problems"][0]["what"], r"row \d+ is damaged")

    def test_a_damaged_frame_while_others_are_written(self):
        self.start_filled()
        with Load(self.store, value_bytes=SMALL) as load:
            journal = max(Path(self.store.data, "journal").glob("*.jnl"))
            wait_until(lambda: journal.stat().st_size > 100000, "there is a journal")
            flip(journal, 50000)
            before = sum(load.written)
            code, shown, told = self.ask("verify")
            wait_until(lambda: sum(load.written) > before, "the store goes on")
        self.assertEqual((code, told["beside"], told["damages"]), (DAMAGED, True, 1), shown)
        self.assertEqual(told["problems"][0]["file"], f"journal/{journal.name}")


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--satchel", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="time says nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
