#!/usr/bin/python3
"""s3_backup.py --satcheld PATH: a store with backups against a real gateway. Its data directory is
deleted and comes back, from whatever the archive has then; two stores never write one archive."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from processes import Satcheld, wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
SERVER = None
FENCED = 3  # exit code


def setUpModule():
    global SERVER  # started once for the whole file
    directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
    SERVER = unittest.enterModuleContext(Radosgw(directory))
    SERVER.make_bucket(BUCKET)
    environment = {"AWS_ACCESS_KEY_ID": SERVER.access_key,
                   "AWS_SECRET_ACCESS_KEY": SERVER.secret_key}
    os.environ.update(environment)
    unittest.addModuleCleanup(lambda: [os.environ.pop(name) for name in environment])


class Backup(unittest.TestCase):
    def store(self, *options):
        """A store of this test's archive; each has a directory of its own."""
        return Satcheld(OPTIONS.satcheld, "--backup", f"s3://{BUCKET}/{self.id()}",
                        "--backup-endpoint", SERVER.endpoint, "--backup-region", SERVER.region,
                        "--backup-path-style", "--restore", "auto", *options)

    def keys(self, under):
        return sorted(SERVER.client().list(BUCKET, f"{self.id()}/{under}"))

    def put(self, store, values):
        with native.Connection(store.address) as connection:
            for key, value in values.items():
                self.assertEqual(connection.set(key, value), native.OK)

    def expect(self, store, values):
        with native.Connection(store.address) as connection:
            for key, value in values.items():
                self.assertEqual(connection.get(key), value, key)

    def backup_of(self, store):
        return json.loads(store.ask_ops("/backupz")[1])

    def wait_shipped(self, store):
        """Everything that was acknowledged is in the archive."""
        lsn = store.metric("satchel_durable_lsn")
        wait_until(lambda: self.backup_of(store)["shipped_lsn"] >= lsn, "it is shipped")

    def wait_snapshots(self, store, count):
        wait_until(lambda: self.backup_of(store)["snapshots"]["taken"] >= count, "a snapshot")

    def lose(self, store):
        """Kills it and deletes what it has."""
        store.kill()
        shutil.rmtree(store.data)
        os.mkdir(store.data)

    def test_a_store_that_lost_everything_comes_back(self):
        with self.store() as store:
            values = {b"k%d" % n: b"first %d" % n for n in range(300)}
            self.put(store, values)
            self.wait_snapshots(store, 1)
            changed = {b"k%d" % n: b"second %d" % n for n in range(0, 300, 3)}
            self.put(store, changed)
            with native.Connection(store.address) as connection:
                for n in range(1, 300, 3):
                    self.assertEqual(
                        connection.ask(native.DELETE, native.tag(native.ID, b"k%d" % n)).status,
                        native.OK)
            self.wait_shipped(store)
            self.lose(store)
            values |= changed | {b"k%d" % n: None for n in range(1, 300, 3)}
            store.start()
            told = store.wait_for_line(r"\brestored sessions=\d+ changes=(\d+) .* lost_lsn=0 ")
            self.assertGreater(int(told[1]), 0)
            self.expect(store, values)
            # It goes on, and what it does then is in the archive as well.
            self.put(store, {b"later": b"here"})
            self.wait_shipped(store)
            self.lose(store)
            store.start()
            self.expect(store, values | {b"later": b"here"})
            self.assertNotIn(SERVER.secret_key, store.log())

    def test_at_most_two_seconds_are_missing_and_the_loss_is_printed(self):
        with self.store() as store:
            acknowledged = {}
            deadline = time.monotonic() + 4
            with native.Connection(store.address) as connection:
                while time.monotonic() < deadline:
                    key = b"n%d" % len(acknowledged)
                    self.assertEqual(connection.set(key, key), native.OK)
                    acknowledged[key] = time.monotonic()
            killed = time.monotonic()
            self.lose(store)
            store.start()
            self.assertRegex(store.log(), r"restored sessions=\d+ .* age_s=\d+\.\d+ ")
            self.expect(store, {key: key for key, at in acknowledged.items() if at < killed - 2})

    def test_restarts_leave_no_gap(self):
        with self.store() as store:
            self.put(store, {b"a": b"1"})
            self.wait_snapshots(store, 1)
            self.assertEqual(store.terminate(), 0)
            store.start()
            self.put(store, {b"b": b"2"})
            store.kill()  # before it is shipped: the next start tells it
            store.start()
            self.put(store, {b"c": b"3"})
            self.wait_shipped(store)
            self.assertFalse(self.backup_of(store)["owes_snapshot"])
            self.lose(store)
            store.start()
            self.expect(store, {b"a": b"1", b"b": b"2", b"c": b"3"})

    def test_a_store_that_changes_nothing_comes_back(self):
        with self.store() as store:
            self.wait_snapshots(store, 1)
            self.lose(store)
            store.start()
            store.wait_for_line(r"\brestored sessions=0 ")
            self.put(store, {b"a": b"1"})
            self.wait_shipped(store)
            self.assertEqual(store.terminate(), 0)
            store.start()
            older = self.keys("snap/")
            wait_until(lambda: self.backup_of(store)["state"] == "shipping", "it ships")
            store.process.send_signal(signal.SIGUSR2)
            self.wait_snapshots(store, 1)  # of a run without changes
            for key in older:
                SERVER.client().delete(BUCKET, key)
            self.lose(store)
            store.start()
            self.expect(store, {b"a": b"1"})

    def test_a_damaged_snapshot_is_passed_over(self):
        with self.store() as store:
            self.put(store, {b"a": b"1"})
            self.wait_snapshots(store, 1)
            self.put(store, {b"b": b"2"})
            self.wait_shipped(store)  # so the second snapshot begins later than the first
            store.process.send_signal(signal.SIGUSR2)
            self.wait_snapshots(store, 2)
            newest = [key for key in self.keys("snap/") if key.endswith(".rows")][-1]
            client = SERVER.client()
            body = bytearray(client.get(BUCKET, newest))
            body[len(body) // 2] ^= 1
            client.put(BUCKET, newest, bytes(body))
            self.lose(store)
            store.start()
            store.wait_for_line(r"newer snapshots are damaged count=1 why=.*\.rows")
            self.expect(store, {b"a": b"1", b"b": b"2"})

    def test_a_store_that_was_replaced_ends(self):
        with self.store() as first:
            self.put(first, {b"a": b"1"})
            self.wait_snapshots(first, 1)
            self.wait_shipped(first)
            first.freeze()
            with self.store() as second:
                self.put(second, {b"b": b"2"})
                self.wait_shipped(second)
                first.thaw()
                # It notices when it ships, and it ships when there is something.
                with native.Connection(first.address) as connection:
                    connection.set(b"a", b"of the past")
                self.assertEqual(first.wait(), FENCED)
                self.assertRegex(first.log(), "storage failed why=.*another process")
                self.put(second, {b"c": b"3"})
                self.wait_shipped(second)
                self.lose(second)
                second.start()
                self.expect(second, {b"a": b"1", b"b": b"2", b"c": b"3"})

    def test_a_gateway_that_is_away_delays_nothing(self):
        with self.store("--backup-lag", "1s") as store:
            self.put(store, {b"a": b"1"})
            self.wait_snapshots(store, 1)
            SERVER.stop_gateway()
            try:
                began = time.monotonic()
                values = {b"n%d" % n: b"x" * 100 for n in range(500)}
                self.put(store, values)
                self.assertLess(time.monotonic() - began, 5)
                self.assertEqual(store.ask_ops("/readyz")[0], 200)
                wait_until(lambda: store.ask_ops("/backupz")[0] == 503, "the backup is not well")
                wait_until(lambda: "nothing can be shipped" in store.log(), "it is logged")
            finally:
                SERVER.start_gateway()
            wait_until(lambda: store.ask_ops("/backupz")[0] == 200, "the backup is well again")
            self.wait_shipped(store)
            self.lose(store)
            store.start()
            self.expect(store, values)

    def test_an_import_that_was_cut_short_is_begun_again(self):
        with self.store() as store:
            self.put(store, {b"a": b"1"})
            self.wait_snapshots(store, 1)
            self.put(store, {b"b": b"2"})
            self.wait_shipped(store)
            self.lose(store)
            os.mkdir(os.path.join(store.data, "journal"))
            for name in ("data-0000000009.mdb.new", "journal/0000000010-0000000001.jnl"):
                Path(store.data, name).write_bytes(b"half")
            store.start()
            self.expect(store, {b"a": b"1", b"b": b"2"})

    def test_what_cannot_be_restored_is_not_replaced_by_an_empty_store(self):
        with self.store() as store:
            self.put(store, {b"a": b"1"})
            self.wait_snapshots(store, 1)
            self.wait_shipped(store)
            self.lose(store)
            client = SERVER.client()
            for key in self.keys("snap/"):
                client.put(BUCKET, key, b"not what it was")
            store.launch(store.command())
            self.assertEqual(store.wait(), 1)
            self.assertIn("cannot restore: none of 1 snapshots is good", store.log())
            for key in self.keys("snap/"):
                client.delete(BUCKET, key)
            store.launch(store.command())
            self.assertEqual(store.wait(), 1)
            self.assertIn("cannot restore: there is a log but no snapshot", store.log())
            self.assertEqual(sorted(os.listdir(store.data)), ["journal", "lease"])
            self.assertEqual(os.listdir(os.path.join(store.data, "journal")), [])
            store.options = (*store.options[:-1], "never")  # the operator's decision: a new archive
            store.options = tuple(f"{word}-new" if word.startswith("s3://") else word
                                  for word in store.options)
            store.start()

    def test_a_store_that_is_there_is_never_touched(self):
        with self.store() as store:
            self.put(store, {b"a": b"1"})
            self.wait_snapshots(store, 1)
            self.assertEqual(store.terminate(), 0)
            store.start()
            self.assertNotIn("restored", "\n".join(store.lines[store.run_from:]))
            self.expect(store, {b"a": b"1"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
