#!/usr/bin/python3
"""s3_failures.py --satcheld PATH --clock-off PATH [--seconds S]: the storage of backups fails in every
way, for S seconds each, while a client goes on changing sessions. No acknowledgement waits for that, it
is told where people look, it mends itself, and afterwards the archive has exactly what was acknowledged.
"""

import argparse
import os
import re
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from backed_up import BackedUp  # noqa: E402
from ecs_credentials import EcsCredentials  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from processes import wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from s3_faults import (Answer, CutRequest, Delay, FlipBit, FlipUploadedBit, Throttle,  # noqa: E402
                       Truncate, TruncateUpload, clock_skewed, internal_error, slow_down)
from steady_load import SteadyLoad, Yardstick, percentile  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
SERVER = None
# An acknowledgement that waited for the storage would wait for seconds. What a busy machine does to all
# is measured at the same time, and below these figures is of no interest.
P99_S_MIN, LONGEST_S_MIN = 0.1, 1.5
TIMES_AS_LONG = 4
MEND_S_MAX = 60
CREDENTIALS_S = 12
BEGINS, ENDS = "backup: nothing can be shipped", "backup: changes are shipped again"


def setUpModule():
    global SERVER  # started once for the whole file
    directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
    SERVER = unittest.enterModuleContext(Radosgw(directory))
    SERVER.make_bucket(BUCKET)


class Away:
    """Nobody listens."""

    @staticmethod
    def begin(proxy):
        proxy.refuse()

    @staticmethod
    def end(proxy):
        proxy.accept()


class Faulty:
    """The requests of one method (None: all) meet a fault."""

    def __init__(self, fault, method=None):
        self.fault = fault
        self.method = method

    def begin(self, proxy):
        proxy.add(self.fault, method=self.method)

    @staticmethod
    def end(proxy):
        proxy.clear()


# name, what happens, the reason that is told; None: nothing fails, it is only late
FAILURES = (
    ("away", Away, r"no connection to the storage"),
    ("5 s a request", Faulty(Delay(5)), None),
    ("10 KB a second", Faulty(Throttle(10 << 10)), None),
    ("500", Faulty(internal_error()), r"500 InternalError"),
    ("503", Faulty(slow_down()), r"503 SlowDown"),
    ("403", Faulty(Answer(403, "AccessDenied", "Access Denied")), r"access denied \(403 "),
    ("a wrong clock", Faulty(clock_skewed()), r"our clock differs .*RequestTimeTooSkewed"),
    ("uploads are cut", Faulty(CutRequest(100), "PUT"), r"connection broke"),
    ("uploads are truncated", Faulty(TruncateUpload(), "PUT"), r"\(400 "),
    ("a bit of uploads flips", Faulty(FlipUploadedBit(), "PUT"), r"\(400 XAmzContentSHA256Mismatch"),
)


class FailureTest(unittest.TestCase):
    def setUp(self):
        self.proxy = self.enterContext(FaultyProxy(SERVER.endpoint))

    def store(self, *options, **named):
        """A store whose requests go through the proxy."""
        return BackedUp(OPTIONS.satcheld, SERVER, f"s3://{BUCKET}/{self.id()}", "--backup-lag", "1s",
                        *options, endpoint=self.proxy.endpoint, **named)

    def expect_contents(self, store, model):
        with native.Connection(store.address) as connection:
            self.assertEqual(connection.contents(), model)

    def keys(self, under):
        return sorted(SERVER.client().list(BUCKET, f"{self.id()}/{under}"))


