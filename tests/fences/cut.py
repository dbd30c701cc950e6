#!/usr/bin/env python3
"""cut --bin DIR [--rounds N] [--seed N]: the locks alone, on NFS.

satcheld_only_locks has no clock of its own and makes no new files. The owner A is cut off from the
server while it writes; B waits for A's locks, gets them when the server has given A up, and goes on
in A's own files; the wire is healed while B writes. Then

  - the server refuses what A writes from then on: it ends with 3 and one line that says Input/output
    error (a second fdatasync would say OK). What it acknowledges after the cut, without a clock,
    can only be what had reached the server before and was waiting for its COMMIT;
  - every acknowledgement of both is in B, and after its end in order `satchel verify` finds nothing.

Last the control: satcheld_no_fence in the same scene has to lose or damage something. Runs inside the
guest of tests/nfs, with two clients: tests/nfs/guest --clients 2 -- tests/fences/cut.py --bin DIR
"""

import argparse
import os
import random
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "nfs"))
# pylint: disable=wrong-import-position
from world import Load, Store, WAIT_S, check, efs, figure, note, now_ms, wait_until

EXIT_STORAGE = 3
# Between an acknowledgement on its way when the wire is cut and its note in the log.
NOTED_LATE_MS = 500
CONTROL_S = 5  # how long an owner that is not fenced goes on
CONTROLS_MAX = 3
SESSIONS = ("--sessions", "20000")  # so many that B does not write over all that A lost
OPTIONS = ("--checkpoint-interval", "200ms", "--segment-bytes", "1m")


class Round:
    def __init__(self, options, variant, number):
        self.random = random.Random(f"{options.seed} {variant} {number}")
        self.work = tempfile.mkdtemp(prefix="satchel-cut-")
        directory = f"cut-{variant}-{number}"
        self.stores = [Store(options.bin, client, directory, *OPTIONS) for client in (1, 2)]
        for store in self.stores:
            store.binary = os.path.join(options.bin, f"satcheld_{variant}")
        self.loads = []

    def load(self, store):
        number = len(self.loads) + 1
        load = Load(store, number, os.path.join(self.work, f"acks.{number}"), "--rate", "500",
                    *SESSIONS)
        self.loads.append(load)
        wait_until(lambda: len(load.acknowledged()) > 100, "changes are acknowledged", WAIT_S)
        return load

    def take_over(self):
        """The wire is cut, B takes over, the wire is healed; returns when it was cut."""
        first, second = self.stores
        first.start()
        self.load(first)
        time.sleep(self.random.uniform(0, 1))  # a random moment
        efs("cut", first.client)
        cut_ms = now_ms()
        second.launch(second.command("--wait"))
        match = second.wait_for_line(r"\blistening listen=(\S+) ops=(\S+)", WAIT_S)
        second.address, second.ops = match.groups()
        second.wait_for_line(r"\bserving\b", WAIT_S)
        self.load(second)
        time.sleep(self.random.uniform(0, 1))
        efs("heal", first.client)
        return cut_ms

    def late(self, cut_ms):
        """How much A acknowledged after it was cut off."""
        return sum(1 for at_ms in self.loads[0].acknowledged() if at_ms > cut_ms + NOTED_LATE_MS)

    def check_all(self):
        """What is in B, and what is in its files; returns how much was checked."""
        second = self.stores[1]
        assert second.terminate(WAIT_S) == 0, second.log()
        self.loads[1].finish()
        second.verify()
        second.start()
        checked = check(second, [load.log for load in self.loads], *SESSIONS)
        assert second.terminate(WAIT_S) == 0, second.log()
        second.verify()
        return checked

    def play(self):
        """With the locks."""
        first = self.stores[0]
        cut_ms = self.take_over()
        code = first.wait(WAIT_S)
        self.loads[0].finish()
        errors = first.errors()
        assert code == EXIT_STORAGE, f"A ended with {code}:\n{first.log()}"
        assert len(errors) == 1 and "Input/output error" in errors[0], first.log()
        return self.check_all(), self.late(cut_ms)

    def play_control(self):
        """Without any fence; returns what came of it, or None when nothing did."""
        first = self.stores[0]
        cut_ms = self.take_over()
        time.sleep(CONTROL_S)
        if first.is_running():
            first.kill()
        self.loads[0].finish()
        try:
            self.check_all()
        except AssertionError as harm:
            return (f"{self.late(cut_ms)} acknowledgements of A after the cut, and then: "
                    f"{str(harm).splitlines()[-1]}")
        return None

    def close(self, succeeded):
        for store in self.stores:
            if store.is_running():
                efs("heal", store.client)  # what waits for the storage cannot be killed
                store.kill()
            if not succeeded:
                print(store.log(), flush=True)
            store.clean_up()
        for load in self.loads:
            load.kill()


def play_round(options, variant, number, play):
    round_ = Round(options, variant, number)
    succeeded = False
    try:
        result = play(round_)
        succeeded = True
        return result
    finally:
        round_.close(succeeded)


def main():
    parser = argparse.ArgumentParser(prog="cut")
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    note(f"seed {options.seed}")
    results = [play_round(options, "only_locks", number, Round.play)
               for number in range(options.rounds)]
    checked, late = (sum(column) for column in zip(*results))
    figure(f"only_locks: {options.rounds} rounds, {checked} acknowledgements of both: all there, "
           f"{late} of them late")
    for number in range(CONTROLS_MAX):
        harm = play_round(options, "no_fence", number, Round.play_control)
        if harm:
            figure(f"without any fence: {harm}")
            return 0
    raise AssertionError("without any fence nothing happened: this test would see nothing")


if __name__ == "__main__":
    sys.exit(main())
