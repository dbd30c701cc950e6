#!/usr/bin/python3
"""s3_shipper.py --shipper PATH: the log of backups against real servers: writers that are stopped,
killed and followed by others, and a storage that fails. Whatever happens, the log is one chain
without gaps, and what was made is in it. Nothing that is printed shows a secret."""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from faulty_proxy import FaultyProxy  # noqa: E402
from processes import Program, die_with_parent, wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from s3_faults import (Answer, CutReply, CutRequest, Delay, FlipBit, Hang, LoseReply,  # noqa: E402
                       LoseRequest, Truncate, internal_error, slow_down)
from swift import Swift  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
ROUNDS = 20
FENCED = 3
REFUSED = 4
RUN_S_MAX = 120
SERVERS = {}  # by their class; started once for the whole file


def setUpModule():
    for kind in (Radosgw, Swift):
        directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
        server = unittest.enterModuleContext(kind(directory))
        server.make_bucket(BUCKET)
        SERVERS[kind] = server


class Writer(Program):
    """A process that makes changes and ships them."""

    def __init__(self, epoch, environment):
        super().__init__(f"writer-{epoch}")
        self.epoch = epoch
        self.environment = environment

    def start(self):
        self.run_from = len(self.lines)
        self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [OPTIONS.shipper, "ship", str(self.epoch)], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def slots(self):
        """The number of the next slot, as it was told last."""
        told = [line for line in list(self.lines) if line.startswith("next slot")]
        return int(re.match(r"next slot (\d+)", told[-1]).group(1)) if told else 0

    def wait_slots(self, more):
        """Waits until it has written so many slots more."""
        wanted = self.slots() + more
        wait_until(lambda: self.slots() >= wanted or not self.is_running(), f"slot {wanted}")
        assert self.is_running(), f"{self.name} has ended:\n{self.log()}"

    def made(self):
        """The last change that it made; once it has ended."""
        return int(self.wait_for_line(r"^made (\d+)$").group(1))

    def count(self, pattern):
        return len([line for line in self.lines if re.search(pattern, line)])

    def finish(self):
        """SIGTERM, after which everything is shipped; returns the last change."""
        code = self.terminate()
        assert code == 0, f"{self.name} ended with {code}:\n{self.log()}"
        return self.made()