class Failures(FailureTest):
    def expect_failing(self, store, why, begun_at):
        """Told everywhere, and once."""
        store.wait_state("failing")
        self.assertEqual(store.metric('satchel_backup_state{state="failing"}'), 1)
        wait_until(lambda: not store.is_well(), "/backupz answers 503")
        told = store.backup()
        self.assertRegex(told["error"], why)
        self.assertGreater(told["failing_ms"], 0)
        lines = [line for line in store.lines[begun_at:] if BEGINS in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], why)

    def expect_late(self, store, begun_at):
        """What takes long is told by the lag; nothing has failed."""
        wait_until(lambda: store.metric("satchel_backup_lag_seconds") >= 1, "it lags")
        wait_until(lambda: not store.is_well(), "/backupz answers 503")
        self.assertEqual(store.backup()["state"], "shipping")
        self.assertEqual([line for line in store.lines[begun_at:] if BEGINS in line], [])

    def expect_mended(self, store, why, begun_at):
        store.wait_state("shipping", MEND_S_MAX)
        store.wait_shipped(MEND_S_MAX)
        wait_until(store.is_well, "/backupz answers 200", MEND_S_MAX)
        told = [line for line in store.lines[begun_at:] if " backup: " in line]
        self.assertEqual(len(told), 0 if why is None else 2, told)  # that it began, that it is over
        if why is not None:
            self.assertIn(ENDS, told[1])

    def test_no_acknowledgement_waits_for_the_storage(self):
        with self.store() as store, SteadyLoad(store.address) as load, \
                Yardstick(load, store.directory) as yardstick:
            store.wait_snapshots(1)
            with load.phase("control"):
                time.sleep(max(OPTIONS.seconds, 5))
            for name, failure, why in FAILURES:
                with self.subTest(name), load.phase(name):
                    begun_at = len(store.lines)
                    begin_s = time.monotonic()
                    failure.begin(self.proxy)
                    try:
                        if why is None:
                            self.expect_late(store, begun_at)
                        else:
                            self.expect_failing(store, why, begun_at)
                        time.sleep(max(begin_s + OPTIONS.seconds - time.monotonic(), 0))
                        self.assertEqual(store.ask_ops("/readyz")[0], 200)
                    finally:
                        failure.end(self.proxy)
                    self.expect_mended(store, why, begun_at)
            load.stop()
            self.expect_no_delay(load, yardstick)
            store.wait_shipped()
            self.assertEqual(store.metric("satchel_backup_gaps_total"), 0)
            store.lose()
            store.start()
            store.wait_for_line(r"\brestored .* lost_lsn=0 ")
            self.expect_contents(store, load.model())
            print(f"  checked {len(load.changes)} changes: the archive has all of them")

    def expect_no_delay(self, load, yardstick):
        """Latencies of each phase beside those of the control, and of the machine at that time."""
        control = load.latencies_s("control")
        for name in ("control", *(name for name, _, _ in FAILURES)):
            mine, machine = load.latencies_s(name), yardstick.latencies_s(name)
            print(f"  {name}: {len(mine)} acknowledgements, p99 {percentile(mine, 0.99) * 1e3:.2f} ms, "
                  f"longest {mine[-1] * 1e3:.1f} ms; a file written at the same time: p99 "
                  f"{percentile(machine, 0.99) * 1e3:.2f} ms, longest {machine[-1] * 1e3:.1f} ms")
            for share, least_s in ((0.99, P99_S_MIN), (1, LONGEST_S_MIN)):
                usual_s = max(percentile(control, share), percentile(machine, share))
                with self.subTest(name, share=share):
                    self.assertLess(percentile(mine, share), max(TIMES_AS_LONG * usual_s, least_s))

    def test_temporary_credentials_that_cannot_be_renewed_expire_and_come_back(self):
        with EcsCredentials(lambda: SERVER.assume_role(CREDENTIALS_S), token="let me in") as ecs, \
                self.store(environment={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
                                        **ecs.environment()}) as store, \
                SteadyLoad(store.address) as load, \
                Yardstick(load, store.directory) as yardstick:
            with load.phase("renewed"):
                store.wait_snapshots(1)
                wait_until(lambda: ecs.requests >= 3, "they were renewed twice", 3 * CREDENTIALS_S)
            self.assertEqual(store.new_lines(BEGINS), [])
            begun_at = len(store.lines)
            ecs.fail(times=10**9)
            with load.phase("expired"):
                store.wait_state("failing", 3 * CREDENTIALS_S)
                time.sleep(OPTIONS.seconds)
                self.assertRegex(store.backup()["error"], "credentials")
            ecs.fail(times=0)
            store.wait_state("shipping", MEND_S_MAX)
            load.stop()
            store.wait_shipped()
            wait_until(store.is_well, "/backupz answers 200")
            told = [line for line in store.lines[begun_at:] if " backup: " in line]
            self.assertEqual(len(told), 2, told)
            told = [line for line in store.lines[begun_at:] if " credentials " in line]
            self.assertLessEqual(len(told), 2 + OPTIONS.seconds / 60 + 1, told)
            self.assertIn("cannot be fetched", told[0])
            self.assertIn("are fetched again", told[-1])
            for name in ("renewed", "expired"):
                longest_s, machine_s = (each.latencies_s(name)[-1] for each in (load, yardstick))
                print(f"  credentials {name}: longest {longest_s * 1e3:.1f} ms; a file written at the "
                      f"same time: {machine_s * 1e3:.1f} ms")
                self.assertLess(longest_s, max(TIMES_AS_LONG * machine_s, LONGEST_S_MIN))
            ecs.fail(times=0)
            store.lose()
            store.start()
            self.expect_contents(store, load.model())

    def test_a_clock_that_is_wrong_by_an_hour_does_no_harm(self):
        for off_s in (3600, -3600):
            with self.subTest(off_s), self.store(environment={
                    "AWS_ACCESS_KEY_ID": SERVER.access_key,
                    "AWS_SECRET_ACCESS_KEY": SERVER.secret_key,
                    "LD_PRELOAD": os.path.abspath(OPTIONS.clock_off),
                    "CLOCK_OFF_S": str(off_s)}) as store:
                store.options = tuple(f"{word}/{off_s}" if word.startswith("s3://") else word
                                      for word in store.options)
                store.kill()
                store.start()
                with SteadyLoad(store.address) as load:
                    time.sleep(2)
                store.wait_snapshots(1)
                store.wait_shipped()
                # Each client learns once that it is wrong, and is right from then on.
                refused = [seen for seen in self.proxy.requests() if seen.status == 403]
                self.assertGreater(len(refused), 0)
                self.assertLess(len(refused), 30)
                self.assertEqual(store.new_lines(BEGINS), [])
                self.proxy.forget()
                store.lose()
                store.start()
                self.expect_contents(store, load.model())


