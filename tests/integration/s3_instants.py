#!/usr/bin/python3
"""s3_instants.py --satcheld PATH --tool PATH [--instants N]: changes with known times, by a store that is
killed, stopped and started meanwhile and takes snapshots; then restores to random instants. Each has
exactly what was there at that instant."""

import argparse
import datetime
import random
import shutil
import signal
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from backed_up import BackedUp  # noqa: E402
from backup_tool import BackupTool  # noqa: E402
from processes import Satcheld  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from steady_load import SteadyLoad  # noqa: E402

OPTIONS = None
PLACE = "s3://satchel/instants"
LIVES = ("kill", "terminate", "kill")  # how the store ends, again and again
LIFE_S = 4


def timestamp(moment_s):
    moment = datetime.datetime.fromtimestamp(moment_s, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Instants(unittest.TestCase):
    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
        self.server = self.enterContext(Radosgw(directory))
        self.server.make_bucket("satchel")

    def live(self):
        """Changes through several lives of one store: the load that knows them."""
        load = None
        with BackedUp(OPTIONS.satcheld, self.server, PLACE, "--snapshot-interval", "0") as store:
            for end in LIVES:
                load = SteadyLoad(store.address, sessions=500, seed=len(store.lines), after=load,
                                   may_be_cut=True)
                with load:
                    store.wait_state("shipping")
                    time.sleep(LIFE_S / 2)
                    store.process.send_signal(signal.SIGUSR2)
                    time.sleep(LIFE_S / 2)
                    if end == "kill":
                        store.kill()
                if end == "terminate":
                    self.assertEqual(store.terminate(), 0)
                store.start()
            load = SteadyLoad(store.address, sessions=500, seed=0, after=load)
            with load:
                time.sleep(1)
            store.wait_shipped()
        return load

    def models_at(self, load, moment_s):
        """What may have been there: a change became durable between being sent and being told, and
        what is shipped counts whole milliseconds."""
        least = sum(change.told_s < moment_s - 0.001 for change in load.changes)
        most = sum(change.sent_s <= moment_s + 0.001 for change in load.changes)
        return [load.model(count) for count in range(least, most + 1)]

    def test_each_instant_has_what_was_there_then(self):
        load = self.live()
        tool = BackupTool(OPTIONS.tool, self.server, PLACE)
        listed = tool.ask("list")["snapshots"]
        first_s = load.changes[0].told_s + LIFE_S  # the first snapshot may hold all before it
        last_s = load.changes[-1].told_s
        dice = random.Random(4)
        for number in range(OPTIONS.instants):
            moment_s = dice.uniform(first_s, last_s)
            with self.subTest(number, at=timestamp(moment_s)):
                self.expect_instant(tool, load, moment_s)
        print(f"  checked {OPTIONS.instants} instants of {last_s - first_s:.1f} s with "
              f"{len(load.changes)} changes, {len(listed)} snapshots and {len(LIVES) + 1} lives")

    def expect_instant(self, tool, load, moment_s):
        store = Satcheld(OPTIONS.satcheld)
        shutil.rmtree(store.data)
        report = tool.ask("restore", "--at", timestamp(moment_s), "--data-dir", store.data)
        self.assertTrue(report["whole"], report)
        with store, native.Connection(store.address) as connection:
            self.assertIn(connection.contents(), self.models_at(load, moment_s))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--instants", type=int, default=6)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
