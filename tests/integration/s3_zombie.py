#!/usr/bin/python3
"""s3_zombie.py --satcheld PATH [--rounds N]: a store is stopped, another one takes its archive over from
an empty directory, and the first wakes up. It is shut out every time, and the history has no fork."""

import argparse
import random
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from backed_up import FENCED, BackedUp  # noqa: E402
from processes import DEADLINE_S  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from slots import read_slots  # noqa: E402
from steady_load import SteadyLoad  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
SERVER = None


def setUpModule():
    global SERVER  # started once for the whole file
    directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
    SERVER = unittest.enterModuleContext(Radosgw(directory))
    SERVER.make_bucket(BUCKET)


class Zombie(unittest.TestCase):
    def store(self, number):
        return BackedUp(OPTIONS.satcheld, SERVER, f"s3://{BUCKET}/{number}")

    def expect(self, store, values):
        with native.Connection(store.address) as connection:
            self.assertEqual(connection.contents(), values)

    def expect_one_history(self, number, zombie_nonce):
        """The slots follow each other without a gap, epochs only grow, and behind the slot with which
        the successor took over there is none of the zombie."""
        slots = read_slots(SERVER.client(), BUCKET, f"{number}/")
        self.assertEqual([slot.seq for slot in slots], list(range(len(slots))))
        epochs = [slot.epoch for slot in slots]
        self.assertEqual(epochs, sorted(epochs))
        for before, after in zip(slots, slots[1:]):
            self.assertEqual(after.prev, before.hash)
            self.assertEqual(after.nonce != before.nonce, after.is_fence)
        of_zombie = [slot.seq for slot in slots if slot.nonce == zombie_nonce]
        self.assertEqual(of_zombie, list(range(len(of_zombie))))
        self.assertGreater(len(slots), len(of_zombie) + 1)
        return len(slots)

    def one_round(self, number, dice):
        with self.store(number) as first:
            with SteadyLoad(first.address, seed=number, prefix=b"a") as load:
                first.wait_snapshots(1)
                first.wait_shipped()  # and so is all that the snapshot may have
                time.sleep(dice.uniform(0, 1))  # where it is stopped within its second does not matter
            if dice.random() < 0.5:
                first.wait_shipped()
            first.freeze()
            nonce = read_slots(SERVER.client(), BUCKET, f"{number}/")[0].nonce
            with self.store(number) as second:
                told = second.wait_for_line(r"\brestored .* last_lsn=(\d+) ")
                kept = len([change for change in load.changes if change.lsn <= int(told[1])])
                self.expect(second, load.model(kept))
                with SteadyLoad(second.address, seed=-number, prefix=b"b") as other:
                    time.sleep(dice.uniform(0.5, 1.5))
                second.wait_shipped()
                first.thaw()
                acknowledged = self.provoke(first)
                self.assertEqual(first.wait(), FENCED)
                self.assertRegex(first.log(), "another process has taken over")
                with SteadyLoad(second.address, seed=number, prefix=b"c") as third:
                    time.sleep(0.3)
                second.wait_shipped()
                slots = self.expect_one_history(number, nonce)
                model = load.model(kept) | other.model() | third.model()
                self.expect(second, model)
                second.lose()
                second.start()
                self.expect(second, model)
        return len(load.changes) - kept, acknowledged, slots

    def provoke(self, zombie):
        """It learns of its end when it ships, and it ships when there is something. Returns how many
        changes it acknowledged after it woke up: they are nowhere."""
        count = 0
        end = time.monotonic() + DEADLINE_S
        try:
            with native.Connection(zombie.address) as connection:
                while connection.ask(native.SET, native.tag(native.ID, b"late")
                                     + native.tag(native.VALUE, b"of the past")) is not None:
                    count += 1
                    self.assertLess(time.monotonic(), end, "it goes on, and ships")
                    time.sleep(0.01)
        except OSError:
            pass
        return count

    def test_a_store_that_wakes_up_is_shut_out(self):
        dice = random.Random(1)
        rounds, missing, late, slots = 0, 0, 0, 0
        for number in range(1, OPTIONS.rounds + 1):
            with self.subTest(number):
                figures = self.one_round(number, dice)
                missing, late, slots = (a + b for a, b in zip((missing, late, slots), figures))
                rounds += 1
        print(f"  checked {OPTIONS.rounds} rounds: the one that woke up was shut out in {rounds}, "
              f"{slots} slots in one history each; {missing} changes had not been shipped when it "
              f"was stopped, {late} were acknowledged before it noticed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