class Damage(FailureTest):
    """What is read back is damaged on its way, every time."""

    def setUp(self):
        super().setUp()
        self.archived = self.enterContext(self.store())
        self.archived.wait_snapshots(1)
        with SteadyLoad(self.archived.address) as self.load:
            wait_until(lambda: self.archived.backup()["next_seq"] >= 8, "some slots")
        self.archived.wait_shipped()
        self.archived.lose()

    def expect_refusal(self, why):
        """It does not start, and there is no store where there was none."""
        store = self.archived
        store.launch(store.command())
        self.assertEqual(store.wait(), 1, store.log())
        self.assertRegex("\n".join(store.new_lines()), why)
        left = [name for name in os.listdir(store.data) if name.startswith("data-")]
        self.assertEqual(left, [])

    def test_of_rows_or_manifest_is_found_and_nothing_restored(self):
        for path, why in ((r"\.rows$", r"cannot restore: .*\.rows"),
                          (r"\.json$", r"cannot restore: none of 1 snapshots is good; .*\.json")):
            for fault in (FlipBit(), FlipBit(0), Truncate(40), Truncate(0)):
                with self.subTest(path, fault=fault):
                    self.proxy.add(fault, method="GET", path=path)
                    self.expect_refusal(why)
                    self.assertGreater(fault.hits, 0)
                    self.proxy.clear()
        self.archived.start()  # what is stored is as it was
        self.expect_contents(self.archived, self.load.model())

    def test_of_a_slot_is_found_and_what_was_before_it_restored(self):
        slot = self.keys("log/")[-3]
        for fault in (FlipBit(), FlipBit(0), FlipBit(200), Truncate(40), Truncate(200)):
            with self.subTest(fault=fault):
                self.proxy.add(fault, method="GET", path=re.escape(slot))
                self.archived.start()
                told = self.archived.wait_for_line(
                    r"\brestored .* last_lsn=(\d+) .* lost_lsn=(\d+) .*damaged")
                self.assertGreater(int(told[2]), int(told[1]))
                before = [change for change in self.load.changes if change.lsn <= int(told[1])]
                self.assertLess(len(before), len(self.load.changes))
                self.expect_contents(self.archived, self.load.model(len(before)))
            self.proxy.clear()
            self.archived.lose()
            self.forget_this_run(slot)

    def forget_this_run(self, slot):
        """Takes away what a run has added to the archive behind the slots of the first."""
        client = SERVER.client()
        last = self.keys("log/")[self.keys("log/").index(slot) + 3:]
        for key in last + self.keys("snap/")[2:]:
            client.delete(BUCKET, key)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--clock-off", required=True)
    parser.add_argument("--seconds", type=float, default=4)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
