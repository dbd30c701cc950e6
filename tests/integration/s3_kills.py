#!/usr/bin/python3
"""s3_kills.py --satcheld PATH --tool PATH [--rounds N]: SIGKILL at random moments of shipping, snapshots,
pruning and restores. Whatever `satchel backup list` calls good then verifies, and nothing that is half
made is ever taken for a store."""

import argparse
import json
import os
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
from backup_tool import DAMAGED, DONE, BackupTool  # noqa: E402
from processes import Satcheld  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from steady_load import SteadyLoad  # noqa: E402

OPTIONS = None
PLACE = "s3://satchel/kills"
SESSIONS = 20000  # so that a snapshot and a restore take a moment
VALUE_BYTES = 500
KEEP = "2"


class Kills(unittest.TestCase):
    def setUp(self):
        self.dice = random.Random(5)
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
        self.server = self.enterContext(Radosgw(directory))
        self.server.make_bucket("satchel")
        self.tool = BackupTool(OPTIONS.tool, self.server, PLACE)
        self.store = self.enterContext(BackedUp(OPTIONS.satcheld, self.server, PLACE,
                                                "--snapshot-interval", "0"))
        self.fixed = self.fill()
        self.store.take_snapshot()
        self.load = None
        self.cut = 0  # victims that had not come to their end

    def fill(self):
        """Many sessions that stay as they are: {key: value}."""
        values = {b"f%d" % n: self.dice.randbytes(VALUE_BYTES) for n in range(SESSIONS)}
        with native.Connection(self.store.address) as connection:
            items = list(values.items())
            for at in range(0, len(items), 200):
                some = items[at:at + 200]
                connection.send(b"".join(
                    native.frame(native.SET, native.tag(native.ID, key)
                                 + native.tag(native.VALUE, value)) for key, value in some))
                for _ in some:
                    self.assertEqual(connection.take().status, native.OK)
        return values

    def change(self, seconds):
        """The store goes on; nobody kills it meanwhile."""
        self.load = SteadyLoad(self.store.address, sessions=200, seed=len(self.store.lines),
                               after=self.load)
        with self.load:
            time.sleep(seconds)

    def ask(self, verb):
        """What it tells, also about what is on its way and not good yet."""
        code, told, said = self.tool.run(verb, "--json")
        self.assertIn(code, (DONE, DAMAGED), said + told)
        return json.loads(told)

    def expect_good_ones_to_verify(self):
        """A snapshot of the list is good, or on its way; a good one is whole to the last byte."""
        listed = self.ask("list")
        good = [snapshot["object"] for snapshot in listed["snapshots"] if snapshot["good"]]
        self.assertGreater(len(good), 0, listed)
        verified = self.ask("verify")
        sound = [snapshot["object"] for snapshot in verified["snapshots"] if snapshot["sound"]]
        self.assertEqual(sorted(set(good) - set(sound)), [], verified)
        return len(good)

    def kill_store(self, during_snapshot):
        self.load = SteadyLoad(self.store.address, sessions=200, seed=len(self.store.lines),
                               after=self.load, may_be_cut=True)
        with self.load:
            time.sleep(0.2)
            if during_snapshot:
                self.store.process.send_signal(signal.SIGUSR2)
            time.sleep(self.dice.uniform(0, 0.8 if during_snapshot else 1.2))
            taken = self.store.snapshots()
            self.store.kill()
        self.cut += not during_snapshot or taken == 0
        self.store.start()

    def kill_during_shipping(self):
        self.kill_store(False)

    def kill_during_snapshot(self):
        self.kill_store(True)

    def kill_during_prune(self):
        self.change(0.5)
        self.store.take_snapshot()
        self.change(0.5)
        self.store.take_snapshot()
        process = self.tool.begin("prune", "--keep", KEEP)
        time.sleep(self.dice.uniform(0, 0.3))
        self.cut += process.poll() is None
        process.kill()
        process.communicate()

    def kill_during_restore(self):
        """What is left is no store, or all of it; and a restore there comes to its end."""
        self.store.wait_shipped()
        model = self.fixed | (self.load.model() if self.load is not None else {})
        with tempfile.TemporaryDirectory(prefix="satchel-restore-") as directory:
            data = os.path.join(directory, "data")
            process = self.tool.begin("restore", "--data-dir", data)
            time.sleep(self.dice.uniform(0, 0.5))
            was_cut = process.poll() is None
            self.cut += was_cut
            process.kill()
            process.communicate()
            made = [name for name in (os.listdir(data) if os.path.isdir(data) else ())
                    if name.startswith("data-") and name.endswith(".mdb")]
            if not made:
                code, told, said = self.tool.run("restore", "--data-dir", data)
                self.assertEqual(code, DONE, said + told)
            restored = Satcheld(OPTIONS.satcheld)
            shutil.rmtree(restored.data)
            restored.data = data
            with restored, native.Connection(restored.address) as connection:
                self.assertEqual(connection.contents(), model)

    def test_what_is_called_good_verifies_and_nothing_half_made_is_a_store(self):
        victims = (self.kill_during_shipping, self.kill_during_snapshot, self.kill_during_prune,
                   self.kill_during_restore)
        good = 0
        for number in range(OPTIONS.rounds):
            kill = victims[number % len(victims)]
            with self.subTest(number, kill=kill.__name__):
                kill()
                good += self.expect_good_ones_to_verify()
        self.store.wait_state("shipping")
        self.change(0.5)
        self.store.wait_shipped()
        self.kill_during_restore()
        print(f"  checked {OPTIONS.rounds} kills, {self.cut} of them in the midst: {good} times a "
              "snapshot was called good, and verified")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--rounds", type=int, default=4)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
