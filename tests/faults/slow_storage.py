#!/usr/bin/python3
"""slow_storage.py --satcheld PATH --fill PATH [--slow-fs PATH]: storage that stops answering, and comes back, or not.

The data directory is on a file system (support/slow_fs.c) whose calls can be made to hang: as on a
hard NFS mount a process that sits in one does not end before it returns, not by SIGKILL either.
SATCHEL_HANG_SECONDS says how long it hangs (6).
"""

import argparse
import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402
from slow_fs import SlowFs  # noqa: E402

OPTIONS = None
EXIT_STORAGE = 3
HANG_S = float(os.environ.get("SATCHEL_HANG_SECONDS", "6"))
SLOW_S = 1       # --storage-slow
READY_S_MAX = 3  # after that until /readyz says so: other tests run beside this one
P99_MS_MAX = 5
LONGEST_MS_MAX = 1000  # none of them waited for the storage
GROWTH_MIB_MAX = 64
HOT, COLD = 100, 24000  # sessions: always in memory, and more than fits there
COLD_BYTES = 1000


def set_frame(key, value):
    return native.frame(native.SET, native.tag(native.ID, key) + native.tag(native.VALUE, value))


def get_frame(key):
    return native.frame(native.GET, native.tag(native.ID, key))


def hot_value(number):
    return b"value %d" % number


def cold_value(number):
    return (b"%d " % number).ljust(COLD_BYTES, b".")


