"""poweroff: the guest is killed at random moments while sessions are changed, and booted again.

Server and client go down together, on a disk that forgets what was not flushed (disk.py). Every
acknowledgement leaves the guest, into a log of this machine, as it comes. After each boot `satchel
verify` has to find nothing, and every acknowledgement of all boots has to be there.
"""

import os
import random
import shlex
import tempfile
import time

import machine
from disk import ForgetfulDisk

HERE = os.path.dirname(os.path.abspath(__file__))
KILL_S_MOST = 4.0
BOOT_AND_CHECK_S = 300
FIRST_S_MOST = 60


def acknowledged(log):
    """How many lines the log has, without its head and a torn end."""
    if not os.path.exists(log):
        return 0
    with open(log, "rb") as file:
        return max(0, file.read().count(b"\n") - 1)


class Scenario:
    """Boots one after the other, on one disk."""

    def __init__(self, bin_dir, seed, work):
        self.bin_dir = bin_dir
        self.work = work
        self.chance = random.Random(seed)
        self.socket = os.path.join(work, "socket")
        self.logs = []  # of the boots so far
        path = os.path.join(work, "disk")
        machine.make_disk(path)
        self.disk = ForgetfulDisk(path, self.socket, seed)

    def guest(self, *arguments, reports=None):
        words = [os.path.join(HERE, "poweroff_inside.py"), "--bin", self.bin_dir, *arguments,
                 *self.logs]
        return machine.Guest(shlex.join(words), disk="unix:" + self.socket, reports=reports)

    def total(self):
        return sum(map(acknowledged, self.logs))

    def was_checked(self, guest):
        """Has the guest said that all of them are there?"""
        fine = not self.logs or f"checked {self.total()} acknowledgements" in guest.lines
        if not fine:
            print(guest.log(), flush=True)
        return fine

    def wait_for_first(self, log):
        """Without an acknowledgement a round would show nothing."""
        end = time.monotonic() + FIRST_S_MOST
        while acknowledged(log) == 0:
            assert time.monotonic() < end, "nothing is acknowledged"
            time.sleep(0.01)

    def boot_and_kill(self, number):
        """One round; false: something that was acknowledged is not there, or damaged."""
        log = os.path.join(self.work, f"acks.{number}")
        with self.guest("--round", str(number), reports=log) as guest:
            guest.wait_for_line("^loading", BOOT_AND_CHECK_S)
            if not self.was_checked(guest):
                return False
            self.wait_for_first(log)
            after_s = self.chance.uniform(0, KILL_S_MOST)
            time.sleep(after_s)  # the random moment
            lost, kept = self.disk.power_off(self.chance.choice((0, 0.5)))
            guest.kill()
        self.disk.power_on()
        print(f"round {number}: killed after {after_s:.2f} s, {acknowledged(log)} acknowledged; "
              f"{lost} blocks that were not flushed are lost, {kept} are not", flush=True)
        self.logs.append(log)
        return True

    def boot_and_stop(self):
        with self.guest("--last") as guest:
            return guest.finish(BOOT_AND_CHECK_S) == 0 and self.was_checked(guest)


def run(bin_dir, seed, rounds):
    """The whole scenario; true when it went well."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="satchel-poweroff-") as work:
        scenario = Scenario(bin_dir, seed, work)
        try:
            fine = all(scenario.boot_and_kill(number) for number in range(1, rounds + 1))
            fine = fine and scenario.boot_and_stop()
        except AssertionError as error:
            print(error)
            fine = False
        scenario.disk.close()
        total = scenario.total()
        print(f"  poweroff: {len(scenario.logs)} of {rounds} rounds, checked {total} "
              f"acknowledgements: {'all there' if fine else 'NOT all there'}; "
              f"{scenario.disk.flushes} flushes of the disk, {time.monotonic() - begin:.0f} s")
        return fine and total > 0