class ShipperTest(unittest.TestCase):
    def setUp(self):
        self.server = SERVERS[Radosgw]
        self.dice = random.Random(1)
        self.writers = []
        self.addCleanup(self.end_writers)
        self.addCleanup(self.demand_no_secrets)

    def end_writers(self):
        for writer in self.writers:
            if writer.is_running():
                writer.kill()

    def demand_no_secrets(self):
        for writer in self.writers:
            self.assertNotIn(self.server.secret_key, writer.log())

    def environment(self, place, endpoint=None, **more):
        own = {"AWS_ACCESS_KEY_ID": self.server.access_key,
               "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
               "S3_URL": f"s3://{BUCKET}/{self.id()}/{place}", "S3_REGION": self.server.region,
               "S3_ENDPOINT": endpoint or self.server.endpoint}
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith("AWS_")}
        return {**inherited, **own, **more}

    def writer(self, epoch, place="log", **how):
        """A writer that runs."""
        writer = Writer(epoch, self.environment(place, **how))
        self.writers.append(writer)
        writer.start()
        return writer

    def check(self, place="log"):
        """What the log holds: {"slots": …}. It has to be one chain."""
        told = subprocess.run([OPTIONS.shipper, "check"], env=self.environment(place),
                              capture_output=True, text=True, timeout=RUN_S_MAX, check=False,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        return {name: int(value) for name, value in
                (pair.split("=") for pair in told.stdout.split())}

    def demand_whole(self, last_lsn, fences, place="log"):
        found = self.check(place)
        self.assertEqual((found["gaps"], found["twice"]), (0, 0), found)
        self.assertEqual((found["last_lsn"], found["fences"]), (last_lsn, fences), found)
        return found


class Succession(ShipperTest):
    def run_zombie(self, place, stop):
        """A writer is stopped, another one takes over and writes, the first one wakes."""
        with FaultyProxy(self.server.endpoint) as proxy:
            zombie = self.writer(1, place, endpoint=proxy.endpoint)
            zombie.wait_slots(self.dice.randrange(2, 5))
            stop(zombie, proxy)
            heir = self.writer(2, place)
            heir.wait_slots(2)
            zombie.thaw()
            code = zombie.wait()
            heir.wait_slots(1)
            last_lsn = heir.finish()
        self.assertEqual(code, FENCED, zombie.log())
        self.assertEqual(zombie.count("another process has taken over"), 1, zombie.log())
        self.demand_whole(last_lsn, 2, place)

    def test_a_writer_that_wakes_behind_its_successor_is_fenced_20_of_20_times(self):
        for number in range(ROUNDS):
            self.run_zombie(number, lambda zombie, _: zombie.freeze())
        print(f"\n  fenced {ROUNDS} of {ROUNDS}, and no fork")

    def test_a_writer_that_is_stopped_in_a_request_is_fenced_20_of_20_times(self):
        def stop(zombie, proxy):
            proxy.forget()
            proxy.add(Delay(0.3), method="PUT")
            wait_until(lambda: proxy.requests(method="PUT"), "a slot is on its way")
            zombie.freeze()
            proxy.clear()

        for number in range(ROUNDS):
            self.run_zombie(number, stop)
        print(f"\n  fenced {ROUNDS} of {ROUNDS}, and no fork")

    def test_two_that_start_at_once_do_not_both_write(self):
        for number in range(5):
            first, second = self.writer(1, number), self.writer(2, number)
            self.assertEqual(first.wait(), FENCED, first.log())
            second.wait_slots(2)
            last_lsn = second.finish()
            found = self.check(number)
            self.assertEqual((found["gaps"], found["twice"]), (0, 0), found)
            self.assertEqual((found["last_lsn"], found["epoch"]), (last_lsn, 2), found)

    def test_writers_that_are_killed_leave_a_log_that_their_successors_complete(self):
        epochs = 12
        for epoch in range(1, epochs):
            writer = self.writer(epoch)
            if self.dice.random() < 0.8:
                writer.wait_slots(self.dice.randrange(1, 6))
            writer.kill()
        last = self.writer(epochs)
        last.wait_slots(2)
        found = self.check()
        self.assertEqual((found["gaps"], found["twice"]), (0, 0), found)
        self.demand_whole(last.finish(), found["fences"])
        self.assertGreaterEqual(found["fences"], epochs // 2)


class Failures(ShipperTest):
    def setUp(self):
        super().setUp()
        self.proxy = self.enterContext(FaultyProxy(self.server.endpoint))

    def test_failures_of_all_kinds_leave_no_trace_in_the_log(self):
        for fault in (slow_down(), internal_error(), LoseRequest(), LoseReply(), CutRequest(10),
                      CutReply(50)):
            self.proxy.add(fault, fraction=0.1)
        for fault in (Truncate(100), FlipBit()):
            self.proxy.add(fault, fraction=0.3, method="GET", path="/log/")
        writer = self.writer(1, endpoint=self.proxy.endpoint)
        wait_until(lambda: writer.slots() >= 30 or not writer.is_running(), "30 slots", RUN_S_MAX)
        last_lsn = writer.finish()
        self.demand_whole(last_lsn, 1)
        print(f"\n  {writer.slots()} slots in {len(self.proxy.requests())} requests")

    def test_while_the_storage_is_away_changes_wait_and_one_line_is_logged(self):
        writer = self.writer(1, endpoint=self.proxy.endpoint)
        writer.wait_slots(2)
        self.proxy.refuse()
        writer.wait_for_line("nothing can be shipped at the moment")
        self.proxy.accept()
        writer.wait_for_line("changes are shipped again")
        writer.wait_slots(1)
        self.demand_whole(writer.finish(), 1)
        self.assertEqual(writer.count("nothing can be shipped"), 1, writer.log())

    def test_whoever_is_denied_goes_on_when_allowed_again(self):
        writer = self.writer(1, endpoint=self.proxy.endpoint)
        writer.wait_slots(2)
        denied = Answer(403, "AccessDenied")
        self.proxy.forget()
        self.proxy.add(denied)
        writer.wait_for_line("nothing can be shipped at the moment")
        wait_until(lambda: len(self.proxy.requests()) >= 5, "it asks again and again")
        self.proxy.remove(denied)
        writer.wait_slots(2)
        self.demand_whole(writer.finish(), 1)
        self.assertEqual(writer.count("nothing can be shipped"), 1, writer.log())

    def test_replies_that_are_damaged_do_not_spoil_a_start(self):
        first = self.writer(1)
        first.wait_slots(2)
        first.finish()
        self.proxy.add(FlipBit(), times=1, method="GET", path="/log/")
        self.proxy.add(Truncate(100), times=1, method="GET", path="/log/")
        second = self.writer(2, endpoint=self.proxy.endpoint)
        second.wait_slots(2)
        self.demand_whole(second.finish(), 2)
        self.assertEqual(second.count("a snapshot is owed"), 0, second.log())

    def test_a_storage_that_comes_only_at_the_end_gets_everything(self):
        self.proxy.refuse()
        writer = self.writer(1, endpoint=self.proxy.endpoint)
        writer.wait_for_line("nothing can be shipped at the moment")
        writer.process.send_signal(signal.SIGTERM)
        last_lsn = writer.made() if writer.wait_for_line("^made ") else None
        self.proxy.accept()
        self.assertEqual(writer.wait(), 0, writer.log())
        self.demand_whole(last_lsn, 1)


class WithoutConditions(ShipperTest):
    def setUp(self):
        super().setUp()
        self.server = SERVERS[Swift]

    def test_it_is_refused_unless_the_operator_accepts_it(self):
        writer = self.writer(1)
        self.assertEqual(writer.wait(), REFUSED, writer.log())
        self.assertEqual(writer.count("--backup-single-writer"), 1, writer.log())
        self.assertEqual(self.check()["slots"], 0)

        writer = self.writer(1, S3_SINGLE_WRITER="1")
        writer.wait_slots(3)
        self.demand_whole(writer.finish(), 1)

    def test_who_comes_second_is_noticed_all_the_same(self):
        """Unless it comes between the look and the write: that is what is missing here."""
        proxy = self.enterContext(FaultyProxy(self.server.endpoint))
        first = self.writer(1, endpoint=proxy.endpoint, S3_SINGLE_WRITER="1")
        first.wait_slots(2)
        hang = Hang()
        proxy.forget()
        proxy.add(hang, method="HEAD")
        wait_until(lambda: proxy.requests(method="HEAD"), "the first one looks")
        second = self.writer(2, S3_SINGLE_WRITER="1")
        second.wait_slots(2)
        proxy.remove(hang)
        self.assertEqual(first.wait(), FENCED, first.log())
        self.demand_whole(second.finish(), 2)


def main():
    global OPTIONS  # pylint: disable=global-statement
    parser = argparse.ArgumentParser()
    parser.add_argument("--shipper", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