class StorageTest(unittest.TestCase):
    def new_store(self, *options):
        store = Satcheld(OPTIONS.satcheld, "--checkpoint-interval", "50ms", *options)
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        return store

    def store_on_slow_fs(self, *options):
        """One that is started, and the storage below it."""
        store = self.new_store(*options)
        storage = SlowFs(OPTIONS.slow_fs)
        storage.__enter__()
        self.addCleanup(storage.__exit__, None, None, None)  # before the store's
        store.data = storage.path("data")
        os.mkdir(store.data)
        store.start()
        return store, storage

    def churn(self, store):
        """Starts overwriting sessions; returns the process and the file of what it will know."""
        state = os.path.join(store.directory, "state")
        process = subprocess.Popen(
            [OPTIONS.fill, "churn", "--server", store.address, "--sessions", "500",
             "--value-bytes", "512", "--state", state],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(lambda: store.metric("satchel_journal_records_total") > 5000
                   or process.poll() is not None, "some thousand changes are made")
        return process, state

    def check(self, store, state):
        told = subprocess.run(
            [OPTIONS.fill, "check", "--server", store.address, "--sessions", "500",
             "--value-bytes", "512", "--state", state],
            capture_output=True, text=True, timeout=DEADLINE_S * 2, check=False)
        self.assertEqual(told.returncode, 0, told.stdout)
        self.assertRegex(told.stdout, r"checked [1-9]\d* acknowledgements: 0 lost")
        return told.stdout.strip()

    def write_cold(self, store):
        """More than memory holds, and a checkpoint, so that some of it leaves memory."""
        left = list(range(COLD))
        with Connection(store.address) as conn:
            while left:
                batch, left = left[:500], left[500:]
                for number in batch:
                    conn.send(native.frame(
                        native.SET, native.tag(native.ID, b"cold%d" % number)
                        + native.tag(native.VALUE, cold_value(number)), request=number))
                for reply in [conn.take() for _ in batch]:
                    self.assertIn(reply.status, (native.OK, native.BUSY))
                    if reply.status == native.BUSY:  # memory is full of what has to be written
                        left.append(reply.request)
        wait_until(lambda: store.metric("satchel_evicted_values_total") > COLD / 4,
                   "values leave memory")
        # … and the kernel's memory: reading them asks the storage.
        fd = os.open(next(Path(store.data).glob("data-*.mdb")), os.O_RDONLY)
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class HotReader:
    """Reads sessions that are in memory all the time, and measures, until `with` ends."""

    def __init__(self, address):
        self.conn = Connection(address)
        self.times = []  # (when, how long) in seconds
        self.wrong = None
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        for number in range(HOT):
            assert self.conn.set(b"hot%d" % number, hot_value(number)) == native.OK
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stopping = True
        self.thread.join()
        self.conn.socket.close()
        assert self.wrong is None or kind is not None, self.wrong

    def _run(self):
        number = 0
        while not self.stopping:
            start = time.monotonic()
            try:
                value = self.conn.get(b"hot%d" % number)
            except OSError as why:
                value = str(why)
            if value != hot_value(number):
                self.wrong = f"hot{number} is {value}"
                return
            self.times.append((start, time.monotonic() - start))
            number = (number + 1) % HOT

    def times_ms(self, begin, end):
        """Of the reads that began between: how many, the 99th percentile and the longest."""
        wait_until(lambda: self.times[-1][0] > end or self.wrong, "reads go on")
        times = sorted(took * 1000 for start, took in self.times if begin <= start <= end)
        return len(times), times[len(times) * 99 // 100], times[-1]


class Hanging(StorageTest):
    def hold_until_busy(self, store):
        """Connections whose changes wait; one more was told BUSY."""
        held = []
        while len(held) < 200:
            conn = Connection(store.address)
            self.addCleanup(conn.socket.close)
            key = b"held%d" % len(held)
            conn.send(set_frame(key, key * 1000))
            conn.socket.settimeout(0.05)
            try:
                reply = conn.take()
                self.assertEqual(reply.status, native.BUSY)
                return held
            except TimeoutError:
                held.append((key, conn))
        self.fail("no limit to changes that wait")

    def watch_hang(self, store, begin, end):
        """While it hangs: health and memory. Returns by how many MiB that grew."""
        before_kib = most_kib = store.memory_kib()
        wait_until(lambda: store.ask_ops("/readyz")[0] == 503, "/readyz is red")
        self.assertLess(time.monotonic() - begin, SLOW_S + READY_S_MAX)
        self.assertIn("has not answered", store.ask_ops("/readyz")[1])
        while time.monotonic() < end:
            self.assertEqual(store.ask_ops("/livez")[0], 200)
            self.assertGreater(store.metric("satchel_storage_stalled_seconds"), 0)
            most_kib = max(most_kib, store.memory_kib())
            time.sleep(0.1)
        self.assertLess((most_kib - before_kib) / 1024, GROWTH_MIB_MAX)
        return (most_kib - before_kib) / 1024

    def test_reads_go_on_changes_wait_and_afterwards_everything_goes_on(self):
        store, storage = self.store_on_slow_fs(
            "--storage-slow", f"{SLOW_S}s", "--memory", "16m",
            "--undurable-pause", "256k", "--undurable-busy", "512k")
        self.write_cold(store)
        churning, state = self.churn(store)
        with contextlib.ExitStack() as stack:
            hot = stack.enter_context(HotReader(store.address))
            cold = [stack.enter_context(Connection(store.address)) for _ in range(8)]
            storage.be("hang=all")
            begin = time.monotonic()
            for number, conn in enumerate(cold):  # some are in nobody's memory: those wait
                conn.send(get_frame(b"cold%d" % (number * 997)))
            held = self.hold_until_busy(store)
            growth_mib = self.watch_hang(store, begin, begin + HANG_S)
            unread = len(cold) - len(select.select([conn.socket for conn in cold], [], [], 0)[0])
            storage.be("hang=none")
            count, p99_ms, most_ms = hot.times_ms(begin, begin + HANG_S)
            print(f"\n  storage hung for {HANG_S:.0f} s: {count} GETs, p99 {p99_ms:.2f} ms, "
                  f"longest {most_ms:.2f} ms; {unread} reads of what is not in memory waited, "
                  f"{len(held)} changes were held before BUSY; "
                  f"memory grew by {growth_mib:.1f} MiB")
            self.assertLess(p99_ms, P99_MS_MAX)
            self.assertLess(most_ms, LONGEST_MS_MAX)
            self.assertGreater(unread, 0)
            self.assertGreater(len(held), 0)
            for number, conn in enumerate(cold):
                self.assertEqual(conn.take().value, cold_value(number * 997))
            for _, conn in held:
                conn.socket.settimeout(DEADLINE_S)
                self.assertEqual(conn.take().status, native.OK)
        wait_until(lambda: store.ask_ops("/readyz")[0] == 200, "/readyz is green")
        wait_until(lambda: store.metric("satchel_storage_stalled_seconds") == 0, "it is not stalled")
        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"afterwards", b"goes on"), native.OK)
        store.kill()
        churning.wait(DEADLINE_S)
        store.start()
        print(f"  {self.check(store, state)}")
        with Connection(store.address) as conn:
            self.assertEqual(conn.get(b"afterwards"), b"goes on")
            for key, _ in held:
                self.assertEqual(conn.get(key), key * 1000)
            for number in range(0, COLD, 7):
                self.assertEqual(conn.get(b"cold%d" % number), cold_value(number))

    def test_past_the_deadline_its_sockets_are_closed_although_it_cannot_end(self):
        store, storage = self.store_on_slow_fs("--storage-slow", "200ms",
                                               "--storage-deadline", "1s")
        churning, state = self.churn(store)
        host, port = store.address.rsplit(":", 1)
        with Connection(store.address) as conn, Connection(store.address) as idle:
            storage.be("hang=all")
            start = time.monotonic()
            conn.send(set_frame(b"held", b"for ever"))
            self.assertEqual(conn.take_all(), [])
            self.assertEqual(idle.take_all(), [])
            closed_s = time.monotonic() - start
            with self.assertRaises(OSError):
                socket.create_connection((host, int(port)), timeout=5).close()
            # A thread of it sits in a call that does not return.
            self.assertTrue(store.is_running())
        print(f"\n  connections were closed {closed_s:.1f} s after the storage began to hang")
        self.assertLess(closed_s, 4)
        churning.wait(DEADLINE_S)
        storage.be("hang=none")
        self.assertEqual(store.wait(), EXIT_STORAGE)
        failed = [line for line in store.lines if "storage failed" in line]
        self.assertEqual(len(failed), 1, store.log())
        self.assertIn("does not answer", failed[0])
        store.start()
        print(f"  {self.check(store, state)}")


class Unreadable(StorageTest):
    def test_a_page_that_cannot_be_read_ends_it(self):
        """The data file is cut behind its back: what is mapped there is a bus error."""
        store = self.new_store("--memory", "16m")
        store.start()
        self.write_cold(store)
        data_file = next(Path(store.data).glob("data-*.mdb"))
        # No checkpoint is under way or due: the reader comes first.
        wait_until(lambda: store.metric("satchel_dirty_sessions") == 0, "all is written")
        with Connection(store.address) as conn:
            os.truncate(data_file, 8192)
            conn.send(b"".join(get_frame(b"cold%d" % number) for number in range(2000)))
            for reply in conn.take_all():
                self.assertEqual((reply.status, reply.value[-1:]), (native.OK, b"."))
        self.assertEqual(store.wait(), EXIT_STORAGE)
        failed = [line for line in store.lines if "storage failed" in line]
        self.assertEqual(len(failed), 1, store.log())
        self.assertIn("cannot be read", failed[0])


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--fill", required=True)
    PARSER.add_argument("--slow-fs", default="", help="none: there is no FUSE to build it with")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
