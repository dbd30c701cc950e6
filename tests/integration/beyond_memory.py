#!/usr/bin/python3
"""beyond_memory.py --satcheld PATH --fill PATH --fail-io PATH: reads of what is not in memory hang.

One worker serves everybody. While the storage does not give the rows that are asked for, it goes on
with all else: what is in memory is read as fast as ever, changes are made durable and checkpoints
written. As many reads wait as the queue of the readers holds, the next one is told BUSY, and when
the storage is back every waiting one gets its value.
"""

import argparse
import re
import select
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from fail_io import FaultyStorage  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402

OPTIONS = None
SESSIONS, VALUE_BYTES = 50000, 1000  # three times what memory holds
RESIDENT = 100  # those that somebody reads all the time
QUEUE, READERS = 16384, 2  # LOADER_QUEUE_MAX, LOADER_THREADS
IN_FLIGHT = 1024  # what a connection may have unanswered
CONNECTIONS = 26
HANG_S = 3
P99_MS_MAX = 5
GROWTH_MIB_MAX = 64


class Reads:
    """One connection with a range of sessions asked for, and what came back."""

    def __init__(self, address, sessions):
        self.conn = Connection(address)
        self.waiting = set(sessions)
        self.busy = set()
        self.conn.send(b"".join(get_frame(session) for session in sessions))

    def take(self):
        """One reply, which has to be right."""
        reply = self.conn.take()
        self.waiting.remove(reply.request)
        if reply.status == native.BUSY:
            self.busy.add(reply.request)
        else:
            check(reply)


def get_frame(session):
    return native.frame(native.GET, native.tag(native.ID, b"session-%08d" % session),
                        request=session)


def check(reply):
    """Value 1 of its session, as fill wrote it (support/pattern.h)."""
    assert reply.status == native.OK, reply.status
    assert len(reply.value) == VALUE_BYTES
    assert struct.unpack_from("<III", reply.value) == (reply.request, 1, VALUE_BYTES)


def take_what_comes(reads, is_enough):
    """Takes replies until is_enough()."""
    by_socket = {each.conn.socket: each for each in reads}
    end = time.monotonic() + DEADLINE_S
    while not is_enough():
        assert time.monotonic() < end, sum(len(each.waiting) for each in reads)
        for ready in select.select(by_socket, [], [], 0.1)[0]:
            each = by_socket[ready]
            each.take()
            while each.conn.received and each.waiting:  # what came with it
                each.take()


class BeyondMemory(unittest.TestCase):
    def fill(self, mode, *options):
        return subprocess.Popen(
            [OPTIONS.fill, mode, "--server", self.store.address, "--sessions", str(SESSIONS),
             "--value-bytes", str(VALUE_BYTES), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish(self, process):
        told, _ = process.communicate(timeout=DEADLINE_S * 2)
        self.assertEqual(process.returncode, 0)
        print("  " + told.strip())
        return told

    def start(self):
        self.store = Satcheld(OPTIONS.satcheld, "--workers", "1", "--memory", "16m",
                              "--checkpoint-interval", "50ms")
        self.addCleanup(self.store.clean_up)
        self.addCleanup(lambda: self.store.is_running() and self.store.kill())
        self.storage = FaultyStorage(OPTIONS.fail_io, self.store, "read_row")
        with self.storage.preloaded():
            self.store.start()
        self.finish(self.fill("load"))
        wait_until(lambda: self.store.metric("satchel_dirty_sessions") == 0
                   and self.store.metric("satchel_memory_bytes") < 17 << 20, "values leave memory")
        with Connection(self.store.address) as conn:  # these are to be in memory
            conn.send(b"".join(get_frame(session) for session in range(RESIDENT)))
            for _ in range(RESIDENT):
                check(conn.take())

    def others_go_on(self, conn, end):
        """Changes are made and checkpoints written until `end`."""
        before = self.store.metric("satchel_checkpoints_total")
        changes = 0
        while time.monotonic() < end:
            self.assertEqual(conn.set(b"change-%d" % (changes % 100), b"x"), native.OK)
            changes += 1
            time.sleep(0.01)
        self.assertGreater(self.store.metric("satchel_checkpoints_total"), before + 1)
        return changes

    def test_reads_that_hang_hold_up_nothing_else(self):
        print()
        self.start()
        self.storage.fault()
        kib = self.store.memory_kib()
        begin = time.monotonic()
        resident = self.fill("probe", "--count", str(RESIDENT))
        self.addCleanup(resident.kill)
        asked = range(RESIDENT, RESIDENT + CONNECTIONS * IN_FLIGHT)
        reads = [Reads(self.store.address, asked[at:at + IN_FLIGHT])
                 for at in range(0, len(asked), IN_FLIGHT)]
        for each in reads:
            self.addCleanup(each.conn.socket.close)

        def waiting():
            return sum(len(each.waiting) for each in reads)

        take_what_comes(reads, lambda: waiting() <= QUEUE + READERS)
        refused = sum(len(each.busy) for each in reads)
        self.assertGreater(refused, 0)
        with Connection(self.store.address) as conn:
            self.assertEqual(conn.ask(native.GET, native.tag(native.ID, b"session-%08d"
                                                             % min(reads[0].waiting))).status,
                             native.BUSY)
            changes = self.others_go_on(conn, begin + HANG_S)
        self.assertEqual(waiting(), QUEUE + READERS)
        self.assertEqual(select.select([each.conn.socket for each in reads], [], [], 0)[0], [])
        p99_ms = float(re.search(r"p99 ([\d.]+) ms", self.finish(resident)).group(1))
        growth_mib = (self.store.memory_kib() - kib) / 1024
        print(f"  for {HANG_S} s {waiting()} reads waited and {refused} were refused with BUSY; "
              f"{changes} changes were made; memory grew by {growth_mib:.1f} MiB")

        self.storage.recover()
        take_what_comes(reads, lambda: waiting() == 0)
        self.assertEqual(sum(len(each.busy) for each in reads), refused)
        for each in reads:  # those may ask again
            for session in each.busy:
                each.conn.send(get_frame(session))
                check(each.conn.take())
        self.finish(self.fill("sample", "--count", str(SESSIONS)))
        self.assertEqual(self.store.terminate(), 0)
        if not OPTIONS.sanitized:
            self.assertLess(p99_ms, P99_MS_MAX)
            self.assertLess(growth_mib, GROWTH_MIB_MAX)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--fill", required=True)
    PARSER.add_argument("--fail-io", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
